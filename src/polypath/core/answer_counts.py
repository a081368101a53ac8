"""How often training has seen each answer to each problem.

It holds a hash of 16 bytes for each problem and answer, not their texts: memory depends on how many
different answers there are, and not on their lengths. Counts do not depend on the order in which answers
arrive, and every process that is told the same holds the same counts.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

KEY_BYTES = 16  # two of a billion answers have the same key with a chance of 1e-21


def answer_key(prompt: Sequence[int], answer: str | None) -> bytes:
    """Return what stands for an answer to a problem: a hash of both.

    Args:
        prompt: token ids of the prompt, which name the problem.
        answer: the canonical solution, right or wrong. ``None``: there is none, which is the same answer for
            all completions without one.
    """
    told = "" if answer is None else f"={answer}"
    text = f"{','.join(map(str, prompt))} {told}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


@dataclass
class AnswerCounts:
    """Number of times that each answer was seen, by ``answer_key``."""

    _counts: Counter[bytes] = field(default_factory=Counter, init=False)

    def __len__(self) -> int:
        """Return the number of different answers, summed over problems."""
        return len(self._counts)

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        """Iterate over keys and counts, in the order of keys."""
        return iter(sorted(self._counts.items()))

    def seen(self, keys: Sequence[bytes]) -> list[int]:
        """Return how often each was seen; 0 for a new one. Nothing changes."""
        return [self._counts[key] for key in keys]  # a Counter keeps no entry for a missing key

    def add(self, keys: Iterable[bytes]) -> None:
        """Count the answers of a generation, each time that it occurs."""
        self._counts.update(keys)

    def restore(self, counted: Iterable[tuple[bytes, int]]) -> None:
        """Replace everything by keys and counts of a checkpoint."""
        self._counts = Counter(dict(counted))

    def clear(self) -> None:
        """Forget everything."""
        self._counts.clear()
