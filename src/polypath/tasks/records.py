"""Rows of a data set, from local JSON, JSON lines or Parquet, or from the hub, and their fields.

A file is read as it is, and nothing is left out. A row that cannot be used is an error that names it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypath.credentials import one_line, redact
from polypath.errors import ConfigError, DataError, MissingExtraError, MissingFileError

Row = Mapping[str, Any]

QUESTION_FIELDS = ("problem", "question", "prompt", "instruction", "input")
ANSWER_FIELDS = ("answer", "final_answer", "gold", "target", "solution")
ID_FIELDS = ("problem_id", "unique_id", "id", "idx", "question_id")
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the rows of a split come from.

    Attributes:
        task: name of the task, for messages.
        data: local file, or folder with a file for each split; ``None`` for the hub.
        hub: id of a data set on the hub; ``None`` if none is known.
        config: config of the hub's data set.
        revision: revision of the hub's data set.
        hub_splits: our split -> the hub's, if they differ.
        file_names: our split -> further names its local file may have, without suffix.
    """

    task: str
    data: str | None
    hub: str | None
    config: str | None
    revision: str | None
    hub_splits: Mapping[str, str]
    file_names: Mapping[str, tuple[str, ...]]

    def read(self, split: str) -> list[Row]:
        """Read all rows of a split, in their order.

        Raises:
            ConfigError: there is neither local data nor a data set on the hub.
            MissingFileError: the local data does not exist.
            DataError: it cannot be read, or the hub cannot be reached.
            MissingExtraError: the hub is needed, and ``datasets`` is not installed.
        """
        if self.data is not None:
            files = self.files(split)
            rows = [row for file in files for row in read_file(file)]
            if not rows:
                raise DataError(f"{files[0]} holds no rows; expected the {split} split.")
            return rows
        if self.hub is None:
            raise ConfigError(
                f"{self.task} has no known data set on the hub. Give local files with "
                "data=PATH, or a hub id with hub=ORGANISATION/NAME."
            )
        return self._from_hub(split)

    def files(self, split: str) -> list[Path]:
        """Return the local files of a split: the file itself, or those with its name in the folder."""
        path = Path(str(self.data))
        if path.is_file():
            if path.suffix not in SUFFIXES:
                raise DataError(f"data={path} must end in one of {', '.join(SUFFIXES)}.")
            return [path]
        if not path.is_dir():
            raise MissingFileError(
                f"data={path} of task {self.task} does not exist; expected a file "
                f"({', '.join(SUFFIXES)}) or a folder with a file for each split."
            )
        names = (split, *self.file_names.get(split, ()))
        folders = (
            path,
            path / "data",
            *([path / self.config] if self.config else []),
            path / split,
        )
        for name in names:
            for folder in folders:
                for pattern in (*(f"{name}{suffix}" for suffix in SUFFIXES), f"{name}-*.parquet"):
                    found = sorted(folder.glob(pattern))
                    if found:
                        return found
        there = sorted(entry.name for entry in path.iterdir())[:10]
        raise MissingFileError(
            f"data={path} has no file for split {split!r} of {self.task}: expected "
            f"{' or '.join(f'{name}.jsonl' for name in names)} (or .json, .parquet), found "
            f"{', '.join(there) or 'nothing'}."
        )

    def _from_hub(self, split: str) -> list[Row]:
        try:
            from datasets import load_dataset
        except ImportError:
            raise MissingExtraError(
                f"Task {self.task} loads {self.hub} from the hub with the package datasets: "
                "pip install 'polypath[trl]', or give local files with data=PATH."
            ) from None
        name = self.hub_splits.get(split, split)
        try:
            loaded = load_dataset(self.hub, self.config, split=name, revision=self.revision)
            return list(loaded)
        # Many things can go wrong between here and the hub, with error classes of a dozen libraries.
        except Exception as error:
            reason = one_line(error, 200) or type(error).__name__
            raise DataError(
                f"Cannot load {self.hub} ({self.config or 'default'}, split {name}) from the hub: "
                f"{reason.rstrip('.')}. Give local files with data=PATH."
            ) from error


def read_file(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSON list, JSON lines or a Parquet file.

    Raises:
        DataError: the file cannot be read in the format of its suffix, or a row is not an object.
    """
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            yield from pq.read_table(path).to_pylist()
            return
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json" and not _is_json_lines(text):
            rows = json.loads(text)
            if isinstance(rows, dict) and isinstance(rows.get("data"), list):
                rows = rows["data"]
            if not isinstance(rows, list):
                raise DataError(f"{path} must hold a list of objects, got {type(rows).__name__}.")
        else:
            rows = list(_json_lines(path, text))
    except (ValueError, OSError) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read as {path.suffix[1:]}: {reason}.") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: expected an object, got {type(row).__name__}.")
        yield row


def _is_json_lines(text: str) -> bool:
    """Return whether a ``.json`` file contains JSON lines, as in some hub data sets."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        whole = json.loads(text)
    except ValueError:
        return True
    return "\n" not in text.strip() and not isinstance(whole.get("data"), list)


def _json_lines(path: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error}).") from error


def find_field(
    rows: Sequence[Row], chosen: str | None, candidates: Sequence[str], *, what: str, where: str
) -> str:
    """Return the field with the questions, or answers: the chosen one, or the first that exists.

    Args:
        rows: at least one; the first decides.
        chosen: the user's choice; ``None`` to look for it.
        candidates: names to look for, the most likely first.
        what: name of the option that chooses, for messages.
        where: what is read, for messages.

    Raises:
        DataError: no candidate exists, or the chosen field does not.
    """
    known = ", ".join(rows[0])
    if chosen is not None:
        if chosen not in rows[0]:
            raise DataError(f"{where} has no field {chosen!r} ({what}); it has {known}.")
        return chosen
    for name in candidates:
        if rows[0].get(name) is not None:
            return name
    raise DataError(
        f"{where} has none of the fields {', '.join(candidates)}, but {known}. "
        f"Name the right one with {what}=FIELD."
    )


def text_of(row: Row, field: str, place: str) -> str:
    """Return a field that must hold text.

    Raises:
        DataError: it does not; the message names row and field.
    """
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{place}, field {field!r}: expected a text, got {_short(value)}.")
    return value


def gold_of(row: Row, field: str, place: str) -> str:
    r"""Return the final answer in a field of a row, as text.

    - A number is written without a needless ``.0``: ``27.0`` is ``27``.
    - A list is its element, or its elements joined by commas.
    - A text with ``####`` (GSM8K) gives what follows the last of them, without thousands commas.
    - A text with ``\boxed{...}`` gives the content of the last one. A field named ``solution``
      must have one.
    - Any other text is returned without the dollar signs around it.

    Raises:
        DataError: there is no answer; the message names row and field.
    """
    value = row.get(field)
    values = value if isinstance(value, list | tuple) else [value]
    answers = [_answer(entry, needs_box=field == "solution") for entry in values]
    found = [answer for answer in answers if answer]
    if not found or len(found) < len(answers):
        expected = r"a \boxed{answer}" if field == "solution" else "an answer"
        raise DataError(f"{place}, field {field!r}: expected {expected}, got {_short(value)}.")
    return ", ".join(found)


def _answer(value: Any, *, needs_box: bool) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if not isinstance(value, str):
        whole = isinstance(value, float) and value.is_integer()
        return str(int(value)) if whole else (str(value) if value == value else None)
    if "####" in value:
        return value.rsplit("####", 1)[1].strip().replace(",", "")
    boxed = last_boxed(value)
    if boxed is not None or needs_box:
        return boxed
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] == "$" and "$" not in text.strip("$"):
        text = text.strip("$").strip()
    return text


def last_boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{...}`` whose braces close; ``None`` without one.

    >>> last_boxed(r"\boxed{1} so \boxed{\frac{1}{2}} $")
    '\\frac{1}{2}'
    """
    end = len(text)
    while (start := text.rfind(r"\boxed", 0, end)) >= 0:
        opening = start + len(r"\boxed")
        while text[opening : opening + 1] == " ":
            opening += 1
        closing = _closing_brace(text, opening)
        if closing is not None:
            return text[opening + 1 : closing].strip() or None
        end = start
    return None


def _closing_brace(text: str, opening: int) -> int | None:
    """Return where the brace at ``opening`` closes; ``None`` if there is none or it never does."""
    depth = 0
    for place in range(opening, len(text)):
        if text[place] in "{}" and text[place - 1 : place] != "\\":
            depth += 1 if text[place] == "{" else -1
        if depth == 0:
            return place if place > opening else None
    return None


def problem_ids(
    rows: Sequence[Row], keys: Sequence[str], chosen: str | None, *, where: str
) -> list[str]:
    """Return an id for each row: the data set's own ids if they differ between rows, else a hash.

    Args:
        rows: rows of one split.
        keys: the question of each row; rows with equal hashes get -2, -3, ... in their order.
        chosen: field that the user named; ``None`` to look for one.
        where: what is read, for messages.

    Raises:
        DataError: the chosen field is missing, or contains a value twice.
    """
    for name in (chosen,) if chosen is not None else ID_FIELDS:
        values = [row.get(name) for row in rows]
        usable = all(isinstance(v, str | int) and str(v).strip() for v in values)
        texts = [str(value) for value in values]
        if usable and len(set(texts)) == len(texts):
            return texts
        if chosen is not None:
            double = next((t for n, t in enumerate(texts) if t in texts[:n]), None)
            fault = f"has {double!r} twice" if usable else "is not a text or number in every row"
            raise DataError(f"{where}: field {chosen!r} (id_field) {fault}; ids must be unique.")
    ids = []
    times: dict[str, int] = {}
    for key in keys:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
        times[digest] = times.get(digest, 0) + 1
        ids.append(digest if times[digest] == 1 else f"{digest}-{times[digest]}")
    return ids


def _short(value: Any) -> str:
    text = redact(repr(value))
    return text if len(text) <= 80 else f"{text[:40]} ... {text[-30:]}"
