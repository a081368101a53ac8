"""Verify every completion of a run again, into a new run. The old run is only read.

Each store of the new run has the old store's shards by name, with new verdicts. A shard appears
complete or not at all, so the same call resumes after a kill, and several processes can share the work.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from polypath.errors import ConfigError, DataError
from polypath.executor.protocol import Executor, Unit, results
from polypath.rollouts.files import atomic_write, write_file
from polypath.rollouts.locks import WHOLE, Part
from polypath.rollouts.parquet import open_parquet, write_parquet
from polypath.rollouts.rows import VerdictLike, VerifyBatch
from polypath.rollouts.schema import SCHEMA
from polypath.rollouts.sources import GREEDY_FOLDER, SAMPLES_FOLDER, find_source
from polypath.rollouts.store import RolloutStore

_SAME = ["problem_id", "sample_id", "completion"]  # columns that a shard and its new version share
_COMPARED = [*_SAME, "correct", "answer", "status"]


@dataclass(frozen=True, kw_only=True)
class ReverifySummary:
    """How the verdicts of two stores differ.

    Attributes:
        num_rows: number of rows that were verified again.
        now_right: number of rows that were not right before and are now.
        now_wrong: number of rows that were right before and are not now.
        new_answers: number of other rows whose canonical solution changed.
        statuses: status -> number of rows that have it now.
        unreadable_shards: number of the old store's shards that cannot be read; the new store lacks their
            rows.
    """

    num_rows: int
    now_right: int
    now_wrong: int
    new_answers: int
    statuses: Mapping[str, int]
    unreadable_shards: int = 0


def reverify_run(
    run: str | Path,
    out: str | Path,
    verify_batch: VerifyBatch,
    *,
    task: str | None = None,
    task_options: Mapping[str, str] | None = None,
    part: Part = WHOLE,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write a run to a new folder with new verdicts, against the stored gold answers.

    Completions, keys and the order of rows stay as they are. Shards that the new run already has are
    not verified again.

    Args:
        run: run folder or sample store.
        out: the new run folder.
        verify_batch: verifies (completions, golds); called once for each shard.
        task: task to record as the one that verifies these rows; ``None`` keeps the recorded one.
        task_options: options to record in the same way.
        part: part of the shards, if other processes verify the rest: every ``part.of``-th.
        executor: executor that verifies instead of ``verify_batch``. The state of its workers is the
            task. This process reads and writes.
        progress: called with 1 for every verified shard, and once with the number of those that were
            verified before.

    Returns:
        The number of shards verified by this call.

    Raises:
        MissingFileError: ``run`` does not exist.
        ConfigError: both are the same run; the new one was made with another task or other settings,
            or has other samples; or another process is writing to it.
        DataError: ``run`` has no sample store, or a shard of the new run has other rows than the old
            shard of the same name.
    """
    verified = 0
    changes: dict[str, Any] = {} if task is None else {"task": task}
    if task_options is not None:
        changes["task_options"] = dict(task_options)
    for old, target in _stores(run, out):
        manifest = replace(old.manifest, **changes)
        with RolloutStore.create_or_open(target, manifest, part=part) as new:
            verified += _fill(old, new, _verifying(verify_batch, executor), part, progress)
    log = find_source(Path(run), {}).log_file
    if log is not None and not (Path(out) / log.name).exists():
        write_file(Path(out) / log.name, log.read_bytes(), owner=part.owner)
    return verified


def count_shards(run: str | Path, out: str | Path) -> tuple[int, int]:
    """Return how many shards of a run the new run has, and how many there are.

    Raises:
        MissingFileError: a store of the new run does not exist.
        ConfigError: the new run has samples that the old one lacks.
    """
    done, total = 0, 0
    for old, target in _stores(run, out):
        done += len(_verified_names(old, RolloutStore.open(target)))
        total += len(old.shards())
    return done, total


def compare_verdicts(run: str | Path, out: str | Path) -> dict[str, ReverifySummary]:
    """Return, for each store of the new run, how its verdicts differ from the old ones.

    Raises:
        MissingFileError: a store of the new run does not exist.
        ConfigError: the new run has samples that the old one lacks.
        DataError: a shard of the new run has other rows than the old shard of the same name.
    """
    return {
        target.name: _compare(old, RolloutStore.open(target)) for old, target in _stores(run, out)
    }


def _stores(run: str | Path, out: str | Path) -> list[tuple[RolloutStore, Path]]:
    """Return each store of a run, with its place in the new run."""
    source = find_source(Path(run), {})
    if source.store is None:
        raise DataError(f"{run} is not a run folder or a sample store; import_run verifies files.")
    places = {Path(out) / SAMPLES_FOLDER: source.store, Path(out) / GREEDY_FOLDER: source.greedy}
    pairs = [(RolloutStore.open(old), new) for new, old in places.items() if old is not None]
    if any(old.path.resolve() == new.resolve() for old, new in pairs):
        raise ConfigError(f"{out} is the run to verify, which is not changed. Name another --out.")
    return pairs


# From paths and texts (completions, golds) of shards to paths and verdicts, in any order.
Verifying = Callable[
    [Iterator[tuple[Path, list[str], list[str]]]], Iterator[tuple[Path, Sequence[VerdictLike]]]
]


def _verifying(verify_batch: VerifyBatch, executor: Executor | None) -> Verifying:
    """Return what verifies shards, here or in workers."""
    if executor is None:
        return lambda shards: ((shard, verify_batch(*texts)) for shard, *texts in shards)

    def in_workers(
        shards: Iterator[tuple[Path, list[str], list[str]]],
    ) -> Iterator[tuple[Path, Sequence[VerdictLike]]]:
        units = (
            Unit(
                name=str(shard),
                function=verdicts,
                arguments={"completions": completions, "golds": golds},
            )
            for shard, completions, golds in shards
        )
        return ((Path(unit.name), found) for unit, found in results(executor, units))

    return in_workers


def verdicts(task: Any, completions: list[str], golds: list[str]) -> Sequence[VerdictLike]:
    """Verify the texts of a shard in a worker, whose state is the task."""
    found: Sequence[VerdictLike] = task.verify_batch(completions, golds)
    return found


def _fill(
    old: RolloutStore,
    new: RolloutStore,
    verifying: Verifying,
    part: Part,
    progress: Callable[[int], None] | None,
) -> int:
    """Verify the missing shards of this part, and return how many."""
    there, verified = _verified_names(old, new), 0
    mine = old.shards()[part.rank :: part.of]
    done = [shard for shard in mine if shard.name in there]
    for shard in done:
        _compared_columns(shard, new.path / shard.name)
    if progress is not None:
        progress(len(done))
    for shard, rows in _verified([shard for shard in mine if shard.name not in there], verifying):
        with atomic_write(new.path / shard.name, owner=part.owner) as file:
            write_parquet(rows, file)
        verified += 1
        if progress is not None:
            progress(1)
    return verified


def _verified(shards: Sequence[Path], verifying: Verifying) -> Iterator[tuple[Path, pa.Table]]:
    """Yield shards with their new rows. One that cannot be read becomes an empty one: it is done, too."""
    read: dict[Path, pa.Table] = {}  # under way

    def texts() -> Iterator[tuple[Path, list[str], list[str]]]:
        for shard in shards:
            table = _read(shard, SCHEMA.names)
            read[shard] = SCHEMA.empty_table() if table is None else table
            completions, golds = (
                read[shard].column(name).to_pylist() for name in ("completion", "gold")
            )
            if completions:
                yield shard, completions, golds

    for shard, found in verifying(texts()):
        yield shard, _with_verdicts(read.pop(shard), found)
    for shard, table in read.items():  # empty
        yield shard, table


def _compare(old: RolloutStore, new: RolloutStore) -> ReverifySummary:
    counts: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for name in sorted(_verified_names(old, new)):
        columns = _compared_columns(old.path / name, new.path / name)
        if columns is None:
            counts["unreadable"] += 1
            continue
        before, after = columns
        statuses.update(after["status"])
        for was_right, is_right, old_answer, new_answer in zip(
            before["correct"], after["correct"], before["answer"], after["answer"], strict=True
        ):
            if is_right != was_right:
                counts["now_right" if is_right else "now_wrong"] += 1
            elif new_answer != old_answer:
                counts["new_answers"] += 1
    return ReverifySummary(
        num_rows=sum(statuses.values()),
        now_right=counts["now_right"],
        now_wrong=counts["now_wrong"],
        new_answers=counts["new_answers"],
        statuses=dict(statuses),
        unreadable_shards=counts["unreadable"],
    )


def _with_verdicts(table: pa.Table, found: Sequence[VerdictLike]) -> pa.Table:
    """Return the rows of a shard with new verdicts."""
    columns = {
        **{name: table.column(name) for name in SCHEMA.names},
        "status": [str(verdict.status) for verdict in found],
        "reward": [verdict.reward for verdict in found],
        "correct": [verdict.correct for verdict in found],
        "answer": [verdict.answer for verdict in found],
    }
    return pa.table(columns, schema=SCHEMA)


def _verified_names(old: RolloutStore, new: RolloutStore) -> set[str]:
    """Return the names of the shards that the new store has.

    Raises:
        ConfigError: the new store has shards that the old one lacks.
    """
    there = {shard.name for shard in new.shards()}
    others = there - {shard.name for shard in old.shards()}
    if others:
        raise ConfigError(
            f"{new.path} holds other samples than {old.path} ({min(others)}); use a new folder."
        )
    return there


def _compared_columns(
    old: Path, new: Path
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]] | None:
    """Return the columns of a shard and of its new version to compare; ``None`` if it is unreadable."""
    before, after = _read(old, _COMPARED), _read(new, _COMPARED)
    if after is None:
        raise DataError(f"{new} cannot be read; delete it to verify its rows again.")
    if before is None:
        return None
    if not before.select(_SAME).equals(after.select(_SAME)):
        raise DataError(
            f"{new} holds other rows than {old}; delete it to verify them, or use a new folder."
        )
    return before.to_pydict(), after.to_pydict()


def _read(shard: Path, names: list[str]) -> pa.Table | None:
    """Return columns of a shard; ``None`` if it cannot be read."""
    try:
        with open_parquet(shard, names) as file:
            table = file.read(names).select(names)
            table.validate(full=True)
            return table
    except (pa.ArrowException, OSError, KeyError):
        return None
