"""Shared by tasks that read a data set: options, splits, problems, and a pool that verifies."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from polypath.errors import ConfigError, unknown_name
from polypath.tasks.base import EvaluationDefaults, Problem, check_split
from polypath.tasks.protocols import protocol
from polypath.tasks.records import Origin, Row, problem_ids
from polypath.verify.base import Verdict
from polypath.verify.pool import shared_pool

# Meanings of options; `polypath tasks show` prints them.
OPTIONS: dict[str, str] = {
    "data": "local .jsonl, .json or .parquet file, or a folder with one for each split",
    "hub": "data set on the hub to read instead of the usual one",
    "config": "configuration of the hub's data set",
    "revision": "revision of the hub's data set",
    "hub_split": "split of the hub's data set, whichever of ours is requested",
    "protocol": "defaults of sample and eval: r1_zero_div, dra, dph_math or dph_sql",
    "question_field": "field that holds the question; found automatically",
    "id_field": "field that holds the problem's id; found automatically, or a hash of the question",
    "deadline": "seconds that verifying one completion may take; 5 by default",
    "workers": "processes that verify; by default as many as the cores of this process, at most 8",
}
PATHS = (
    "data",
    "databases",
)  # recorded as absolute paths, so that a run can be verified from elsewhere
SPEED_ONLY = ("workers",)  # not recorded, because it changes no verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class SetSpec:
    """The differences between data sets.

    Attributes:
        name: name of the task.
        what: description in one line.
        splits: our splits.
        hub: id on the hub; ``None`` if none is known.
        config: config of the hub's data set.
        hub_splits: our split -> the hub's, if they differ.
        file_names: our split -> further names of its local file.
        protocol: key of ``tasks.protocols.PROTOCOLS``.
        prompt: name of the default prompt.
        max_completion_length: most tokens that a completion needs in training; ``None`` for the
            protocol's.
    """

    name: str
    what: str
    splits: tuple[str, ...]
    hub: str | None
    config: str | None = None
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    file_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protocol: str
    prompt: str
    max_completion_length: int | None = None


class Asked(NamedTuple):
    """The problem made from a row. If the data has no ids, its id is a hash of ``key``."""

    key: str
    prompt: str | list[dict[str, str]]
    gold: str
    extra: Mapping[str, Any]


class RecordTask(ABC):
    """A task whose problems are rows of a data set and whose verifier runs in worker processes.

    Args:
        name: key of ``SETS``.
        options: options by name; missing ones have their defaults.

    Raises:
        ConfigError: an option has an invalid value.
    """

    SETS: ClassVar[Mapping[str, SetSpec]]
    OPTIONS: ClassVar[Mapping[str, str]]  # what each option means
    CHOICES: ClassVar[Mapping[str, Sequence[str]]]  # of options, the default first
    verifier = ""  # what is verified, in a few words
    verifier_factory = ""  # of the pool: module:factory

    def __init__(self, name: str, options: Mapping[str, str] | None = None) -> None:
        given = options or {}
        self.spec = spec = self.SETS[name]
        self.name = spec.name
        self.what = spec.what
        self.splits = spec.splits
        self.options: Mapping[str, str] = {
            key: str(Path(value).absolute()) if key in PATHS else value
            for key, value in given.items()
            if key not in SPEED_ONLY
        }
        self.hub = self.options.get("hub", spec.hub)
        own_hub = "hub" not in self.options
        hub_split = self.options.get("hub_split")
        self._origin = Origin(
            task=self.name,
            data=self.options.get("data"),
            hub=self.hub,
            config=self.options.get("config", spec.config if own_hub else None),
            revision=self.options.get("revision"),
            hub_splits=dict.fromkeys(spec.splits, hub_split) if hub_split else spec.hub_splits,
            file_names=spec.file_names,
        )
        self.evaluation: EvaluationDefaults = protocol(self.options.get("protocol", spec.protocol))
        self.prompt = self.options.get("prompt", spec.prompt)
        self.deadline = number("deadline", given.get("deadline"), 5.0)
        workers = given.get("workers")
        self._workers = None if workers is None else whole_number("workers", workers)
        for option, known in self.CHOICES.items():
            if given.get(option, known[0]) not in known:
                raise unknown_name(option, given[option], known)
        self._read: dict[str, tuple[Problem, ...]] = {}
        self.fields: dict[str, str] = {}  # field names of the data; known once it was read

    @property
    def max_completion_length(self) -> int:
        """Most tokens that a completion needs; the default of pre-sampling."""
        return self.spec.max_completion_length or self.evaluation.max_completion_length

    def problems(self, split: str, limit: int | None = None) -> Sequence[Problem]:
        """Return the first ``limit`` problems of a split, in the order of the data.

        Raises:
            ConfigError: the split is unknown, the limit negative, or there is nothing to read.
            MissingFileError: a named file or folder does not exist.
            DataError: a row cannot be used; the message names row and field.
            MissingExtraError: the hub is needed and ``datasets`` is not installed.
        """
        check_split(self.name, self.splits, split, limit)
        if split not in self._read:
            where = self.where(split)
            rows = self._origin.read(split)
            asked = self._asked(rows, where)
            ids = problem_ids(
                rows, [row.key for row in asked], self.options.get("id_field"), where=where
            )
            self._read[split] = tuple(
                Problem(problem_id=name, prompt=row.prompt, gold=row.gold, extra=row.extra)
                for name, row in zip(ids, asked, strict=True)
            )
        return self._read[split][:limit]

    def where(self, split: str) -> str:
        """Return the source of a split, for messages."""
        if self._origin.data is None:
            return f"{self.hub} ({split})"
        return ", ".join(str(path) for path in self._origin.files(split))

    def verify(self, completion: str, gold: str) -> Verdict:
        """Verify one completion."""
        return self.verify_batch([completion], [gold])[0]

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions in worker processes, each against its own gold."""
        pool = shared_pool(
            self.verifier_factory,
            self._verifier_options(),
            workers=self._workers,
            deadline=self._pool_deadline(),
        )
        return pool.verify(completions, golds)

    @abstractmethod
    def _asked(self, rows: Sequence[Row], where: str) -> list[Asked]:
        """Return the problem made from each row."""

    @abstractmethod
    def gold_completion(self, gold: str) -> str:
        """Return a completion that says exactly the same as the gold."""

    def _verifier_options(self) -> dict[str, Any]:
        return {}

    def _pool_deadline(self) -> float:
        return self.deadline


def number(name: str, text: str | None, default: float) -> float:
    """Read an option that is a number above 0.

    Raises:
        ConfigError: it is not.
    """
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"Task option {name} must be a number above 0, got {text!r}.")
    return value


def whole_number(name: str, text: str) -> int:
    """Read an option that is a whole number of at least 1.

    Raises:
        ConfigError: it is not.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"Task option {name} must be a whole number of at least 1, got {text!r}.")
    return int(text)
