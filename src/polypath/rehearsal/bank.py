"""The bank: one completion of each different correct solution that training itself has found.

Which solutions of a problem it keeps, and which it replays, does not depend on how often the policy samples
them. So a solution that becomes rare is replayed as often as one that is found in every group.

All of it is a pure function of what was seen: no random state, and every process that is told the same
holds the same bank.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError
from polypath.rehearsal.schedule import shuffled
from polypath.rehearsal.settings import Replay

TokenIds = tuple[int, ...]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


class Seen(NamedTuple):
    """A correct completion, by what it solves and how.

    Attributes:
        prompt: token ids of the prompt, which name the problem.
        solution: the canonical solution; equal texts are the same solution.
    """

    prompt: TokenIds
    solution: str


class SampledTokens(NamedTuple):
    """The tokens of a completion.

    Attributes:
        ids: int32, the end of the sequence included.
        logps: float32, log-probs of these tokens under the policy that sampled them, at the training
            temperature.
    """

    ids: Ints
    logps: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class BankEntry:
    """A solution, and the completion that stands for it: the latest one.

    Attributes:
        seen: problem and solution.
        completion: its tokens.
        step: when it was sampled.
        count: how often the solution was sampled since it entered the bank, at least 1.
        priority: a hash of seed, problem and solution. The bank keeps the smallest ones of a problem.
    """

    seen: Seen
    completion: SampledTokens
    step: int
    count: int
    priority: int


@dataclass(kw_only=True)
class SolutionBank:
    """Different correct solutions by problem.

    A full bank keeps the solutions with the smallest hashes. These are a uniform random sample of all
    different solutions that were seen, each with the same chance however often it occurred. What is kept
    does not depend on the order in which solutions arrive.

    The latest completion stands for a solution. Its log-probs are then those of a policy as near as possible
    to the present one.

    Attributes:
        capacity: solutions of a problem that are kept, at least 1.
        max_age: steps after which a solution that was not sampled again is dropped, at least 1; ``None``:
            never.
        seed: of the hashes and of the order of replay, at least 0.
    """

    capacity: int
    max_age: int | None = None
    seed: int = 0
    _problems: dict[TokenIds, dict[str, BankEntry]] = field(default_factory=dict, init=False)
    _ordered: list[BankEntry] | None = field(default=None, init=False)

    def __len__(self) -> int:
        """Return the number of solutions."""
        return sum(map(len, self._problems.values()))

    def __iter__(self) -> Iterator[BankEntry]:
        """Iterate over the solutions in the order of their hashes."""
        return iter(self._in_order())

    @property
    def problems(self) -> int:
        """Number of problems with at least one solution."""
        return len(self._problems)

    def choose(self, step: int, seen: Sequence[Seen]) -> list[int]:
        """Return the places of the completions whose tokens ``add`` will need.

        They are the last of each solution that the bank will hold. Nothing changes yet.

        Args:
            step: the present one.
            seen: the correct completions of a generation, in the order of all processes' rows.
        """
        last = {one: place for place, one in enumerate(seen)}
        return sorted(last[one] for one in self._kept(step, last))

    def add(
        self, step: int, seen: Sequence[Seen], completions: Mapping[int, SampledTokens]
    ) -> None:
        """Drop what is too old, and take in the solutions of a generation.

        Args:
            step: as for ``choose``; later steps have larger numbers.
            seen: likewise.
            completions: by place in ``seen``, those that ``choose`` returned.

        Raises:
            ConfigError: a step lies before one that was added, or completions are not those chosen.
        """
        if sorted(completions) != self.choose(step, seen):
            raise ConfigError("completions must be those at the places that choose() returned.")
        self._drop_old(step)
        counts = Counter(seen)
        for place, completion in sorted(completions.items()):
            one = seen[place]
            known = self._problems.setdefault(one.prompt, {})
            before = known.get(one.solution)
            known[one.solution] = BankEntry(
                seen=one,
                completion=completion,
                step=step,
                count=counts[one] + (before.count if before else 0),
                priority=before.priority if before else self._priority(one),
            )
        for prompt in {one.prompt for one in seen}:
            entries = self._problems.get(prompt, {})
            ranked = sorted(entries, key=lambda s: (entries[s].priority, s))
            for solution in ranked[self.capacity :]:
                del entries[solution]
        self._ordered = None

    def draw(self, rows: int, step: int, replay: Replay = "uniform") -> list[BankEntry]:
        """Return the solutions to replay in a step, in random order.

        Each has the same chance (``uniform``), or one in proportion to how often it was sampled
        (``frequency``). By systematic sampling the number of times that a solution is drawn is its expected
        number, rounded up or down. So none is drawn twice while another is left out.

        Args:
            rows: how many, at least 1; more than there are solutions repeats some.
            step: the optimizer step that uses them, from 0.
            replay: ``uniform`` or ``frequency``.

        Returns:
            ``rows`` entries; none if the bank is empty.
        """
        entries = self._in_order()
        if not entries:
            return []
        order, start = shuffled(len(entries), self.seed, step)
        weights = np.ones(len(entries), np.int64)
        if replay == "frequency":
            weights = np.array([entry.count for entry in entries], np.int64)[order]
        return [entries[order[place]] for place in systematic(weights, rows, start)]

    def clear(self) -> None:
        """Forget everything."""
        self._problems, self._ordered = {}, None

    def restore(self, entries: Sequence[BankEntry]) -> None:
        """Replace what the bank holds by entries of a checkpoint, whatever their ``priority``."""
        self.clear()
        for entry in entries:
            solutions = self._problems.setdefault(entry.seen.prompt, {})
            solutions[entry.seen.solution] = replace(entry, priority=self._priority(entry.seen))

    def _in_order(self) -> list[BankEntry]:
        if self._ordered is None:
            entries = (entry for known in self._problems.values() for entry in known.values())
            # Hashes of two solutions may be equal, and the order must still be the same everywhere.
            self._ordered = sorted(entries, key=lambda entry: (entry.priority, entry.seen))
        return self._ordered

    def _kept(self, step: int, new: Mapping[Seen, int]) -> list[Seen]:
        """Return which of these solutions the bank will hold."""
        by_problem: dict[TokenIds, dict[str, int]] = {}
        for one in new:
            by_problem.setdefault(one.prompt, {})[one.solution] = self._priority(one)
        kept = []
        for prompt, added in by_problem.items():
            held = self._problems.get(prompt, {}).values()
            rivals = {
                e.seen.solution: e.priority for e in held if not self._is_old(e, step)
            } | added
            first = set(sorted(rivals, key=lambda s: (rivals[s], s))[: self.capacity])
            kept += [Seen(prompt, solution) for solution in added if solution in first]
        return kept

    def _drop_old(self, step: int) -> None:
        for prompt, known in list(self._problems.items()):
            for solution in [s for s, entry in known.items() if self._is_old(entry, step)]:
                del known[solution]
            if not known:
                del self._problems[prompt]

    def _is_old(self, entry: BankEntry, step: int) -> bool:
        return self.max_age is not None and step - entry.step > self.max_age

    def _priority(self, one: Seen) -> int:
        text = f"{self.seed} {','.join(map(str, one.prompt))} {one.solution}"
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big")


def systematic(weights: npt.NDArray[np.int64], rows: int, start: int) -> list[int]:
    """Draw places in proportion to weights, each its expected number of times, rounded up or down.

    Evenly spaced points are laid over the places, whose widths are the weights. Over all starts below the
    sum of the weights, place i is drawn ``rows * weights[i]`` times exactly.

    Args:
        weights: of each place, at least 1.
        rows: points, at least 1.
        start: any number; moves the points.

    Returns:
        ``rows`` places, in rising order.
    """
    ends = np.cumsum(weights)
    total = int(ends[-1])
    # Both sides times rows, so that the distance of two points is a whole number.
    points = start % total + total * np.arange(rows)
    places: list[int] = np.searchsorted(ends * rows, points, side="right").tolist()
    return places
