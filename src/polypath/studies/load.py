"""From a study file to a checked study."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polypath.errors import unknown_name
from polypath.studies.checks import check_study
from polypath.studies.config import Evaluation, Relation, Study
from polypath.studies.load_methods import read_methods, read_presamplings, read_settings
from polypath.studies.reading import Section
from polypath.studies.relation_metrics import check_metric
from polypath.tasks import Task, get_task
from polypath.yaml_file import read_yaml

STAGES = ("report", "tune")
KEYS = [
    *("name", "question", "base", "task", "task_options", "recipe", "stage", "seeds", "against"),
    *("presample", "methods", "settings", "checkpoints", "temperatures", "evaluation", "tuning"),
    *("sampling_seed", "batch_size", "page", "matched", "method_temperatures"),
    *("pairs", "relations"),
]
EVALUATION_KEYS = [
    *("problems", "samples", "greedy", "ks", "keep_k"),
    *("temperature", "top_p", "max_completion_length"),
]


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
    presamplings = read_presamplings(section)
    tuning = _tuning(section, task)
    evaluations = _evaluations(section, task)
    if stage == "tune" and not evaluations and tuning is not None:
        evaluations = (tuning,)
    study = Study(
        name=section.folder_name("name", section.text("name")),
        question=section.text("question", ""),
        base=_base(section.text("base"), path.parent),
        task=task.name,
        task_options=task_options,
        recipe=path.parent / section.text("recipe"),
        stage=stage,
        seeds=section.integers("seeds", (0, 1, 2)),
        against=section.text("against", ""),
        presamplings=presamplings,
        methods=read_methods(section, presamplings),
        settings=read_settings(section),
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
    check_study(study, section, task)
    return study


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


def _base(name: str, folder: Path) -> str:
    """Return a folder beside the study file if there is one of this name."""
    beside = folder / name
    return str(beside) if (beside / "config.json").is_file() else name


def _option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
