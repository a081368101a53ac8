"""What a study is: one base, one budget, and the methods that are compared."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, unknown_name
from polypath.rehearsal.settings import PresampleSettings

BASE, COOLED = "base", "base, cooled"
Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a split is sampled, and what is told of it.

    Attributes:
        split: of the task.
        problems: the first so many of the split; a smaller split gives all it has.
        samples: of each problem.
        greedy: whether one greedy sample of each is drawn as well.
        ks: of pass@k.
        keep_k: samples that "solved" means in the keep and explore shares.
        temperature: of the samples.
        top_p: nucleus mass.
        max_completion_length: tokens at most.
    """

    split: str
    problems: int
    samples: int
    greedy: bool
    ks: tuple[int, ...]
    keep_k: int
    temperature: float
    top_p: float
    max_completion_length: int


@dataclass(frozen=True, kw_only=True)
class Presampling:
    """A rehearsal set of the base, made once for all runs that rehearse from it."""

    name: str
    split: str
    limit: int | None
    settings: PresampleSettings


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of the grid.

    Attributes:
        name: key in the file and in folder names.
        label: in tables and figures.
        settings: recipe keys that differ from the study's.
        rehearsal: name of a pre-sampling; empty for none.
        checkpoints: optimizer steps to evaluate besides the last.
        temperatures: to sample the trained model at as well, on the main split.
        against: the method it is compared with; empty for the study's.
        of: method whose runs it is a checkpoint of; empty for one that is trained itself.
        step: of that checkpoint; 0 without ``of``.
    """

    name: str
    label: str
    settings: Settings
    rehearsal: str = ""
    checkpoints: tuple[int, ...] = ()
    temperatures: tuple[float, ...] = ()
    against: str = ""
    of: str = ""
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Two metrics to hold against each other over all models of the main split.

    Attributes:
        x: a metric, named as in ``polypath diversity``.
        y: another.
        where: a metric that also chooses some of the models; empty for none.
        above: what it has to be above.
    """

    x: str
    y: str
    where: str = ""
    above: float = 0.0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of its metrics, each once."""
        return tuple(dict.fromkeys(key for key in (self.x, self.y, self.where) if key))


@dataclass(frozen=True, kw_only=True)
class Study:
    """A whole study file; see docs/studies for what each key means."""

    name: str
    question: str
    base: str
    task: str
    task_options: Mapping[str, str]
    recipe: Path
    stage: str
    seeds: tuple[int, ...]
    against: str
    presamplings: Mapping[str, Presampling]
    methods: Mapping[str, Method]
    settings: Settings
    temperatures: tuple[float, ...]
    evaluations: tuple[Evaluation, ...]
    tuning: Evaluation | None
    pairs: tuple[tuple[str, str], ...] = ()
    relations: tuple[Relation, ...] = ()
    sampling_seed: int = 0
    batch_size: int = 2048
    page: bool = True
    matched: bool = True
    command: str = field(default="polypath study", compare=False)
    text: str = field(default="", compare=False, repr=False)

    @property
    def main(self) -> Evaluation:
        """Return the evaluation that curves over training and the page are made of: the first."""
        return self.evaluations[0]

    def reference_of(self, row: str) -> str:
        """Return the method that a row is compared with; empty for none."""
        mine = self.methods[row].against if row in self.methods else ""
        return mine or self.against

    def trained(self, name: str) -> Method:
        """Return the method whose training makes this one: itself, or the one it is a checkpoint of."""
        return self.methods[self.methods[name].of or name]

    def only(self, methods: Sequence[str] | None, seeds: Sequence[int] | None) -> "Study":
        """Return the study with fewer methods, or with other seeds.

        A method that another is a checkpoint of comes with it.

        Raises:
            ConfigError: a method is unknown, or nothing is left.
        """
        kept = dict(self.methods)
        if methods is not None:
            for name in methods:
                if name not in self.methods:
                    raise unknown_name("method", name, self.methods)
            needed = {*methods, *(self.trained(name).name for name in methods)}
            kept = {name: self.methods[name] for name in self.methods if name in needed}
        chosen = self.seeds if seeds is None else tuple(dict.fromkeys(seeds))
        if not kept or not chosen or min(chosen) < 0:
            raise ConfigError(
                f"--only and --seeds must leave a method and seeds of at least 0, got {methods} "
                f"and {seeds}."
            )
        against = self.against if self.against in kept else ""
        for name, method in kept.items():
            if method.against not in kept:
                kept[name] = replace(method, against="")
        pairs = tuple(pair for pair in self.pairs if kept.keys() >= set(pair))
        command = self.command
        command += f" --only {','.join(kept)}" if methods is not None else ""
        command += f" --seeds {','.join(map(str, chosen))}" if seeds is not None else ""
        return replace(
            self, methods=kept, seeds=chosen, against=against, pairs=pairs, command=command
        )


def is_test(split: str) -> bool:
    """Say whether a split's name calls it a test split."""
    return re.search(r"(^|[_\W])test", split.lower()) is not None


def is_train(split: str) -> bool:
    """Say whether a split's name calls it one to train on: by RL, or the base itself."""
    return split.lower().startswith("train") or split.lower() == "base"
