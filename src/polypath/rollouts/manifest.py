"""The record of what made the rows of a store. Rows made in another way may not be added to them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from polypath.errors import ConfigError, DataError
from polypath.rollouts.files import read_json, write_json

SCHEMA_VERSION = 1
KIND = "rollouts"
# Among the options of a user's task, as if it were one: another state of its file is another task.
TASK_FILE_HASH = "hash"
_INFORMATION_ONLY = frozenset({"versions"})
# Older manifests lack these.
_OPTIONAL = frozenset({"versions", "task_options", "backend", "weights"})


def library_versions() -> dict[str, str]:
    """Return the installed versions that can change a sample, without importing the packages."""
    versions = {}
    for name in ("polypath", "torch", "transformers"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def require_same_task_file(
    holder: str, task: str | None, stored: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    """Check that the file of a user's task is as it was, if it is all in which two records differ.

    Args:
        holder: what has the record, for the error.
        task: its place.
        stored: options on record.
        wanted: options now.

    Raises:
        ConfigError: naming the file.
    """
    before, now = dict(stored), dict(wanted)
    hashes = before.pop(TASK_FILE_HASH, None), now.pop(TASK_FILE_HASH, None)
    if before == now and None not in hashes and hashes[0] != hashes[1]:
        raise ConfigError(
            f"{holder} was made with another state of the file of its task, {task}: its hash was "
            f"{hashes[0]}, now it is {hashes[1]}. Bring the old file back, or use another folder."
        )


@dataclass(frozen=True, kw_only=True)
class RolloutManifest:
    """Where the rows of a store come from. ``None`` means unknown (imported rows).

    Attributes:
        model: name or path of the model. It is compared only if a fingerprint is missing, because one
            model can have several paths.
        model_fingerprint: hash of its weights.
        tokenizer_fingerprint: hash of its tokenizer.
        template_fingerprint: hash of its chat template.
        temperature: divisor of the logits.
        top_p: probability mass that is kept; 1 keeps all.
        top_k: number of tokens kept; ``None`` keeps all.
        max_new_tokens: limit on the generated tokens.
        seed: seed of the sampling.
        task: name of the task in the registry.
        split: split of the task.
        task_options: options that the task was built with, as in ``tasks.get_task``.
        backend: what drew the samples: ``"transformers"``, ``"vllm"`` or ``"server"``. It is compared if
            both sides record it, because each draws other samples with the same seed.
        weights: file of the model's folder -> its SHA-256. It is compared if both sides name the same
            model and file: a file that changed under the same name is damaged.
        versions: versions of the libraries; recorded, never compared.
    """

    model: str
    model_fingerprint: str | None = None
    tokenizer_fingerprint: str | None = None
    template_fingerprint: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_new_tokens: int | None = None
    seed: int | None = None
    task: str | None = None
    split: str | None = None
    task_options: Mapping[str, str] = field(default_factory=dict)
    backend: str | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=library_versions)

    def require_same(self, other: Self, folder: Path) -> None:
        """Check that rows described by ``other`` may join the rows described by this manifest.

        Raises:
            ConfigError: names the first setting that differs, and both values.
        """
        for entry in fields(self):
            stored, wanted = getattr(self, entry.name), getattr(other, entry.name)
            if entry.name in _INFORMATION_ONLY or stored == wanted:
                continue
            if entry.name == "backend" and None in (stored, wanted):
                continue
            if entry.name == "weights":
                shared = stored.keys() & wanted.keys() if self.model == other.model else ()
                for name in sorted(n for n in shared if stored[n] != wanted[n]):
                    raise ConfigError(
                        f"{name} of the model {self.model} has other bytes (by its SHA-256) than when "
                        f"{folder} was begun. Restore the file, or use another folder."
                    )
                continue
            if entry.name == "model" and self.model_fingerprint and other.model_fingerprint:
                continue
            if entry.name == "task_options":
                require_same_task_file(f"The sample store {folder}", self.task, stored, wanted)
            raise ConfigError(
                f"The sample store {folder} was made with {entry.name}={stored!r}, but this run "
                f"has {entry.name}={wanted!r}. Use the stored value, or another folder."
            )

    def write(self, path: Path, *, owner: str = "") -> None:
        """Write the manifest atomically.

        Raises:
            FileExistsError: a manifest exists.
        """
        head = {"kind": KIND, "schema_version": SCHEMA_VERSION}
        write_json(path, {**head, **asdict(self)}, owner=owner, new=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest.

        Raises:
            MissingFileError: there is no such file.
            DataError: it is not the manifest of a sample store that this version can read.
        """
        content: dict[str, Any] = read_json(path, "the manifest of a sample store")
        kind, version = content.pop("kind", None), content.pop("schema_version", None)
        if kind != KIND:
            raise DataError(f"{path} has kind {kind!r}; expected {KIND!r}, a sample store.")
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path} has schema_version {version!r}; this polypath reads {SCHEMA_VERSION}."
            )
        known = {entry.name for entry in fields(cls)}
        odd = sorted((known - _OPTIONAL) ^ (content.keys() - _OPTIONAL))
        if odd:
            raise DataError(f"{path} has missing or unknown fields: {', '.join(odd)}.")
        return cls(**content)
