"""From sample stores to files, and back."""

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polypath.errors import DataError
from polypath.rollouts.files import atomic_write
from polypath.rollouts.manifest import RolloutManifest
from polypath.rollouts.rows import SampleRow, VerifyBatch, in_chunks, verified
from polypath.rollouts.schema import FINISH_REASONS, SCHEMA, Rollout
from polypath.rollouts.sources import GREEDY_FOLDER, SAMPLES_FOLDER, SampleSource, find_source
from polypath.rollouts.store import RolloutStore

GREEDY_ID = -1  # sample_id of a greedy sample in files; stores keep greedy samples separately
_SHARD_ROWS = 4096
_LARGEST = 2**63 - 1  # a store holds
_LARGEST_TOKEN = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class ImportSummary:
    """What happened to the rows of a file.

    Attributes:
        num_rows: number of samples now in the store.
        new_rows: number of these that this call added.
        num_greedy: number of greedy samples now in the store next to it.
        left_out: reason -> number of rows left out.
        left_out_at: reason -> places of the first of them.
        statuses: status of a verdict -> number of rows added by this call, including greedy ones.
    """

    num_rows: int
    new_rows: int
    num_greedy: int
    left_out: Mapping[str, int]
    left_out_at: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)


def export_jsonl(run: str | Path, target: str | Path, *, token_ids: bool = True) -> int:
    """Write every row of a run or a store as a line of JSON, in the order of the store.

    Greedy samples follow with ``sample_id`` -1. The file appears complete or not at all.
    ``import_run`` makes the same store from it.

    Args:
        run: run folder or sample store.
        target: the file.
        token_ids: whether to write them; they are most of the file.

    Returns:
        The number of lines.

    Raises:
        MissingFileError: ``run`` does not exist.
        DataError: it is not a store, or one of its shards cannot be read.
    """
    source = find_source(Path(run), {})
    if source.store is None:
        raise DataError(f"{run} is not a run folder or a sample store; only these can be exported.")
    columns = [name for name in SCHEMA.names if token_ids or name != "token_ids"]
    lines = 0
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        for store, greedy in ((source.store, False), (source.greedy, True)):
            for batch in () if store is None else RolloutStore.open(store).iter_batches(columns):
                for row in batch.to_pylist():
                    if greedy:
                        row["sample_id"] = GREEDY_ID
                    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                    lines += 1
    return lines


def import_run(
    path: str | Path,
    out: str | Path,
    manifest: RolloutManifest,
    *,
    keys: Mapping[str, str] | None = None,
    verify_batch: VerifyBatch | None = None,
    problems: Mapping[str, tuple[str, str]] | None = None,
    run_key: str | None = None,
    run: str | None = None,
) -> ImportSummary:
    """Make a run folder from a file; with ``verify_batch``, every completion is verified.

    If it is killed, the same call resumes. Rows without ``sample_id`` are numbered by their
    order in the file.

    Args:
        path: any file that ``load_samples`` reads.
        out: the run folder to make or to resume.
        manifest: what is known about how the rows were made.
        keys: as in ``load_samples``.
        verify_batch: verifies (completions, golds), one part of the file at a time.
        problems: problem_id -> (prompt, gold), for rows that lack them. A row without a gold
            answer and without an entry here is left out if it has to be verified.
        run_key: as in ``load_runs``: column that says which run a row belongs to, or ``none``.
        run: with a run key, the run to read, one of ``run_names``; ``None`` reads all rows.

    Raises:
        ConfigError: the run folder has samples that were made in another way.
        DataError: no row can be used.
    """
    source = find_source(Path(path), keys or {})
    source.details, source.run_key = True, run_key
    folder = Path(out)
    with RolloutStore.create_or_open(folder / SAMPLES_FOLDER, manifest) as store:
        done = store.index()
        before = len(done)
        greedy: list[Rollout] = []
        statuses: Counter[str] = Counter()
        rows = _numbered(source, run, verify_batch is not None, problems or {}, done)
        for some in in_chunks(
            rows if verify_batch is None else verified(rows, verify_batch), _SHARD_ROWS
        ):
            made = [(row.greedy, _rollout(row)) for row in some]
            statuses.update(rollout.status for _, rollout in made)
            greedy += [rollout for is_greedy, rollout in made if is_greedy]
            store.append(rollout for is_greedy, rollout in made if not is_greedy)
        num_rows = len(done)
    if not num_rows:
        raise DataError(source.nothing_usable(run))
    if greedy:
        with RolloutStore.create_or_open(folder / GREEDY_FOLDER, manifest) as store:
            done = store.index()
            store.append(row for row in greedy if (row.problem_id, row.sample_id) not in done)
    return ImportSummary(
        num_rows=num_rows,
        new_rows=num_rows - before,
        num_greedy=len(greedy),
        left_out=dict(source.left_out),
        left_out_at=dict(source.left_out.places),
        statuses=dict(statuses.most_common()),
    )


def run_names(
    path: str | Path, run_key: str, *, keys: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the names of the runs in a file, in order of first appearance.

    Args:
        path: any file that ``load_samples`` reads. A sample store has no column of runs.
        run_key: column that says which run a row belongs to; ``a.b`` means b in a.
        keys: as in ``load_samples``.

    Returns:
        The values of the column; empty if no row with a sample has one.

    Raises:
        MissingFileError, ConfigError, DataError: as ``load_samples``.
    """
    source = find_source(Path(path), keys or {})
    source.run_key = run_key
    found = dict.fromkeys(row.raw.get("run") for row in source.rows())
    return tuple(name for name in found if name is not None)


def _rows_of(source: SampleSource, run: str | None) -> Iterator[SampleRow]:
    """Yield the rows of one run, and count those without a run; ``None`` yields all rows."""
    others = set()
    for row in source.rows():
        found = row.raw.get("run")
        if run is None or found == run:
            yield row
        elif found is None:
            source.left_out[f"no {source.run_key}"] += 1
        else:
            others.add(found)
    for name, left_out in source.left_out_of.items():
        if name not in others:  # bad rows of a run without good ones are counted in every run
            source.left_out.update(left_out)


def _numbered(
    source: SampleSource,
    run: str | None,
    to_verify: bool,
    problems: Mapping[str, tuple[str, str]],
    done: Container[tuple[str, int]],
) -> Iterator[SampleRow]:
    """Yield the rows that are not ``done``, with prompt, gold and number. No key occurs twice."""
    seen: set[tuple[str, int]] = set()
    next_id: Counter[str] = Counter()
    for row in _rows_of(source, run):
        prompt, gold = problems.get(row.problem_id, (None, None))
        gold = row.gold or gold
        if to_verify and gold is None:
            source.left_out.add("unknown problem_id and no gold", row.place)
            continue
        sample_id = GREEDY_ID if row.greedy else row.sample_id
        if sample_id is None:
            while (row.problem_id, next_id[row.problem_id]) in seen:
                next_id[row.problem_id] += 1
            sample_id = next_id[row.problem_id]
        elif not GREEDY_ID <= sample_id <= _LARGEST:
            source.left_out.add("sample_id is out of range", row.place)
            continue
        key = (row.problem_id, sample_id)
        if key in seen:
            source.left_out.add("duplicate sample", row.place)
            continue
        seen.add(key)
        if key not in done:
            yield replace(row, sample_id=sample_id, prompt=row.prompt or prompt, gold=gold)


def _rollout(row: SampleRow) -> Rollout:
    status = row.status or "graded"
    return Rollout(
        problem_id=row.problem_id,
        sample_id=max(row.sample_id or 0, 0),
        prompt=row.prompt or "",
        completion=row.completion,
        gold=row.gold or "",
        # "error" is the status of a row that nobody verified: it counts neither as right nor as wrong.
        status="error" if row.correct is None and status == "graded" else status,
        reward=float(row.correct or 0) if row.reward is None else row.reward,
        correct=row.correct or False,
        answer=row.answer,
        **_details(row.raw),
    )


def _details(raw: Mapping[str, Any]) -> dict[str, Any]:
    tokens, count, reason = (raw.get(name) for name in ("token_ids", "n_tokens", "finish_reason"))
    if isinstance(tokens, list) and all(
        isinstance(token, int) and 0 <= token <= _LARGEST_TOKEN for token in tokens
    ):
        tokens, count = tuple(tokens), len(tokens)
    else:
        tokens = None
    return {
        "token_ids": tokens,
        "n_tokens": int(count)
        if isinstance(count, int | float) and 0 <= count < _LARGEST
        else None,
        "finish_reason": next((r for r in FINISH_REASONS if r == reason), None),
    }
