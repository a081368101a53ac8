"""From a study file to a checked study."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, PolypathError, unknown_name
from polypath.rehearsal.settings import PresampleSettings
from polypath.studies.checks import check_study
from polypath.studies.config import (
    INDEPENDENT,
    SHARED,
    Evaluation,
    Method,
    Presampling,
    Relation,
    Settings,
    Study,
)
from polypath.studies.relation_metrics import check_metric
from polypath.studies.section import Section
from polypath.tasks import Task, get_task
from polypath.yaml_file import read_yaml

KEYS = [
    *("name", "question", "base", "task", "task_options", "recipe", "stage", "seeds", "against"),
    *("presample", "methods", "settings", "checkpoints", "temperatures", "evaluation", "tuning"),
    *("sampling_seed", "batch_size", "page", "matched", "method_temperatures"),
    *("temperature_curve", "base_draws", "pairs", "relations"),
]
EVALUATION_KEYS = [
    *("problems", "samples", "greedy", "ks", "keep_k"),
    *("temperature", "top_p", "max_completion_length"),
]
METHOD_KEYS = [
    *("label", "settings", "rehearsal", "checkpoints", "temperatures", "against"),
    *("of", "step"),
]
PRESAMPLE_FIELDS = tuple(f.name for f in fields(PresampleSettings))
# What the runner sets itself, and where a study file says it.
RESERVED = {
    "output_dir": "--out decides it",
    "seed": "'seeds' lists them",
    "model_name_or_path": "'base' names it",
    "task": "'task' names it",
    "task_options": "'task_options' of the study holds them",
    "rehearsal_set": "'rehearsal' of the method names a pre-sampling",
    "resume_from_checkpoint": "the same command resumes by itself",
    "env": "set it in the recipe",
}


def load_study(path: str | Path) -> Study:
    """Read and check a study file. The recipe and each method's settings are checked by ``StudyPlan``.

    Raises:
        MissingFileError: the file or the recipe it names does not exist.
        DataError: it is not YAML, or has a key twice.
        ConfigError: a key is unknown (the nearest known one is named), a value cannot be, or the
            study would choose on what it reports, or report on what it trained on.
    """
    path = Path(path)
    content = read_yaml(path, "Study")
    study = study_of(content, path)
    return replace(
        study,
        command=f"polypath study {path.as_posix()}",
        text=path.read_text(encoding="utf-8"),
    )


def study_of(content: Mapping[Any, Any], path: Path) -> Study:
    """Check what a study file holds, and return the study.

    Args:
        content: of the file, read.
        path: of the file, for error messages and for what lies beside it: the recipe, a base. Of a
            symbolic link, beside the file that it points to.

    Raises:
        ConfigError, MissingFileError: see ``load_study``.
    """
    section = Section(content, str(path), KEYS)
    folder = path.resolve().parent if path.is_symlink() else path.parent
    task_options = {key: _option(v) for key, v in section.scalars("task_options").items()}
    task = get_task(section.text("task"), task_options)
    stage = section.choice("stage", ("report", "tune"))
    presamplings = _presamplings(section)
    tuning = _tuning(section, task)
    evaluations = _evaluations(section, task)
    if stage == "tune" and not evaluations and tuning is not None:
        evaluations = (tuning,)
    study = Study(
        name=section.folder_name("name", section.text("name")),
        question=section.text("question", ""),
        base=_base(section.text("base"), folder),
        task=task.name,
        task_options=task_options,
        recipe=folder / section.text("recipe"),
        stage=stage,
        seeds=section.integers("seeds", (0, 1, 2)),
        against=section.text("against", ""),
        presamplings=presamplings,
        methods=_methods(section, presamplings),
        settings=_settings(section),
        temperatures=section.numbers("temperatures", low=0.0),
        temperature_curve=section.flag("temperature_curve", True),
        evaluations=evaluations,
        tuning=tuning,
        base_draws=section.choice("base_draws", (INDEPENDENT, SHARED)),
        pairs=_pairs(section),
        relations=_relations(section, evaluations),
        sampling_seed=section.integer("sampling_seed", 0),
        batch_size=section.integer("batch_size", 2048, least=1),
        page=section.flag("page", True),
        matched=section.flag("matched", True),
    )
    check_study(study, section, task)
    return study


def _base(name: str, folder: Path) -> str:
    """Return a folder beside the study file if there is one of this name."""
    beside = folder / name
    return str(beside) if (beside / "config.json").is_file() else name


def _option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what is sampled --------------------------------------------------------------------------------


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
    keep_k = section.integer("keep_k", min(8, max(1, samples // 2)))
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


# --- methods, and the rehearsal sets that they use --------------------------------------------------


def _methods(section: Section, presamplings: Mapping[str, Presampling]) -> dict[str, Method]:
    """Read the methods of a study, with what they have in common from the study itself."""
    methods = {}
    checkpoints = section.integers("checkpoints", (), least=1)
    temperatures = section.numbers("method_temperatures", low=0.0)
    for name, value in section.mapping("methods").items():
        inner = Section(value or {}, f"methods.{name}", METHOD_KEYS)
        _check_of(inner)
        methods[name] = Method(
            name=section.folder_name("a method's name", name),
            label=inner.text("label", name),
            settings=_settings(inner),
            rehearsal=_rehearsal(inner, presamplings),
            of=inner.text("of", ""),
            step=inner.integer("step", 0),
            checkpoints=inner.integers(
                "checkpoints", () if "of" in inner.content else checkpoints, least=1
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
    """Read recipe keys and values; what the runner sets itself is refused."""
    found = {}
    for key, value in section.scalars("settings").items():
        name = key.replace("-", "_")
        if name in RESERVED:
            raise ConfigError(
                f"settings of {section.where} must not hold {key!r}: {RESERVED[name]}. "
                "Leave it out."
            )
        found[name] = value
    return found


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
    """Read the rehearsal sets: one by itself, or several by name."""
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
        found[section.folder_name("a pre-sampling's name", str(name))] = Presampling(
            name=str(name),
            split=inner.text("split", "train"),
            limit=inner.integer("limit", least=1) if "limit" in inner.content else None,
            settings=settings,
        )
    return found


# --- what is compared -------------------------------------------------------------------------------


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
