"""The samples of one run, from any kind of file. Every metric and report starts from them."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from polypath.errors import DataError
from polypath.rollouts.grouped import Grouped, UnlikeSchemaError, group_columns, group_rows
from polypath.rollouts.left_out import LeftOut
from polypath.rollouts.rows import SampleRow, VerifyBatch
from polypath.rollouts.sources import Progress, SampleSource, find_source

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Every sample of N problems, S_n of problem n. The counts may differ between problems.

    Attributes:
        name: label of the run.
        problem_ids: the N problems, in order of first appearance.
        prompts: prompts of the N problems, chat messages as JSON text; ``None`` where unknown.
        golds: golds of the N problems; ``None`` where unknown.
        completions: N tuples of S_n texts, in the order of their sample numbers.
        correct: N tuples of S_n. ``None`` if nobody verified the sample: nothing says whether it is right,
            or its verifier timed out or failed.
        answers: N tuples of S_n canonical solutions; ``None`` if none was found.
        greedy_correct: whether the greedy sample of each problem is right, ``None`` if there is none or it
            was not verified. ``None`` as a whole for a run without greedy samples.
        left_out: reason -> number of rows left out while reading. An unreadable shard or file
            counts as one, because the number of its rows is lost with it.
        left_out_at: reason -> places of the first of these rows, such as "line 7 of run.jsonl".
        training_log: numbers from the lines of ``log.jsonl`` next to the run; empty if there is none.
    """

    name: str
    problem_ids: tuple[str, ...]
    prompts: tuple[str | None, ...]
    golds: tuple[str | None, ...]
    completions: tuple[tuple[str, ...], ...]
    correct: tuple[tuple[bool | None, ...], ...]
    answers: tuple[tuple[str | None, ...], ...]
    greedy_correct: tuple[bool | None, ...] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    left_out_at: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    training_log: tuple[Mapping[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("prompts", "golds", "completions", "correct", "answers", "greedy_correct"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.problem_ids):
                raise DataError(
                    f"{name} has {len(value)} entries, but there are {len(self.problem_ids)} "
                    "problem_ids; every problem needs one."
                )
        if len(set(self.problem_ids)) < len(self.problem_ids):
            raise DataError("A problem_id occurs twice; every id must be unique.")
        for place, texts in enumerate(self.completions):
            for name in ("correct", "answers"):
                found = len(getattr(self, name)[place])
                if found != len(texts):
                    raise DataError(
                        f"{name} of problem {self.problem_ids[place]!r} has {found} entries, but "
                        f"it has {len(texts)} completions."
                    )

    @property
    def num_problems(self) -> int:
        """The number of problems, N."""
        return len(self.problem_ids)

    @cached_property
    def num_samples_N(self) -> npt.NDArray[np.int64]:
        """The number of samples of each problem."""
        return np.array([len(texts) for texts in self.completions], dtype=np.int64)

    @cached_property
    def num_verified_N(self) -> npt.NDArray[np.int64]:
        """The number of samples of each problem that are known to be right or wrong."""
        return np.array([len(row) - row.count(None) for row in self.correct], dtype=np.int64)

    @cached_property
    def num_correct_N(self) -> npt.NDArray[np.int64]:
        """The number of right samples of each problem."""
        return np.array([row.count(True) for row in self.correct], dtype=np.int64)

    def subset(self, problem_ids: Iterable[str]) -> Self:
        """Return the samples of these problems, in this order.

        Raises:
            DataError: the run lacks one of them, or one occurs twice.
        """
        place = {problem_id: n for n, problem_id in enumerate(self.problem_ids)}
        wanted = list(problem_ids)
        unknown = [problem_id for problem_id in wanted if problem_id not in place]
        if unknown:
            raise DataError(f"The run {self.name!r} has no samples of problem {unknown[0]!r}.")
        rows = [place[problem_id] for problem_id in wanted]
        greedy = self.greedy_correct
        return replace(
            self,
            problem_ids=tuple(wanted),
            prompts=_pick(self.prompts, rows),
            golds=_pick(self.golds, rows),
            completions=_pick(self.completions, rows),
            correct=_pick(self.correct, rows),
            answers=_pick(self.answers, rows),
            greedy_correct=None if greedy is None else _pick(greedy, rows),
        )


def load_samples(
    path: str | Path,
    *,
    name: str | None = None,
    keys: Mapping[str, str] | None = None,
    verify_batch: VerifyBatch | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Read the samples of a run.

    Bad rows do not spoil good ones. Each is left out and counted under its reason in
    ``Samples.left_out``; ``Samples.left_out_at`` says where the first ones are. These can be read:

    - a run folder of ``polypath sample`` or ``presample``, and a sample store;
    - JSON lines and Parquet files with a row per sample, or a row per problem whose ``completion``
      is a list (``correct``, ``reward`` and ``answer`` are then lists beside it);
    - TRL's ``completions_*.parquet`` (file or folder), a verl validation dump, lighteval details
      (file or folder), ``samples_*.jsonl`` of lm-evaluation-harness, ``.eval`` and ``.json`` logs of
      inspect_ai.

    ``docs/samples.md`` describes what is read from each. A row without ``problem_id`` is identified by a
    hash of its prompt. It is right if ``correct`` says so, else if ``reward`` (or ``score``) is
    above one half. It is not verified if its ``status`` is ``timeout``, ``error`` or
    ``bad_gold``. A row whose reward is NaN is left out.

    Args:
        path: file or folder.
        name: label of the run; by default the name of the file or folder.
        keys: our key -> key in the file, for files with other names, such as
            ``{"completion": "response", "problem_id": "idx"}``.
        verify_batch: verifies (completions, golds) again, in batches, for all rows with a gold
            answer. The file's own verdicts on these rows are then ignored.
        progress: called again and again with how much is read, and how much there is, in bytes, rows or
            shards.

    Raises:
        MissingFileError: ``path`` does not exist.
        ConfigError: ``keys`` contains a key that is not ours.
        DataError: no sample can be used (the message says why), or the samples are of several
            models, which ``load_runs`` reads.
    """
    source = find_source(Path(path), keys or {})
    source.progress = progress
    grouped = _grouped(source, verify_batch)
    return _samples(source, grouped, source.left_out, name or source.name)


def load_runs(
    path: str | Path,
    run_key: str | None,
    *,
    keys: Mapping[str, str] | None = None,
    verify_batch: VerifyBatch | None = None,
    progress: Progress | None = None,
) -> dict[str | None, Samples]:
    """Read each run of a file that contains samples of several runs, such as models.

    Args:
        path: as in ``load_samples``. A sample store is one run.
        run_key: column that says which run a row belongs to; ``a.b`` means b in a. ``none`` reads all rows
            as one run, even if their models differ; None refuses that.
        keys: as in ``load_samples``.
        verify_batch: as in ``load_samples``.
        progress: as in ``load_samples``.

    Returns:
        Value of the column -> its samples, named by it, in the order of the file. Rows without a value,
        and unreadable rows, are counted as left out in every run. If no row has the column, None -> all
        samples.

    Raises:
        MissingFileError, ConfigError, DataError: as ``load_samples``.
    """
    if run_key is None:
        found = load_samples(path, keys=keys, verify_batch=verify_batch, progress=progress)
        return {None: found}
    source = find_source(Path(path), keys or {})
    source.run_key, source.progress = run_key, progress
    rows_of: dict[str | None, list[SampleRow]] = {}
    for row in source.rows(verify_batch):
        rows_of.setdefault(row.raw.get("run"), []).append(row)
    for run in source.left_out_of.keys() - (
        rows_of.keys() - {None}
    ):  # of no run that can be measured
        other = source.left_out_of[run]
        source.left_out.join(other, other.places)
    if set(rows_of) <= {None}:
        grouped = group_rows(rows_of.get(None, []), source.left_out)
        return {None: _samples(source, grouped, source.left_out, source.name)}
    if without := rows_of.pop(None, []):
        source.left_out.add(f"no {run_key}", without[0].place, len(without))
    shared, runs = source.left_out, {}
    for run, rows in rows_of.items():
        left_out = source.left_out_of[run].join(shared, shared.places)
        runs[run] = _samples(source, group_rows(rows, left_out), left_out, str(run))
    return runs


def _samples(source: SampleSource, grouped: Grouped, left_out: LeftOut, name: str) -> Samples:
    if not grouped.problem_ids:
        raise DataError(source.nothing_usable())
    return Samples(
        name=name,
        **grouped._asdict(),
        left_out=dict(left_out),
        left_out_at=dict(left_out.places),
        training_log=source.training_log(),
    )


def _grouped(source: SampleSource, verify_batch: VerifyBatch | None) -> Grouped:
    """Read a store by columns, unless its texts are to be verified; all else row by row."""
    if source.store is not None and verify_batch is None:
        with suppress(UnlikeSchemaError):
            return group_columns(
                source.batches(source.store), source.batches(source.greedy), source.left_out
            )
        source.left_out = LeftOut()  # again, by rows
    return group_rows(source.rows(verify_batch), source.left_out)


def _pick(values: Sequence[_T], rows: Sequence[int]) -> tuple[_T, ...]:
    return tuple(values[row] for row in rows)
