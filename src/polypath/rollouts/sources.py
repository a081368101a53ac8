"""Find the files or stores with a run's samples, and read the usable rows one by one."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from polypath.errors import DataError, MissingFileError, unknown_name
from polypath.rollouts.inspect_log import UnreadableError, log_samples, parse_json
from polypath.rollouts.layouts import ROW, Layout, find_layout, look_up
from polypath.rollouts.left_out import LeftOut, Place, tell_left_out
from polypath.rollouts.manifest import KIND
from polypath.rollouts.parquet import may_be_number, open_parquet, plain_rows
from polypath.rollouts.rows import (
    DETAILS,
    KEYS,
    LARGEST,
    SampleRow,
    VerifyBatch,
    sample_rows,
    verified,
)
from polypath.rollouts.store import MANIFEST_NAME, RolloutStore
from polypath.settings import is_number

SAMPLES_FOLDER = "samples"  # of a run folder: its store
GREEDY_FOLDER = "greedy"  # ... and the store of its greedy samples, where there is one
LOG_FILE = "log.jsonl"
_PLAIN_FOLDERS = frozenset({SAMPLES_FOLDER, "completions"})  # parts of a run, which names them
_JSON_LINES = (".jsonl", ".ndjson")
_INSPECT = (".eval", ".json")
_PARQUET = ".parquet"
_BATCH_ROWS = 1024
MODEL_KEYS = ("model", "model_name", "model_id", "model_path", "model_name_or_path")
TOGETHER = "none"  # as a run key: read all rows as one run, whatever their models
Progress = Callable[[int, int], object]  # amount done, and the total
Placed = tuple[Place, Mapping[str, Any]]  # where a row is, and the row under our keys


@dataclass(kw_only=True)
class SampleSource:
    """Files or stores of one run.

    Attributes:
        path: as the user gave it.
        name: label for the run.
        keys: our key -> key in the files.
        store: the sample store, if it is one.
        greedy: the store of greedy samples beside it.
        files: otherwise the files.
        details: whether rows include fields read only to be stored again, such as token ids.
        left_out: reason -> rows that could not be used so far.
        run_key: column of the files that tells runs apart; rows then hold it as ``run``.
        left_out_of: the same as ``left_out`` for each run, where there is such a column.
        progress: called with the amount read and the total of a file; of a store, in shards.
    """

    path: Path
    name: str
    keys: Mapping[str, str] = field(default_factory=dict)
    store: Path | None = None
    greedy: Path | None = None
    files: list[Path] = field(default_factory=list)
    details: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)
    run_key: str | None = None
    left_out_of: dict[str | None, LeftOut] = field(default_factory=dict)
    progress: Progress | None = None
    _models: dict[str, str] = field(default_factory=dict)
    _met_rows: bool = False
    _seen_keys: set[str] = field(default_factory=set)

    def rows(self, verify_batch: VerifyBatch | None = None) -> Iterator[SampleRow]:
        """Yield every usable sample; with ``verify_batch``, those with a gold answer verified again.

        Raises:
            DataError: no file can be read, no row has a key of ``keys``, or the rows come from several
                models and no run key is given.
        """
        rows = self._sample_rows(to_verify=verify_batch is not None)
        yield from rows if verify_batch is None else verified(rows, verify_batch)
        lost = [key for key in self.keys.values() if key.split(".")[0] not in self._seen_keys]
        if lost and self._met_rows:
            known = ", ".join(sorted(self._seen_keys)[:20])
            raise DataError(f"No row of {self.path} has the key {lost[0]!r}; it has {known}.")

    def _sample_rows(self, *, to_verify: bool) -> Iterator[SampleRow]:
        for place, raw in self._raw_rows():
            self._met_rows = True
            left_out = self.left_out
            if self.run_key is not None:
                left_out = self.left_out_of.setdefault(raw.get("run"), LeftOut())
            yield from sample_rows(raw, left_out, place, to_verify=to_verify)

    def _placed(self, layout: Layout, raw: dict[str, Any], place: Place) -> Iterator[Placed]:
        """Yield a row under our keys, unless it is unusable."""
        raw[ROW] = place.number - 1 if isinstance(place.number, int) else place.number
        row = self.left_out.attempt(place, self._adapted, layout, raw)
        if row is not None:
            yield place, row

    def _adapted(self, layout: Layout, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row under our keys, with its run; refuse a second model."""
        if self.run_key == TOGETHER:
            return layout.adapt(raw)
        if self.run_key is not None:
            run = look_up(raw, self.run_key)
            return {**layout.adapt(raw), "run": None if run is None else str(run)}
        for key in MODEL_KEYS:
            model = raw.get(key)
            if isinstance(model, str) and self._models.setdefault(key, model) != model:
                raise DataError(
                    f"{self.path} holds samples of several models: its {key} is {model!r} and "
                    f"{self._models[key]!r}. polypath diversity, compare, report and score read them "
                    f"apart with --run-key {key}, or as one run with --run-key {TOGETHER}; in Python "
                    "load_runs does. Elsewhere give a file of one model."
                )
        return layout.adapt(raw)

    def _raw_rows(self) -> Iterator[Placed]:
        if self.store is not None:
            yield from self._store_rows(self.store)
            if self.greedy is not None:
                for place, row in self._store_rows(self.greedy):
                    yield place, {**row, "greedy": True}
            return
        problems = []
        previous: list[object] = []
        for file in self.files:
            try:
                if not _is_trl(file):
                    yield from self._rows_of(file)
                    continue
                # TRL logs the last generation batch again until there is a new one.
                held = list(self._rows_of(file))
                texts: list[object] = [
                    (row.get("prompt"), row.get("completion")) for _, row in held
                ]
                if texts == previous:
                    self.left_out.add(
                        "logged again by TRL", held[0][0] if held else file.name, len(held)
                    )
                else:
                    yield from held
                previous = texts
            except (pa.ArrowException, OSError, UnicodeDecodeError, UnreadableError) as error:
                reason = str(error).partition("\n")[0][:120]
                problems.append(f"{file} cannot be read ({reason})")
                self.left_out.add("unreadable file", file.name)
        if len(problems) == len(self.files):
            raise DataError(f"{problems[0]}; expected a whole file.")

    def _rows_of(self, file: Path) -> Iterator[Placed]:
        if file.suffix == _PARQUET:
            return self._parquet(file)
        return self._json_objects(
            file, log_samples(file) if file.suffix in _INSPECT else _lines(file, self.progress)
        )

    def _store_rows(self, folder: Path) -> Iterator[Placed]:
        for batch in self.batches(folder):
            for row in batch.to_pylist():
                yield Place("sample", row["sample_id"], str(row["problem_id"])), row

    def batches(self, folder: Path | None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a store as columns, and count unreadable shards."""
        if folder is None:
            return
        store = RolloutStore.open(folder, on_corrupt="skip")
        known = KEYS + DETAILS if self.details else KEYS
        wanted = [name for name in known if name != "greedy"]
        for batch in store.iter_batches(wanted, progress=self.progress):
            self._seen_keys.update(wanted)
            self._met_rows |= batch.num_rows > 0
            yield batch
        for shard in sorted(store.skipped):
            self.left_out.add("unreadable shard", folder.name + "/" + shard)

    def _json_objects(self, file: Path, found: Iterable[tuple[Place, Any]]) -> Iterator[Placed]:
        """Read JSON rows; one without a completion where earlier rows had it may be another tool's."""
        layouts: dict[str, Layout] = {}
        layout: Layout | None = None
        for place, raw in found:
            if not isinstance(raw, dict):
                self.left_out.add("not JSON" if raw is None else "not a JSON object", place)
                continue
            self._seen_keys.update(raw)
            if layout is None or look_up(raw, layout.completion) is None:
                numbers = [
                    name for name, v in raw.items() if v is None or isinstance(v, int | float)
                ]
                other = self._layout(raw.keys(), file, numbers)
                if layout is None or look_up(raw, other.completion) is not None:
                    layout = layouts.setdefault(other.completion, other)
            yield from self._placed(layout, raw, place)

    def _layout(self, names: Collection[str], file: Path, numbers: Collection[str]) -> Layout:
        return find_layout(
            names,
            file,
            self.keys,
            numbers=numbers,
            details=self.details,
            run_key=self.run_key,
        )

    def _parquet(self, file: Path) -> Iterator[Placed]:
        """Read group by group, so that a damaged group loses only its own rows."""
        with open_parquet(file) as parquet:
            schema = parquet.schema_arrow
            names = schema.names
            self._seen_keys.update(names)
            layout = self._layout(names, file, [f.name for f in schema if may_be_number(f.type)])
            told_apart = MODEL_KEYS if self.run_key is None else (self.run_key.split(".")[0],)
            wanted = dict.fromkeys([*layout.columns, self.run_key, *told_apart])
            columns = [name for name in wanted if name in names]
            number = 0
            for group in range(parquet.metadata.num_row_groups):
                end = number + parquet.metadata.row_group(group).num_rows
                try:
                    for batch in parquet.iter_batches(_BATCH_ROWS, [group], columns):
                        for raw in plain_rows(batch):
                            number += 1
                            if self.progress is not None and number % _BATCH_ROWS == 0:
                                self.progress(number, parquet.metadata.num_rows)
                            place = Place("row", number, file.name)
                            if raw is None:
                                self.left_out.add("unreadable value", place)
                            else:
                                yield from self._placed(layout, raw, place)
                except (pa.ArrowException, OSError):
                    place = Place("row", number + 1, file.name)
                    self.left_out.add("unreadable row group", place, end - number)
                number = end

    def sibling(self, suffix: str) -> Path:
        """Return a path beside the run, named after it."""
        return _whole(self.path).with_name(self.name + suffix)

    def nothing_usable(self, run: str | None = None) -> str:
        """Say why this source, or one of its runs, gave no sample."""
        if not self._met_rows and not self.left_out:
            return f"{self.path} is empty; expected samples (problem_id, completion, correct)."
        reasons = tell_left_out(self.left_out, self.left_out.places)
        known = ", ".join(sorted(self._seen_keys)[:20]) or "none"
        return (
            f"{self.path} holds no usable sample{'' if run is None else f' of {run!r}'} "
            f"({reasons or 'no rows'}). Its keys are: {known}; "
            "expected problem_id, completion and correct, or their names by keys."
        )

    @property
    def log_file(self) -> Path | None:
        """The run's ``log.jsonl``, if there is one."""
        folder = self.path if self.path.is_dir() else self.path.parent
        if folder.name in _PLAIN_FOLDERS:
            folder = folder.parent
        elif not self.path.is_dir():
            # Files side by side need not come from the run of the log beside them.
            return None
        log = folder / LOG_FILE
        return log if log.is_file() else None

    def training_log(self) -> tuple[Mapping[str, float], ...]:
        """Return the numbers of every line of the run's ``log.jsonl``, without bad lines."""
        lines = []
        for line in [] if self.log_file is None else self.log_file.read_bytes().splitlines():
            entry = parse_json(line)
            if isinstance(entry, dict):
                numbers = {name: v for name, v in entry.items() if is_number(v)}
                lines.append({n: float(v) for n, v in numbers.items() if abs(v) <= LARGEST})
        return tuple(lines)


def find_source(path: Path, keys: Mapping[str, str]) -> SampleSource:
    """Return the source of samples at ``path``.

    Raises:
        MissingFileError: nothing is there.
        ConfigError: ``keys`` has a key that is not ours.
        DataError: nothing there holds samples, or it holds several runs at once.
    """
    for ours in keys:
        if ours not in KEYS:
            raise unknown_name("sample key", ours, KEYS)
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; expected a run folder or a sample file.")
    name = label_of(path)
    if path.is_file():
        if path.suffix not in (*_JSON_LINES, *_INSPECT, _PARQUET):
            known = ", ".join((*_JSON_LINES, _PARQUET, *_INSPECT))
            raise DataError(f"{path} is no file that is read; expected one of {known}.")
        if not path.stat().st_size:
            raise DataError(f"{path} is empty; expected samples (problem_id, completion, correct).")
        return SampleSource(path=path, name=name, keys=keys, files=[path])
    for folder in (path, path / SAMPLES_FOLDER):
        if _is_store(folder):
            greedy = folder.parent / GREEDY_FOLDER
            has_greedy = folder.name == SAMPLES_FOLDER and _is_store(greedy)
            return SampleSource(
                path=path, name=name, store=folder, greedy=greedy if has_greedy else None
            )
    return SampleSource(path=path, name=name, keys=keys, files=_files_of(path))


def _files_of(folder: Path) -> list[Path]:
    """Return a folder's Parquet files, or its only JSON lines file or inspect_ai log."""
    for place in (folder, folder / "completions"):
        parquet = sorted(place.glob("*.parquet"))
        if parquet:
            return parquet
    suffixes = (*_JSON_LINES, ".eval")
    lines = sorted(file for suffix in suffixes for file in folder.glob(f"*{suffix}"))
    lines = [file for file in lines if file.name != LOG_FILE]
    if len(lines) > 1:
        # For example dumps of several training steps: read as one run, they would belong to no model.
        newest = max(lines, key=lambda f: (int(f.stem) if f.stem.isdecimal() else -1, f.name))
        raise DataError(
            f"{folder} holds {len(lines)} files of samples; name one of them, "
            f"{newest} for instance."
        )
    if not lines:
        raise DataError(
            f"{folder} holds no samples: expected {MANIFEST_NAME} of a sample store, "
            f"{SAMPLES_FOLDER}/{MANIFEST_NAME}, or files ending in .parquet, .jsonl or .eval."
        )
    return lines


def _lines(file: Path, progress: Progress | None) -> Iterator[tuple[Place, Any]]:
    """Yield every line's place and value; None where it is not JSON."""
    size = file.stat().st_size
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if progress is not None and number % _BATCH_ROWS == 0:
                progress(lines.tell(), size)
            if line.strip():
                yield Place("line", number, file.name), parse_json(line)


def _is_store(folder: Path) -> bool:
    try:
        manifest = parse_json((folder / MANIFEST_NAME).read_bytes())
    except OSError:
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == KIND


def _is_trl(file: Path) -> bool:
    return file.name.startswith("completions_") and file.suffix == ".parquet"


def _whole(path: Path) -> Path:
    """Return the run of a path that names the run or a part of it."""
    path = path if path.name not in ("", "..") else path.resolve()
    if path.name in _PLAIN_FOLDERS and path.is_dir():
        # The parent of "samples" is ".", which has no name.
        return path.parent if path.parent.name else path.resolve().parent
    return path


def label_of(path: Path) -> str:
    """Return the label of the run at a path: its file or folder name without an ending."""
    whole = _whole(path)
    return whole.stem if whole.is_file() else whole.name
