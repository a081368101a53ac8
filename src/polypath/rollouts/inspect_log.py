"""Logs of inspect_ai, read without inspect_ai: an archive of JSON files (.eval), or one file (.json)."""

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from polypath.rollouts.left_out import Place

_ZSTANDARD = 93  # its number in archives
_HEAD = 30  # bytes before a member's name; its last four are the lengths of name and extra field
# The number that inspect_ai's value_to_float returns for a scorer's value.
_VALUES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, pa.ArrowException),
    *(OSError, EOFError, ValueError, MemoryError, RuntimeError),
)


class UnreadableError(Exception):
    """A whole file cannot be read."""


def log_samples(path: Path) -> Iterator[tuple[Place, Any]]:
    """Yield the place of every sample of a log, and the sample with the log's model; None if damaged.

    A ``.json`` file that is a list and not a log is read as a list of rows.

    Raises:
        UnreadableError: it is neither.
    """
    if path.suffix == ".json":
        content = parse_json(path.read_bytes())
        samples = content.get("samples") if isinstance(content, dict) else content
        if not isinstance(samples, list):
            raise UnreadableError("it holds neither a list nor a log with samples")
        for number, sample in enumerate(samples, 1):
            yield Place("sample", number, path.name), _with_model(sample, content)
        return
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise UnreadableError(f"{error}; expected an archive") from None
    with archive:
        members = {info.filename: info for info in archive.infolist()}
        # The first is written at the end of an evaluation, the other at its start.
        heads = [members[n] for n in ("header.json", "_journal/start.json") if n in members]
        head = _read(archive, heads[0]) if heads else None
        for name, info in members.items():
            if name.startswith("samples/") and name.endswith(".json"):
                yield Place("member", name, path.name), _with_model(_read(archive, info), head)


def parse_json(text: bytes) -> Any:
    """Return the content of JSON; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # text that is not UTF-8 is also a ValueError
        return None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    try:
        return parse_json(_content(archive, info))
    except NotImplementedError:
        raise UnreadableError(
            f"it is compressed by method {info.compress_type}; "
            "`inspect log convert --to json` makes a file that can be read"
        ) from None
    except _DAMAGED:
        return None


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a member. zipfile supports Zstandard only from Python 3.14 on."""
    if info.compress_type != _ZSTANDARD:
        return archive.read(info)
    with Path(str(archive.filename)).open("rb") as file:
        file.seek(info.header_offset)
        head = file.read(_HEAD)
        file.seek(int.from_bytes(head[-4:-2], "little") + int.from_bytes(head[-2:], "little"), 1)
        packed = file.read(info.compress_size)
    content: bytes = pa.decompress(packed, info.file_size, codec="zstd", asbytes=True)
    if zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile("checksum")
    return content


def _with_model(sample: Any, head: Any) -> Any:
    """Return a sample with the log's model, and its scores as numbers."""
    if not isinstance(sample, dict):
        return sample
    of_log = head.get("eval") if isinstance(head, dict) else None
    if isinstance(of_log, Mapping):
        sample.setdefault("model", of_log.get("model"))
    scores = sample.get("scores")
    for score in scores.values() if isinstance(scores, dict) else ():
        if isinstance(score, dict) and isinstance(score.get("value"), str):
            score["value"] = _VALUES.get(score["value"], score["value"])
    return sample
