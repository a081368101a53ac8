"""Verdicts that are kept: each pair of completion and gold is verified once per process.

A policy repeats itself, and more so the longer it trains.
"""

import threading
from collections.abc import Callable, Sequence

from polypath.verify.base import Status, Verdict

MOST = 200_000
_LASTING = (Status.GRADED, Status.NO_ANSWER)


class KeptVerdicts:
    """Verifies batches and keeps their verdicts; any number of threads may verify at once.

    A pair that ran into the deadline or failed is verified again when it occurs again.

    Args:
        verify: verifies completions, each against its own gold.
    """

    def __init__(self, verify: Callable[[Sequence[str], Sequence[str]], list[Verdict]]) -> None:
        self._verify = verify
        self._kept: dict[tuple[str, str], Verdict] = {}
        self._lock = threading.Lock()

    def verify(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Return the verdict of each completion against its own gold, in their order."""
        pairs = list(zip(completions, golds, strict=True))
        with self._lock:
            known = {pair: self._kept[pair] for pair in pairs if pair in self._kept}
        new = list(dict.fromkeys(pair for pair in pairs if pair not in known))
        if new:
            fresh = dict(zip(new, self._verify(*zip(*new, strict=True)), strict=True))
            known |= fresh
            with self._lock:
                if len(self._kept) + len(fresh) > MOST:
                    self._kept.clear()
                self._kept.update(
                    (pair, verdict) for pair, verdict in fresh.items() if verdict.status in _LASTING
                )
        return [known[pair] for pair in pairs]
