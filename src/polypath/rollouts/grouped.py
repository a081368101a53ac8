"""Group rows or columns of samples by problem."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from polypath.rollouts.left_out import LeftOut, Place
from polypath.rollouts.rows import LARGEST, WITHOUT_VERDICT, SampleRow
from polypath.rollouts.schema import SCHEMA

COLUMNS = (
    *("problem_id", "sample_id", "prompt", "completion", "gold"),
    *("correct", "reward", "answer", "status"),
)
_CAN_BE_NULL = ("answer",)
_VERDICTS = np.array([False, True, None], dtype=object)  # at 0, 1 and -1


class Grouped(NamedTuple):
    """The fields of ``Samples`` for N problems."""

    problem_ids: tuple[str, ...]
    prompts: tuple[str | None, ...]
    golds: tuple[str | None, ...]
    completions: tuple[tuple[str, ...], ...]
    correct: tuple[tuple[bool | None, ...], ...]
    answers: tuple[tuple[str | None, ...], ...]
    greedy_correct: tuple[bool | None, ...] | None


class _Sample(NamedTuple):
    """The kept part of a row: without its prompt, which every sample of a problem repeats."""

    sample_id: int | None
    completion: str
    correct: bool | None
    answer: str | None


@dataclass(kw_only=True, slots=True)
class _ProblemRows:
    """The rows read so far for one problem."""

    prompt: str | None = None
    gold: str | None = None
    rows: list[_Sample] = field(default_factory=list)
    sample_ids: set[int] = field(default_factory=set)
    greedy: bool | None = None
    has_greedy: bool = False

    def ordered(self) -> list[_Sample]:
        """Return numbered samples by number, then those without a number in the order read."""
        return sorted(self.rows, key=lambda row: (row.sample_id is None, row.sample_id or 0))


def group_rows(rows: Iterable[SampleRow], left_out: LeftOut) -> Grouped:
    """Group rows by problem, in an order that does not depend on when each was drawn.

    Of several rows with the same (problem_id, sample_id) the first is kept; the others are counted in
    ``left_out``, as are further greedy samples of a problem.
    """
    problems: dict[str, _ProblemRows] = {}
    for row in rows:
        problem = problems.get(row.problem_id)
        if problem is None:
            problem = problems[row.problem_id] = _ProblemRows()
        if problem.prompt is None:
            problem.prompt = row.prompt
        if problem.gold is None:
            problem.gold = row.gold
        if row.greedy:
            if problem.has_greedy:
                left_out.add("duplicate greedy sample", row.place)
            else:
                problem.greedy, problem.has_greedy = row.correct, True
        elif row.sample_id is not None and row.sample_id in problem.sample_ids:
            left_out.add("duplicate sample", row.place)
        else:
            if row.sample_id is not None:
                problem.sample_ids.add(row.sample_id)
            problem.rows.append(_Sample(row.sample_id, row.completion, row.correct, row.answer))
    ordered = [problem.ordered() for problem in problems.values()]
    has_greedy = any(problem.has_greedy for problem in problems.values())
    return Grouped(
        problem_ids=tuple(problems),
        prompts=tuple(problem.prompt for problem in problems.values()),
        golds=tuple(problem.gold for problem in problems.values()),
        completions=tuple(tuple(row.completion for row in rows) for rows in ordered),
        correct=tuple(tuple(row.correct for row in rows) for rows in ordered),
        answers=tuple(tuple(row.answer for row in rows) for rows in ordered),
        greedy_correct=tuple(p.greedy for p in problems.values()) if has_greedy else None,
    )


class UnlikeSchemaError(Exception):
    """A batch is not as a sample store writes it, so its rows must be read one by one."""


def group_columns(
    batches: Iterable[pa.RecordBatch], greedy: Iterable[pa.RecordBatch], left_out: LeftOut
) -> Grouped:
    """Group the rows of a sample store as ``group_rows`` does, but without an object per row.

    Args:
        batches: batches with the columns ``COLUMNS``.
        greedy: the same for the greedy samples.
        left_out: counts the rows left out.

    Raises:
        UnlikeSchemaError: a column is not of the schema, or has gaps.
    """
    found = _Columns(left_out)
    for batch in batches:
        found.add(batch)
    for batch in greedy:
        found.add(batch, greedy=True)
    return found.grouped()


class _Columns:
    """Columns read so far; problems are numbered in order of appearance."""

    def __init__(self, left_out: LeftOut) -> None:
        self.left_out = left_out
        self.number_of: dict[str, int] = {}
        self.prompts: list[str | None] = []
        self.golds: list[str | None] = []
        self.problem_parts: list[npt.NDArray[np.int64]] = []
        self.sample_parts: list[npt.NDArray[np.int64]] = []
        self.verdict_parts: list[npt.NDArray[np.int64]] = []
        self.completions: list[str] = []
        self.answers: list[str | None] = []
        self.greedy: dict[int, bool | None] = {}

    def add(self, batch: pa.RecordBatch, *, greedy: bool = False) -> None:
        """Add a batch."""
        batch = self._usable(batch)
        problem_S = self._problems(batch["problem_id"])
        self._first_texts(problem_S, batch["prompt"], self.prompts)
        self._first_texts(problem_S, batch["gold"], self.golds)
        statuses = batch["status"].dictionary_encode()
        unknown = np.array([s in WITHOUT_VERDICT for s in statuses.dictionary.to_pylist()], bool)
        correct_S = _numbers(batch["correct"].cast(pa.int64()))
        verdict_S = np.where(unknown[_numbers(statuses.indices)], -1, correct_S)
        sample_S = _numbers(batch["sample_id"])
        greedy_S = np.full(len(sample_S), greedy) | (sample_S == -1)
        for row in np.flatnonzero(greedy_S).tolist():
            problem = int(problem_S[row])
            if problem in self.greedy:
                self.left_out.add("duplicate greedy sample", self._place(problem, sample_S[row]))
            else:
                self.greedy[problem] = _VERDICTS[verdict_S[row]]
        if greedy_S.any():
            kept_S = ~greedy_S
            batch = batch.filter(pa.array(kept_S))
            problem_S, sample_S, verdict_S = problem_S[kept_S], sample_S[kept_S], verdict_S[kept_S]
        self.problem_parts.append(problem_S)
        self.sample_parts.append(sample_S)
        self.verdict_parts.append(verdict_S)
        self.completions += batch["completion"].to_pylist()
        self.answers += batch["answer"].to_pylist()

    def grouped(self) -> Grouped:
        """Return all samples by problem, in order of sample number; of equal numbers the first is kept."""
        problem_S, sample_S, verdict_S = (
            np.concatenate(parts) if parts else np.zeros(0, np.int64)
            for parts in (self.problem_parts, self.sample_parts, self.verdict_parts)
        )
        order_S = np.lexsort((sample_S, problem_S))
        same_S = np.diff(problem_S[order_S], prepend=-1) == 0
        same_S &= np.diff(sample_S[order_S], prepend=-1) == 0
        for row in np.sort(order_S[same_S]).tolist():
            self.left_out.add("duplicate sample", self._place(problem_S[row], sample_S[row]))
        order_S = order_S[~same_S]
        problems = len(self.number_of)
        ends_N = np.searchsorted(problem_S[order_S], np.arange(problems), side="right").tolist()
        bounds_N = list(zip([0, *ends_N[:-1]], ends_N, strict=True)) if problems else []
        verdicts = _VERDICTS[verdict_S[order_S]].tolist()
        order = order_S.tolist()
        in_order = order == list(range(len(self.completions)))
        completions = self.completions if in_order else [self.completions[row] for row in order]
        answers = self.answers if in_order else [self.answers[row] for row in order]
        return Grouped(
            problem_ids=tuple(self.number_of),
            prompts=tuple(self.prompts),
            golds=tuple(self.golds),
            completions=tuple(tuple(completions[start:end]) for start, end in bounds_N),
            correct=tuple(tuple(verdicts[start:end]) for start, end in bounds_N),
            answers=tuple(tuple(answers[start:end]) for start, end in bounds_N),
            greedy_correct=tuple(self.greedy.get(n) for n in range(problems))
            if self.greedy
            else None,
        )

    def _usable(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the usable rows, and count the others."""
        for name in COLUMNS:
            column = batch[name]
            if column.type != SCHEMA.field(name).type or (
                column.null_count and name not in _CAN_BE_NULL
            ):
                raise UnlikeSchemaError
        reward_S = _numbers(batch["reward"])
        usable_S = np.abs(reward_S) <= LARGEST  # False for NaN
        if usable_S.all():
            return batch
        for row in np.flatnonzero(~usable_S).tolist():
            reason = "NaN reward" if np.isnan(reward_S[row]) else "reward is not a number"
            place = Place(
                "sample", batch["sample_id"][row].as_py(), batch["problem_id"][row].as_py()
            )
            self.left_out.add(reason, place)
        return batch.filter(pa.array(usable_S))

    def _problems(self, names: pa.Array) -> npt.NDArray[np.int64]:
        """Return the number of each row's problem."""
        encoded = names.dictionary_encode()
        numbers = []
        for name in encoded.dictionary.to_pylist():
            number = self.number_of.setdefault(name, len(self.number_of))
            if number == len(self.prompts):
                self.prompts.append(None)
                self.golds.append(None)
            numbers.append(number)
        number_S: npt.NDArray[np.int64] = np.array(numbers, dtype=np.int64)[
            _numbers(encoded.indices)
        ]
        return number_S

    def _first_texts(
        self, problem_S: npt.NDArray[np.int64], texts: pa.Array, known: list[str | None]
    ) -> None:
        """Keep the first text of each problem that has none yet; an empty text counts as none."""
        there_S = np.flatnonzero(_numbers(pc.binary_length(texts)))
        problems, first = np.unique(problem_S[there_S], return_index=True)
        for problem, row in zip(problems.tolist(), there_S[first].tolist(), strict=True):
            if known[problem] is None:
                known[problem] = texts[row].as_py()

    def _place(self, problem: int, sample: int) -> Place:
        return Place("sample", int(sample), list(self.number_of)[int(problem)])


def _numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Return numbers without nulls; ``to_numpy`` would import pandas, which takes a quarter of a second."""
    return np.from_dlpack(array)
