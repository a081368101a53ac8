"""From a study file to a checked study."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, unknown_name
from polypath.report.text_values import OVERS, TEXT_MEASURES
from polypath.studies.config import (
    BASE,
    COOLED,
    SHARED,
    Evaluation,
    Relation,
    Study,
    StudyFile,
    Tuning,
    Where,
    is_test,
    is_train,
)
from polypath.studies.keys import folder_name, read, refuse
from polypath.studies.load_methods import (
    filled,
    join,
    read_methods,
    read_presamplings,
    read_settings,
    scalars,
)
from polypath.studies.relation_metrics import check_metric
from polypath.studies.strengths import checked_rule, rule_of
from polypath.tasks import Task, get_task, is_place
from polypath.yaml_file import read_yaml


def load_study(path: str | Path, *, joined: Sequence[Path] = ()) -> Study:
    """Read and check a study file. ``StudyPlan`` checks the recipe and each method's settings.

    Args:
        path: path of the YAML file.
        joined: files with further methods, besides those that the study names.

    Returns:
        The study, with the command that runs it.

    Raises:
        MissingFileError: the file or the recipe it names does not exist.
        DataError: it is not YAML, or has a key twice.
        ConfigError: a key is unknown (the nearest known one is named), a value is invalid, or the study
            would choose on what it reports, or report on what it trained on.
    """
    path = Path(path)
    study = study_of(read_yaml(path, "Study"), path, joined=joined)
    return replace(
        study,
        command=" --join ".join((f"polypath study {path.as_posix()}", *map(Path.as_posix, joined))),
        text=path.read_text(encoding="utf-8"),
    )


def study_of(content: Mapping[Any, Any], path: Path, *, joined: Sequence[Path] = ()) -> Study:
    """Check the content of a study file, and return the study.

    Args:
        content: content of the file.
        path: path of the file, for error messages and for files next to it: the recipe, a base. For a
            symbolic link, files next to its target.
        joined: as in ``load_study``.

    Returns:
        The study, without the text of its file.

    Raises:
        ConfigError, MissingFileError: see ``load_study``.
    """
    where = str(path)
    folder = path.resolve().parent if path.is_symlink() else path.parent
    found = read(content, where, StudyFile)
    options = scalars(found["task_options"], f"task_options of {where}")
    texts = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in options.items()}
    task = get_task(found["task"], texts)
    tuning = _evaluation(found["tuning"], "tuning", task) if "tuning" in content else None
    if "evaluation" in content:
        splits = filled(found["evaluation"], f"evaluation of {where}").items()
        evaluations = [_evaluation(v or {}, f"evaluation.{name}", task, name) for name, v in splits]
    elif found["stage"] == "tune" and tuning is not None:
        evaluations = [tuning]
    else:
        raise ConfigError(
            f"evaluation is missing in {where}: name at least one split to report on."
        )
    beside = folder / found["base"]
    files = (*(folder / file for file in found["method_files"]), *joined)
    found["presamplings"] = read_presamplings(found["presample"], found["batch_size"])
    found["methods"] = read_methods(found, where, found["presamplings"])
    found["methods"], found["presamplings"] = join(found, files)
    found |= {
        "name": folder_name(found["name"], f"name in {where}"),
        "base": str(beside) if (beside / "config.json").is_file() else found["base"],
        "task": task.name,
        # For the user's own task, the options include the hash of its file: another state is another task.
        "task_options": dict(task.options) if is_place(task.name) else texts,
        "recipe": folder / found["recipe"],
        "joined": files,
        "settings": read_settings(found["settings"], where),
        "evaluations": tuple(evaluations),
        "tuning": tuning,
        "pairs": _pairs(found["pairs"], where),
        "relations": _relations(found["relations"], where, evaluations[0]),
    }
    study = Study(**{f.name: found[f.name] for f in fields(Study) if f.name in found})
    _check_names(study, where)
    _check_reference(study, where, asked="matched" in content)
    _check_splits(study, where, task)
    _check_tuning(study, where)
    return study


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
    known = [f"{text} ({over})" for over in OVERS for text in TEXT_MEASURES]
    for name in study.matched_measures:
        if name not in known:
            raise unknown_name(f"measure in matched_measures of {where}:", name, known)
        check_metric(name, study.main, f"matched_measures of {where}")
    if study.matched_measures and not (study.matched and reference and reference.checkpoints):
        raise ConfigError(
            f"matched_measures in {where} needs 'against' with a method that has 'checkpoints' to stop "
            f"at, got {study.against or 'none'!r}."
        )
    for text in study.ranking:
        rule = checked_rule(text, study.main, f"ranking in {where}")
        if rule.matched and not (study.matched and reference and reference.checkpoints):
            raise ConfigError(
                f"{rule} in ranking of {where} needs 'against' with a method that has 'checkpoints' to "
                f"stop at, got {study.against or 'none'!r}."
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
    chooses = bool(study.temperatures or study.tuned)
    for evaluation in (*tuning, *(study.evaluations if study.stage == "tune" else ())):
        if is_test(evaluation.split):
            raise ConfigError(
                f"{where} would choose settings on the split {evaluation.split!r}; test splits are "
                "only for reporting. Tune on dev, and report in a study of stage 'report'."
            )
    if study.stage == "report" and study.tuning and chooses:
        for evaluation in study.evaluations:
            if evaluation.split == study.tuning.split:
                raise ConfigError(
                    f"{where} would choose on the split {evaluation.split!r} (a temperature or strengths) "
                    "and also report on it. Use two splits."
                )


def _check_tuning(study: Study, where: str) -> None:
    """Check that strengths can be chosen, on dev, with as many runs of each method."""
    if not study.tuned:
        if study.pick:
            raise ConfigError(
                f"pick in {where} chooses between strengths, and no method has any. Leave it out."
            )
        return
    if study.stage == "tune" or study.tuning is None:
        raise ConfigError(
            f"strengths in {where} need 'tuning' with a split, such as dev, and stage: report. The study "
            "then tunes first. In stage tune, list a method for each candidate instead."
        )
    if study.tuning_seed in study.seeds:
        raise ConfigError(
            f"tuning_seed in {where} must not be among the seeds that are reported, got "
            f"{study.tuning_seed}: the chosen run would look better than it is."
        )
    counts = {name: len(method.strengths) for name, method in study.tuned.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {number}" for name, number in counts.items())
        raise ConfigError(
            f"strengths in {where} must be as many for every method, so that none is tuned more, got {told}."
        )
    reference = study.methods.get(study.against)
    rule = rule_of(study)
    if rule.matched and not (reference and reference.checkpoints):
        raise ConfigError(
            f"pick: {rule} in {where} needs 'against' with a method that has 'checkpoints' to stop at, "
            f"got {study.against or 'none'!r}. Or pick by pass@{max(study.tuning.ks)}."
        )
    if reference and study.trained(reference.name).strengths and reference.of:
        raise ConfigError(
            f"against in {where} must be a method that is trained itself, because {reference.of!r} has "
            f"strengths, got {reference.name!r}, which is a checkpoint of it."
        )
