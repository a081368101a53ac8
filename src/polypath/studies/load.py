"""From a study file to a checked study."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, PolypathError, unknown_name
from polypath.rehearsal.settings import PresampleSettings
from polypath.studies.config import (
    BASE,
    COOLED,
    SHARED,
    Evaluation,
    Method,
    Presampling,
    Relation,
    Study,
    StudyFile,
    Tuning,
    Where,
    is_test,
    is_train,
)
from polypath.studies.keys import folder_name, names_of, read, refuse
from polypath.studies.relation_metrics import check_metric
from polypath.tasks import Task, get_task, is_place
from polypath.yaml_file import read_yaml

# Settings that the runner sets itself, and where a study file defines them.
RESERVED = {
    "output_dir": "--out decides it",
    "seed": "'seeds' lists them",
    "model_name_or_path": "'base' names it",
    "task": "'task' names it",
    "task_options": "'task_options' of the study holds them",
    "rehearsal_set": "'rehearsal' of the method names a pre-sampling",
    "resume_from_checkpoint": "rerunning the command resumes",
    "env": "set it in the recipe",
}


def load_study(path: str | Path) -> Study:
    """Read and check a study file. ``StudyPlan`` checks the recipe and each method's settings.

    Args:
        path: path of the YAML file.

    Returns:
        The study, with the command that runs it.

    Raises:
        MissingFileError: the file or the recipe it names does not exist.
        DataError: it is not YAML, or has a key twice.
        ConfigError: a key is unknown (the nearest known one is named), a value is invalid, or the study
            would choose on what it reports, or report on what it trained on.
    """
    path = Path(path)
    study = study_of(read_yaml(path, "Study"), path)
    return replace(
        study,
        command=f"polypath study {path.as_posix()}",
        text=path.read_text(encoding="utf-8"),
    )


def study_of(content: Mapping[Any, Any], path: Path) -> Study:
    """Check the content of a study file, and return the study.

    Args:
        content: content of the file.
        path: path of the file, for error messages and for files next to it: the recipe, a base. For a
            symbolic link, files next to its target.

    Returns:
        The study, without the text of its file.

    Raises:
        ConfigError, MissingFileError: see ``load_study``.
    """
    where = str(path)
    folder = path.resolve().parent if path.is_symlink() else path.parent
    found = read(content, where, StudyFile)
    options = _scalars(found["task_options"], f"task_options of {where}")
    texts = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in options.items()}
    task = get_task(found["task"], texts)
    tuning = _evaluation(found["tuning"], "tuning", task) if "tuning" in content else None
    if "evaluation" in content:
        splits = _filled(found["evaluation"], f"evaluation of {where}").items()
        evaluations = [_evaluation(v or {}, f"evaluation.{name}", task, name) for name, v in splits]
    elif found["stage"] == "tune" and tuning is not None:
        evaluations = [tuning]
    else:
        raise ConfigError(
            f"evaluation is missing in {where}: name at least one split to report on."
        )
    beside = folder / found["base"]
    presamplings = _presamplings(found["presample"], found["batch_size"])
    found |= {
        "name": folder_name(found["name"], f"name in {where}"),
        "base": str(beside) if (beside / "config.json").is_file() else found["base"],
        "task": task.name,
        # For the user's own task, the options include the hash of its file: another state is another task.
        "task_options": dict(task.options) if is_place(task.name) else texts,
        "recipe": folder / found["recipe"],
        "presamplings": presamplings,
        "methods": _methods(found, where, presamplings),
        "settings": _settings(found["settings"], where),
        "evaluations": tuple(evaluations),
        "tuning": tuning,
        "pairs": _pairs(found["pairs"], where),
        "relations": _relations(found["relations"], where, evaluations[0]),
    }
    study = Study(**{f.name: found[f.name] for f in fields(Study) if f.name in found})
    _check_names(study, where)
    _check_reference(study, where, asked="matched" in content)
    _check_splits(study, where, task)
    return study


def _filled(content: Any, where: str) -> Mapping[str, Any]:
    """Return a mapping after checking that it is not empty."""
    found = names_of(content, where)
    if not found:
        refuse(where, "must not be empty", content)
    return found


def _scalars(content: Any, where: str) -> dict[str, Any]:
    """Read a mapping of names to texts, numbers, flags, or lists of these."""
    for name, value in names_of(content or {}, where).items():
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float | bool) for item in items):
            refuse(f"{name} in {where}", "must be a text, a number, true, false or a list", value)
    return dict(content or {})


def _evaluation(content: Any, where: str, task: Task, split: str = "") -> Evaluation:
    """Read how a split is sampled, by default as its task says. Without ``split`` a key names it."""
    usual = asdict(task.evaluation)
    usual["samples"] = usual.pop("num_samples")
    found = read(content, where, Evaluation if split else Tuning, **usual)
    samples = found["samples"]
    if found["ks"] is None:
        found["ks"] = [k for k in (1, 8, 16) if k <= samples]
    if not found["ks"] or max(found["ks"]) > samples:
        refuse(f"ks in {where}", f"must be between 1 and samples={samples}", list(found["ks"]))
    if found["keep_k"] is None:
        found["keep_k"] = min(8, max(1, samples // 2))
    if found["keep_k"] > samples:
        refuse(f"keep_k in {where}", f"must be at most samples={samples}", found["keep_k"])
    return Evaluation(**{"split": split, **found, "ks": tuple(sorted(found["ks"]))})


# --- methods, and the rehearsal sets that they use --------------------------------------------------


def _methods(
    study: Mapping[str, Any], where: str, presamplings: Mapping[str, Presampling]
) -> dict[str, Method]:
    """Read the methods of a study, with the settings that they share."""
    methods = {}
    for name, content in _filled(study["methods"], f"methods of {where}").items():
        here = f"methods.{name}"
        usual = {"label": name, "temperatures": study["method_temperatures"]}
        is_checkpoint = _is_checkpoint(names_of(content or {}, here), here)
        usual["checkpoints"] = () if is_checkpoint else study["checkpoints"]
        found = read(content or {}, here, Method, **usual)
        found |= {
            "name": folder_name(name, "a method's name"),
            "settings": _settings(found["settings"], here),
            "rehearsal": _rehearsal(found["rehearsal"], here, presamplings),
        }
        methods[name] = Method(**found)
    return methods


def _is_checkpoint(given: Mapping[str, Any], where: str) -> bool:
    """Return whether a method is a checkpoint of another. Such a method has no settings of its own."""
    if ("of" in given) != ("step" in given):
        refuse(where, "must have both of 'of' and 'step', or neither", given)
    for key in ("settings", "rehearsal"):
        if "of" in given and key in given:
            what = "must be left out, because this is a checkpoint of another method"
            refuse(f"{key} in {where}", what, given[key])
    return "of" in given


def _settings(content: Any, where: str) -> dict[str, Any]:
    """Read recipe keys and values. Keys that the runner sets itself are refused."""
    found = {}
    for key, value in _scalars(content, f"settings of {where}").items():
        name = key.replace("-", "_")
        if name in RESERVED:
            raise ConfigError(
                f"settings of {where} must not hold {key!r}: {RESERVED[name]}. Leave it out."
            )
        found[name] = value
    return found


def _rehearsal(value: Any, where: str, presamplings: Mapping[str, Presampling]) -> str:
    """Return the name of a method's pre-sampling; empty for none."""
    if value is False or value is None:
        return ""
    if value is True and len(presamplings) == 1:
        return next(iter(presamplings))
    if not isinstance(value, str):
        refuse(f"rehearsal in {where}", f"must name one of {sorted(presamplings)}", value)
    if value not in presamplings:
        raise unknown_name(f"pre-sampling in {where}:", value, presamplings)
    return value


def _presamplings(content: Any, batch_size: int) -> dict[str, Presampling]:
    """Read the rehearsal sets: a single one, or several by name."""
    if content is None:
        return {}
    named = isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
    settings = [field.name for field in fields(PresampleSettings)]
    found = {}
    for name, value in (content if named else {"rehearsal": content}).items():
        where = f"presample.{name}" if named else "presample"
        own = read(value, where, Presampling, also=settings)
        given = {key: value[key] for key in settings if key in value}
        try:
            made = PresampleSettings(**{"batch_size": batch_size, **given})
        except PolypathError as error:
            raise ConfigError(f"{where}: {error}") from None
        except TypeError:
            refuse(where, f"must hold values like {asdict(PresampleSettings())}", given)
        name = folder_name(str(name), "a pre-sampling's name")
        found[name] = Presampling(name=name, settings=made, **own)
    return found


# --- what is compared -------------------------------------------------------------------------------


def _pairs(content: Any, where: str) -> tuple[tuple[str, str], ...]:
    good = isinstance(content, list | tuple) and all(
        isinstance(pair, list)
        and all(isinstance(name, str) for name in pair)
        and len(pair) == len(set(pair)) == 2
        for pair in content
    )
    if not good:
        refuse(f"pairs in {where}", "must be a list of [METHOD, OTHER METHOD]", content)
    return tuple((first, second) for first, second in content)


def _relations(content: Any, where: str, main: Evaluation) -> tuple[Relation, ...]:
    """Read the relations. Their metrics are those of the main split."""
    if not isinstance(content, list | tuple):
        refuse(f"relations in {where}", "must be a list of {x: METRIC, y: METRIC}", content)
    found = []
    for place, value in enumerate(content, 1):
        here = f"relations ({place}.) of {where}"
        keys = read(value, here, Relation)
        if "where" in value:
            chosen = read(value["where"], f"where of {here}", Where)
            keys |= {"where": chosen["metric"], "above": chosen["above"]}
        relation = Relation(**keys)
        for key in relation.metrics:
            check_metric(key, main, here)
        if relation.x == relation.y:
            refuse(f"y in {here}", "must be another metric than x", relation.y)
        found.append(relation)
    return tuple(found)


# --- keys that must fit each other --------------------------------------------------------------------


def _check_names(study: Study, where: str) -> None:
    methods = study.methods
    if not study.seeds:
        refuse(f"seeds in {where}", "must name at least one seed", [])
    named = [(f"against of {where}", study.against, list(methods))]
    for name, method in methods.items():
        others = [other for other in methods if other != name]
        trained = [other for other in others if not methods[other].of]
        named.append((f"against of methods.{name}", method.against, others))
        named.append((f"'of' of methods.{name}", method.of, trained))
    named += [(f"pairs of {where}", name, list(methods)) for pair in study.pairs for name in pair]
    for place, name, known in named:
        if name and name not in known:
            raise unknown_name(f"method in {place}:", name, known)
    labels = [BASE, COOLED, *(method.label for method in methods.values())]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(
                f"Two rows of {where} would both be called {label!r}. Use another label."
            )


def _check_reference(study: Study, where: str, *, asked: bool) -> None:
    """Check what methods are compared with: a reference that can be stopped early, and the base."""
    reference = study.methods.get(study.against)
    if study.matched and asked and not (reference and reference.checkpoints):
        raise ConfigError(
            f"matched in {where} needs 'against' with a method that has 'checkpoints' to stop at, "
            f"got {study.against or 'none'!r}."
        )
    if study.temperatures and study.tuning is None:
        raise ConfigError(
            f"temperatures in {where} needs 'tuning' with a split, such as dev, to choose one on."
        )
    for evaluation in study.evaluations:
        if study.base_draws == SHARED and evaluation.keep_k:
            raise ConfigError(
                f"base_draws: {SHARED} in {where} needs keep_k: 0 in evaluation.{evaluation.split}, "
                f"got {evaluation.keep_k}: keep and explore shares need independent samples."
            )


def _check_splits(study: Study, where: str, task: Task) -> None:
    tuning = [study.tuning] if study.tuning else []
    for evaluation in (*study.evaluations, *tuning):
        if evaluation.split not in task.splits:
            raise unknown_name(
                f"split of task {task.name} in {where}:", evaluation.split, task.splits
            )
        if is_train(evaluation.split):
            raise ConfigError(
                f"{where} would measure on the split {evaluation.split!r}, which is for training. "
                "Use a held-out split."
            )
    for evaluation in (*tuning, *(study.evaluations if study.stage == "tune" else ())):
        if is_test(evaluation.split):
            raise ConfigError(
                f"{where} would choose settings on the split {evaluation.split!r}; test splits are "
                "only for reporting. Tune on dev, and report in a study of stage 'report'."
            )
    if study.stage == "report" and study.tuning and study.temperatures:
        for evaluation in study.evaluations:
            if evaluation.split == study.tuning.split:
                raise ConfigError(
                    f"{where} would choose the temperature on the split {evaluation.split!r} and also "
                    "report on it. Use two splits."
                )
