"""The definition of a study: one base, one budget, and the methods that are compared."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from polypath.errors import ConfigError, unknown_name
from polypath.rehearsal.settings import PresampleSettings
from polypath.studies.keys import Bounds, key, nested

BASE = "base"
COOLED = "base, cooled"  # in results files: the base at its best temperature
EQUAL = " at equal pass@1"  # after a measure: the difference to the reference stopped there
SHARED = "shared"  # random draws of the base
Settings = Mapping[str, Any]
Pairs = Sequence[tuple[str, str]]
AT_LEAST_1, ABOVE_0 = Bounds(least=1), Bounds(above=0)


def at_temperature(temperature: float) -> str:
    """Return what the base is called in tables and figures where it samples at a temperature of its own."""
    return f"{BASE} at T={temperature:g}"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a split is sampled, and what is reported of it.

    Attributes:
        split: split of the task.
        problems: number of problems, from the first of the split; a smaller split gives all it has.
        samples: samples of each problem.
        greedy: whether one greedy sample of each is also drawn.
        ks: of pass@k.
        keep_k: samples in which a problem counts as solved, for keep and explore shares; 0 omits these.
        temperature: temperature of the samples.
        top_p: nucleus mass.
        max_completion_length: most tokens of a completion.
    """

    split: str
    problems: int = key(200, Bounds(least=2))
    samples: int = key(bounds=AT_LEAST_1)
    greedy: bool = key(True)
    ks: tuple[int, ...] = key(None, AT_LEAST_1)
    keep_k: int = key(None)
    temperature: float = key(bounds=Bounds(least=1e-3))
    top_p: float = key(bounds=Bounds(least=1e-3, most=1.0))
    max_completion_length: int = key(bounds=AT_LEAST_1)

    @property
    def size(self) -> str:
        """Problems and samples, as in names of folders and jobs."""
        return f"{self.problems}x{self.samples}"

    @property
    def drawn(self) -> dict[str, Any]:
        """The settings that decide the samples, without those of what is reported."""
        return {k: v for k, v in asdict(self).items() if k not in ("ks", "keep_k")}

    @property
    def front(self) -> list[str]:
        """Metrics of accuracy and diversity that are followed over training and temperatures."""
        k = max(self.ks)
        return ["pass@1", f"pass@{k}", f"distinct@{k}"] if k > 1 else ["pass@1"]

    def at(self, temperature: float) -> "Evaluation":
        """Return the evaluation at another temperature, without greedy samples."""
        if temperature == self.temperature:
            return self
        return replace(self, temperature=temperature, greedy=False)


@dataclass(frozen=True, kw_only=True)
class Tuning(Evaluation):
    """How the tuning split is sampled. The key ``split`` names it.

    Attributes:
        split: split of the task.
    """

    split: str = key()


@dataclass(frozen=True, kw_only=True)
class Presampling:
    """A rehearsal set of the base, made once for all runs that use it.

    Attributes:
        name: key in the file and in folder names.
        split: split of the task.
        limit: number of problems, from the first; ``None`` for all.
        settings: settings of the pre-sampling.
    """

    name: str
    split: str = key("train")
    limit: int = key(None, AT_LEAST_1)
    settings: PresampleSettings


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of the grid.

    Attributes:
        name: key in the file and in folder names.
        label: label in tables and figures.
        settings: recipe keys that differ from the study's.
        rehearsal: name of a pre-sampling; empty for none.
        checkpoints: optimizer steps to evaluate besides the last.
        temperatures: temperatures at which the trained model is also sampled, on the main split.
        against: the method it is compared with; empty for the study's.
        of: method whose runs it is a checkpoint of; empty for a method that is trained itself.
        step: step of that checkpoint; 0 without ``of``.
        strengths: settings to choose between on the tuning split; empty for a method that is not tuned.
        picked: the strength that was chosen, and is among the settings; empty before.
    """

    name: str
    label: str = key()
    settings: Settings = nested(None)
    rehearsal: str = nested(False)
    checkpoints: tuple[int, ...] = key(bounds=AT_LEAST_1)
    temperatures: tuple[float, ...] = key(bounds=ABOVE_0)
    against: str = key("")
    of: str = key("")
    step: int = key(0, AT_LEAST_1)
    strengths: Sequence[Settings] = nested(())
    picked: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Two metrics that are compared over all models of the main split.

    Attributes:
        x: a metric, named as in ``polypath diversity``.
        y: another.
        where: a metric that chooses some of the models; empty for none.
        above: value that this metric has to exceed.
    """

    x: str = key()
    y: str = key()
    where: str = nested("")
    above: float = 0.0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of its metrics, without repeats."""
        return tuple(dict.fromkeys(key for key in (self.x, self.y, self.where) if key))


@dataclass(frozen=True, kw_only=True)
class Where:
    """Keys of a relation's ``where``.

    Attributes:
        metric: name of a metric.
        above: value that it has to exceed.
    """

    metric: str = key()
    above: float = key()


@dataclass(frozen=True, kw_only=True)
class Study:
    """A whole study file. docs/studies explains each key.

    Attributes:
        name: name of the study, in folder names.
        question: question that it answers, in one sentence or a few; empty for none.
        base: folder or name of the model that all methods start from.
        task: name or place of the task.
        task_options: options of the task.
        recipe: YAML file of ``polypath train`` with the settings that all methods share.
        stage: ``report``, or ``tune`` for a study that only chooses settings.
        seeds: seeds of training, each at least 0.
        against: key of the method that the others are compared with; empty for none.
        presamplings: rehearsal sets by name.
        methods: by key.
        settings: recipe keys that all methods change.
        temperatures: temperatures of the base on the tuning split; at the best of them it has a row.
        evaluations: evaluations of the reported splits, the main one first.
        tuning: split to choose a temperature on; ``None`` for none.
        temperature_curve: whether the base is sampled at all of them on the reported splits as well.
        base_draws: whether the base is sampled with its own random draws (``independent``), or with those
            that all methods share (``shared``).
        pairs: methods that are also compared with each other.
        relations: metrics that are compared with each other.
        sampling_seed: seed of all samples, at least 0.
        batch_size: completions generated together, at least 1.
        page: whether the HTML page is written.
        matched: whether methods are also compared with the reference stopped at equal pass@1.
        tuning_seed: seed of training of the runs that strengths are chosen by, at least 0.
        pick: what the chosen strength is highest in; see ``strengths.Rule``.
        ranking: measures that rows of the main split are ranked by; see ``strengths.Rule``.
        matched_measures: measures of texts that are compared at equal pass@1, too.
        joined: files that methods were joined from.
        command: command that runs the study again.
        text: text of the file.
    """

    name: str = key()
    question: str = key("")
    base: str = key()
    task: str = key()
    task_options: Mapping[str, str] = nested(None)
    recipe: Path = key()
    stage: Literal["report", "tune"] = key("report")
    seeds: tuple[int, ...] = key((0, 1, 2))
    against: str = key("")
    presamplings: Mapping[str, Presampling]
    methods: Mapping[str, Method] = nested(None)
    settings: Settings = nested(None)
    temperatures: tuple[float, ...] = key((), ABOVE_0)
    evaluations: tuple[Evaluation, ...]
    tuning: Evaluation | None = nested(None)
    temperature_curve: bool = key(True)
    base_draws: Literal["independent", "shared"] = key("independent")
    pairs: Pairs = nested(())
    relations: Sequence[Relation] = nested(())
    sampling_seed: int = key(0)
    batch_size: int = key(2048, AT_LEAST_1)
    page: bool = key(True)
    matched: bool = key(True)
    tuning_seed: int = key(1000)
    pick: str = key("")
    ranking: tuple[str, ...] = key(())
    matched_measures: tuple[str, ...] = key(())
    joined: tuple[Path, ...] = ()
    command: str = field(default="polypath study", compare=False)
    text: str = field(default="", compare=False, repr=False)

    @property
    def main(self) -> Evaluation:
        """Return the first evaluation. Curves over training and the page use it."""
        return self.evaluations[0]

    def reference_of(self, row: str) -> str:
        """Return the key of the method that a row is compared with; empty for none."""
        mine = self.methods[row].against if row in self.methods else ""
        return mine or self.against

    def trained(self, name: str) -> Method:
        """Return the method whose training makes this one: itself, or the one it is a checkpoint of."""
        return self.methods[self.methods[name].of or name]

    @property
    def tuned(self) -> dict[str, Method]:
        """Return the methods that have strengths to choose between."""
        return {name: method for name, method in self.methods.items() if method.strengths}

    def only(self, methods: Sequence[str] | None, seeds: Sequence[int] | None) -> "Study":
        """Return the study with fewer methods, or with other seeds.

        If a kept method is a checkpoint of another, that one is kept as well; if one is tuned, the reference.

        Args:
            methods: keys to keep; ``None`` for all.
            seeds: seeds of training; ``None`` for the study's.

        Raises:
            ConfigError: a method is unknown, nothing is left, or a seed is that of tuning.
        """
        kept = dict(self.methods)
        if methods is not None:
            for name in methods:
                if name not in self.methods:
                    raise unknown_name("method", name, self.methods)
            needed = {*methods, *(self.trained(name).name for name in methods)}
            if self.against and any(self.trained(name).strengths for name in methods):
                needed |= {self.against, self.trained(self.against).name}
            kept = {name: self.methods[name] for name in self.methods if name in needed}
        chosen = self.seeds if seeds is None else tuple(dict.fromkeys(seeds))
        if not kept or not chosen or min(chosen) < 0:
            raise ConfigError(
                f"--only and --seeds must leave a method and seeds of at least 0, got {methods} "
                f"and {seeds}."
            )
        if self.tuning_seed in chosen and any(method.strengths for method in kept.values()):
            raise ConfigError(
                f"--seeds must not name {self.tuning_seed}, the seed that strengths are chosen with."
            )
        against = self.against if self.against in kept else ""
        ranking = tuple(text for text in self.ranking if against or not text.endswith(EQUAL))
        for name, method in kept.items():
            if method.against not in kept:
                kept[name] = replace(method, against="")
        pairs = tuple(pair for pair in self.pairs if kept.keys() >= set(pair))
        command = self.command
        command += f" --only {','.join(kept)}" if methods is not None else ""
        command += f" --seeds {','.join(map(str, chosen))}" if seeds is not None else ""
        return replace(
            self,
            methods=kept,
            seeds=chosen,
            against=against,
            pairs=pairs,
            ranking=ranking,
            matched_measures=self.matched_measures if against else (),
            command=command,
        )


@dataclass(frozen=True, kw_only=True)
class StudyFile(Study):
    """The keys of a whole study file: those of the study, and those that it is built from.

    Attributes:
        presample: one rehearsal set, or several by name.
        evaluation: name of a split -> how it is sampled.
        checkpoints: checkpoints of methods that have none of their own.
        method_temperatures: temperatures of methods that have no temperatures of their own.
        method_files: files with further methods.
    """

    presample: Any = nested(None)
    evaluation: Any = nested(None)
    checkpoints: tuple[int, ...] = key((), AT_LEAST_1)
    method_temperatures: tuple[float, ...] = key((), ABOVE_0)
    method_files: tuple[Path, ...] = key(())


def is_test(split: str) -> bool:
    """Return whether a split's name calls it a test split.

    Returns:
        True if a word of the name begins with ``test``, in any case.
    """
    return re.search(r"(^|[_\W])test", split.lower()) is not None


def is_train(split: str) -> bool:
    """Return whether a split's name says that it is for training, by RL or of the base itself.

    Returns:
        True if the name begins with ``train`` or is ``base``, in any case.
    """
    return split.lower().startswith("train") or split.lower() == "base"
