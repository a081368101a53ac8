"""From a study file to a checked study."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, PolypathError, unknown_name
from polypath.recipes.study.config import (
    BASE,
    COOLED,
    Evaluation,
    Method,
    Presampling,
    Relation,
    Settings,
    Study,
    is_test,
    is_train,
)
from polypath.recipes.study.reading import Section
from polypath.recipes.study.relation_metrics import check_metric
from polypath.recipes.yaml_file import read_yaml
from polypath.rehearsal.settings import PresampleSettings
from polypath.tasks import Task, get_task

STAGES = ("report", "tune")
# What the runner sets itself, and where a study file says it.
RESERVED = {
    "output_dir": "--out decides it",
    "seed": "'seeds' lists them",
    "model_name_or_path": "'base' names it",
    "task": "'task' names it",
    "task_options": "'task_options' of the study holds them",
    "rehearsal_set": "'rehearsal' of the method names a pre-sampling",
    "resume_from_checkpoint": "the same command goes on by itself",
    "env": "set it in the recipe",
}
KEYS = [
    *("name", "question", "base", "task", "task_options", "recipe", "stage", "seeds", "against"),
    *("presample", "methods", "settings", "checkpoints", "temperatures", "evaluation", "tuning"),
    *("sampling_seed", "batch_size", "page", "matched", "method_temperatures"),
    *("pairs", "relations"),
]
METHOD_KEYS = [
    *("label", "settings", "rehearsal", "checkpoints", "temperatures", "against"),
    *("of", "step"),
]
EVALUATION_KEYS = [
    *("problems", "samples", "greedy", "ks", "keep_k"),
    *("temperature", "top_p", "max_completion_length"),
]
PRESAMPLE_FIELDS = tuple(f.name for f in fields(PresampleSettings))


def load_study(path: str | Path) -> Study:
    """Read and check a study file. The recipe and each method's settings are checked by ``plan``.

    Raises:
        MissingFileError: the file or the recipe it names does not exist.
        DataError: it is not YAML, or has a key twice.
        ConfigError: a key is unknown (the nearest known one is named), a value cannot be, or the
            study would choose on what it reports, or report on what it trained on.
    """
    path = Path(path)
    section = Section(read_yaml(path, "Study"), str(path), KEYS)
    task_options = {key: _option(v) for key, v in section.scalars("task_options").items()}
    task = get_task(section.text("task"), task_options)
    stage = section.text("stage", "report")
    if stage not in STAGES:
        raise unknown_name(f"stage in {path}:", stage, STAGES)
    presamplings = _presamplings(section)
    tuning = _tuning(section, task)
    evaluations = _evaluations(section, task)
    if stage == "tune" and not evaluations and tuning is not None:
        evaluations = (tuning,)
    study = Study(
        name=_name(section, "name", section.text("name")),
        question=section.text("question", ""),
        base=_base(section.text("base"), path.parent),
        task=task.name,
        task_options=task_options,
        recipe=path.parent / section.text("recipe"),
        stage=stage,
        seeds=section.integers("seeds", (0, 1, 2)),
        against=section.text("against", ""),
        presamplings=presamplings,
        methods=_methods(section, presamplings),
        settings=_settings(section),
        temperatures=section.numbers("temperatures", low=0.0),
        evaluations=evaluations,
        tuning=tuning,
        pairs=_pairs(section),
        relations=_relations(section, evaluations),
        sampling_seed=section.integer("sampling_seed", 0),
        batch_size=section.integer("batch_size", 2048, least=1),
        page=section.flag("page", True),
        matched=section.flag("matched", True),
        command=f"polypath study {path.as_posix()}",
        text=path.read_text(encoding="utf-8"),
    )
    _check(study, section, task)
    return study


def _check(study: Study, section: Section, task: Task) -> None:
    """Check what concerns several keys at once."""
    where = section.where
    if not study.seeds:
        section.refuse("seeds", "must name at least one seed", [])
    if not study.evaluations:
        raise ConfigError(
            f"evaluation is missing in {where}: name at least one split to report on."
        )
    if study.against and study.against not in study.methods:
        raise unknown_name(f"method in against of {where}:", study.against, study.methods)
    for name, method in study.methods.items():
        others = [other for other in study.methods if other != name]
        if method.against and method.against not in others:
            raise unknown_name(f"method in against of methods.{name}:", method.against, others)
        trained = [other for other in others if not study.methods[other].of]
        if method.of and method.of not in trained:
            raise unknown_name(f"method in 'of' of methods.{name}:", method.of, trained)
    for name in (name for pair in study.pairs for name in pair):
        if name not in study.methods:
            raise unknown_name(f"method in pairs of {where}:", name, study.methods)
    if section.content.get("matched") and not (
        study.against and study.methods[study.against].checkpoints
    ):
        raise ConfigError(
            f"matched in {where} needs 'against' with a method that has 'checkpoints' to stop at, "
            f"got {study.against or 'none'!r}."
        )
    labels = [BASE, COOLED, *(method.label for method in study.methods.values())]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"Two rows of {where} would be called {label!r}. Use another label.")
    if study.temperatures and study.tuning is None:
        raise ConfigError(
            f"temperatures in {where} needs 'tuning' with a split such as dev to choose one on."
        )
    for evaluation in (*study.evaluations, *([study.tuning] if study.tuning else [])):
        if evaluation.split not in task.splits:
            raise unknown_name(
                f"split of task {task.name} in {where}:", evaluation.split, task.splits
            )
        if is_train(evaluation.split):
            raise ConfigError(
                f"{where} would measure on the split {evaluation.split!r}, which is for training. "
                "Use a held-out split."
            )
    _check_stage(study, where)


def _check_stage(study: Study, where: str) -> None:
    chosen_on = [study.tuning] if study.tuning else []
    if study.stage == "tune":
        chosen_on += study.evaluations
    for evaluation in chosen_on:
        if is_test(evaluation.split):
            raise ConfigError(
                f"{where} would choose settings on the split {evaluation.split!r}; test splits are "
                "only for reporting. Tune on dev, and report in a study of stage 'report'."
            )
    if study.stage == "report" and study.tuning and study.temperatures:
        for evaluation in study.evaluations:
            if evaluation.split == study.tuning.split:
                raise ConfigError(
                    f"{where} would choose the temperature on the split {evaluation.split!r} and "
                    "report on it as well. Use two splits."
                )


def _evaluations(section: Section, task: Task) -> tuple[Evaluation, ...]:
    if "evaluation" not in section.content:
        return ()
    return tuple(
        _evaluation(Section(value or {}, f"evaluation.{split}", EVALUATION_KEYS), split, task)
        for split, value in section.mapping("evaluation").items()
    )


def _tuning(section: Section, task: Task) -> Evaluation | None:
    if "tuning" not in section.content:
        return None
    inner = Section(section.content["tuning"], "tuning", ["split", *EVALUATION_KEYS])
    return _evaluation(inner, inner.text("split"), task)


def _evaluation(section: Section, split: str, task: Task) -> Evaluation:
    usual = task.evaluation
    samples = section.integer("samples", usual.num_samples, least=1)
    ks = section.integers("ks", [k for k in (1, 8, 16) if k <= samples], least=1)
    if not ks or max(ks) > samples:
        section.refuse("ks", f"must be between 1 and samples={samples}", list(ks))
    keep_k = section.integer("keep_k", min(8, max(1, samples // 2)), least=1)
    if keep_k > samples:
        section.refuse("keep_k", f"must be at most samples={samples}", keep_k)
    return Evaluation(
        split=split,
        problems=section.integer("problems", 200, least=2),
        samples=samples,
        greedy=section.flag("greedy", True),
        ks=tuple(sorted(ks)),
        keep_k=keep_k,
        temperature=section.number("temperature", usual.temperature, low=1e-3),
        top_p=section.number("top_p", usual.top_p, low=1e-3, high=1.0),
        max_completion_length=section.integer(
            "max_completion_length", usual.max_completion_length, least=1
        ),
    )


def _pairs(section: Section) -> tuple[tuple[str, str], ...]:
    content = section.content.get("pairs", [])
    good = isinstance(content, list) and all(
        isinstance(pair, list)
        and len(pair) == len({str(name) for name in pair}) == 2
        and all(isinstance(name, str) for name in pair)
        for pair in content
    )
    if not good:
        section.refuse("pairs", "must be a list of [METHOD, OTHER METHOD]", content)
    return tuple((first, second) for first, second in content)


def _relations(section: Section, evaluations: Sequence[Evaluation]) -> tuple[Relation, ...]:
    """Read the relations; their metrics are those of the main split, which comes first."""
    content = section.content.get("relations", [])
    if not isinstance(content, list):
        section.refuse("relations", "must be a list of {x: METRIC, y: METRIC}", content)
    found = []
    for place, value in enumerate(content, 1):
        inner = Section(value, f"relations ({place}.) of {section.where}", ["x", "y", "where"])
        relation = Relation(x=inner.text("x"), y=inner.text("y"))
        if "where" in inner.content:
            where = Section(inner.content["where"], f"where of {inner.where}", ["metric", "above"])
            if "above" not in where.content:
                where.refuse("", "must hold 'metric' and 'above'", where.content)
            above = where.number("above", 0.0)
            relation = replace(relation, where=where.text("metric"), above=above)
        for key in relation.metrics if evaluations else ():
            check_metric(key, evaluations[0], inner.where)
        if relation.x == relation.y:
            inner.refuse("y", "must be another metric than x", relation.y)
        found.append(relation)
    return tuple(found)


def _methods(section: Section, presamplings: Mapping[str, Presampling]) -> dict[str, Method]:
    methods = {}
    default = section.integers("checkpoints", (), least=1)
    temperatures = section.numbers("method_temperatures", low=0.0)
    for name, value in section.mapping("methods").items():
        inner = Section(value or {}, f"methods.{name}", METHOD_KEYS)
        _check_of(inner)
        methods[name] = Method(
            name=_name(section, "a method's name", name),
            label=inner.text("label", name),
            settings=_settings(inner),
            rehearsal=_rehearsal(inner, presamplings),
            of=inner.text("of", ""),
            step=inner.integer("step", 0),
            checkpoints=inner.integers(
                "checkpoints", () if "of" in inner.content else default, least=1
            ),
            temperatures=inner.numbers("temperatures", low=0.0, default=temperatures),
            against=inner.text("against", ""),
        )
    return methods


def _check_of(section: Section) -> None:
    """Refuse a checkpoint without a step, a step of nothing, and settings of what is not trained."""
    given = section.content
    if ("of" in given) != ("step" in given):
        section.refuse("", "must hold both of 'of' and 'step', or none", given)
    if "of" in given:
        section.integer("step", least=1)
        for key in ("settings", "rehearsal"):
            if key in given:
                section.refuse(key, "must be left out: it is a checkpoint of another", given[key])


def _settings(section: Section) -> Settings:
    found = section.scalars("settings")
    for key in found:
        if key.replace("-", "_") in RESERVED:
            raise ConfigError(
                f"settings of {section.where} must not hold {key!r}: "
                f"{RESERVED[key.replace('-', '_')]}. Leave it out."
            )
    return {key.replace("-", "_"): value for key, value in found.items()}


def _rehearsal(section: Section, presamplings: Mapping[str, Presampling]) -> str:
    value = section.content.get("rehearsal", False)
    if value is False or value is None:
        return ""
    if value is True:
        if len(presamplings) != 1:
            section.refuse("rehearsal", f"must name one of {sorted(presamplings)}", value)
        return next(iter(presamplings))
    if value not in presamplings:
        raise unknown_name(f"pre-sampling in {section.where}:", value, presamplings)
    return str(value)


def _presamplings(section: Section) -> dict[str, Presampling]:
    content = section.content.get("presample")
    if content is None:
        return {}
    named = isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
    found = {}
    for name, value in (content if named else {"rehearsal": content}).items():
        where = f"presample.{name}" if named else "presample"
        inner = Section(value, where, ["split", "limit", *PRESAMPLE_FIELDS])
        given = {key: v for key, v in inner.content.items() if key not in ("split", "limit")}
        given = {"batch_size": section.integer("batch_size", 2048, least=1), **given}
        try:
            settings = PresampleSettings(**given)
        except PolypathError as error:
            raise ConfigError(f"{where}: {error}") from None
        except TypeError:
            inner.refuse("", f"must hold values like {asdict(PresampleSettings())}", given)
        found[_name(section, "a pre-sampling's name", str(name))] = Presampling(
            name=str(name),
            split=inner.text("split", "train"),
            limit=inner.integer("limit", least=1) if "limit" in inner.content else None,
            settings=settings,
        )
    return found


def _name(section: Section, what: str, name: str) -> str:
    """Return a name that can be part of a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        section.refuse(what, "must be letters, digits, '_', '-' and '.' alone", name)
    return name


def _base(name: str, folder: Path) -> str:
    """Return a folder beside the study file if there is one of this name."""
    beside = folder / name
    return str(beside) if (beside / "config.json").is_file() else name


def _option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
