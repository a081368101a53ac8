"""The record of what made a rehearsal set. It is written last: a folder without it is not finished."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_origin, get_type_hints

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError
from polypath.rehearsal.settings import ADDED_LATER
from polypath.rollouts import library_versions
from polypath.rollouts.files import read_json, write_json
from polypath.rollouts.manifest import require_same_task_file

KIND = "rehearsal_set"
SCHEMA_VERSION = 1
_NOT_COMPARED = frozenset({"batch_size"})  # settings that change results by rounding only


@dataclass(frozen=True, kw_only=True)
class RehearsalManifest:
    """Where a rehearsal set comes from, and what it contains.

    Attributes:
        model: name or path of the reference model, as the user gave it.
        model_fingerprint: hash of its weights.
        tokenizer_fingerprint: hash of its tokenizer.
        template_fingerprint: hash of its chat template.
        temperature: divisor of the logits, in sampling and in the reference log-probs.
        precision: precision of the forward that made the reference log-probs, ``"auto"`` resolved.
        task: registry name of the task.
        split: split of the task.
        problems_key: hash of the sampled problems.
        settings: all of ``PresampleSettings``, with defaults filled in.
        counts: number of problems in each set, by its name.
        histogram: how many problems had 0, 1, ..., k correct samples.
        num_rows: number of stored answers.
        num_tokens: number of their tokens.
        files: SHA-256 of the other files of the folder, by name.
        task_options: options that the task was built with; empty for the defaults.
        vocab_size: number of the model's token ids; ``None`` in sets made before this was recorded.
        versions: versions of the libraries.
    """

    model: str
    model_fingerprint: str
    tokenizer_fingerprint: str
    template_fingerprint: str
    temperature: float
    precision: str
    task: str
    split: str
    problems_key: str
    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    histogram: list[int]
    num_rows: int
    num_tokens: int
    files: Mapping[str, str]
    task_options: Mapping[str, str] = field(default_factory=dict)
    vocab_size: int | None = None
    versions: Mapping[str, str] = field(default_factory=library_versions)

    def write(self, path: Path) -> None:
        """Write the manifest atomically."""
        write_json(path, {"kind": KIND, "schema_version": SCHEMA_VERSION, **asdict(self)})

    def require_same(
        self, identity: Mapping[str, Any], settings: Mapping[str, Any], folder: Path
    ) -> None:
        """Check that this finished set is the one that a call would make.

        Args:
            identity: some fields of this manifest, as the call has them.
            settings: its ``PresampleSettings``, as a dictionary.
            folder: folder of the set, for the error.

        Raises:
            ConfigError: names the first setting that differs, and both values.
        """
        stored = (
            {name: getattr(self, name) for name in identity} | ADDED_LATER | dict(self.settings)
        )
        for name, wanted in {**identity, **settings}.items():
            if name not in _NOT_COMPARED and stored.get(name) != wanted:
                if name == "task_options":
                    holder = f"The rehearsal set {folder}"
                    require_same_task_file(holder, self.task, self.task_options, wanted)
                what = "problems (limit)" if name == "problems_key" else name
                raise ConfigError(
                    f"{folder} holds a finished rehearsal set made with "
                    f"{what}={stored.get(name)!r}, but this run has {what}={wanted!r}. Use another "
                    "folder, or delete its manifest.json to build the set anew from the samples it "
                    "holds."
                )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest.

        Raises:
            MissingFileError: there is no such file.
            DataError: it is not the manifest of a rehearsal set that this version can read.
        """
        content = read_json(path, "the manifest of a rehearsal set")
        kind, version = content.pop("kind", None), content.pop("schema_version", None)
        if kind != KIND:
            raise DataError(f"{path} has kind {kind!r}; expected {KIND!r}.")
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path} has schema_version {version!r}; this polypath reads {SCHEMA_VERSION}."
            )
        content = {"task_options": {}, "vocab_size": None, **content}  # older sets lack these
        odd = sorted({entry.name for entry in fields(cls)} ^ content.keys())
        if odd:
            raise DataError(f"{path} has missing or unknown fields: {', '.join(odd)}.")
        for name, hint in get_type_hints(cls).items():
            kind = float | int if hint is float else get_origin(hint) or hint
            if not isinstance(content[name], hint if kind is UnionType else kind):
                raise DataError(
                    f"{path} is damaged: {name} is {one_line(repr(content[name]), 60)}."
                )
        return cls(**content)
