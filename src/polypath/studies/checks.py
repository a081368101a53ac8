"""What a study file says in one place must fit what it says in others."""

from polypath.errors import ConfigError, unknown_name
from polypath.studies.config import BASE, COOLED, SHARED, Study, is_test, is_train
from polypath.studies.section import Section
from polypath.tasks import Task


def check_study(study: Study, section: Section, task: Task) -> None:
    """Check what concerns several keys at once.

    Raises:
        ConfigError: a name stands for nothing, two rows have one name, or the study would choose on
            what it reports, or report on what it trained on.
    """
    where = section.where
    if not study.seeds:
        section.refuse("seeds", "must name at least one seed", [])
    if not study.evaluations:
        raise ConfigError(
            f"evaluation is missing in {where}: name at least one split to report on."
        )
    _check_names(study, where)
    if section.content.get("matched") and not (
        study.against and study.methods[study.against].checkpoints
    ):
        raise ConfigError(
            f"matched in {where} needs 'against' with a method that has 'checkpoints' to stop at, "
            f"got {study.against or 'none'!r}."
        )
    _check_base(study, where)
    _check_splits(study, where, task)


def _check_names(study: Study, where: str) -> None:
    methods = study.methods
    if study.against and study.against not in methods:
        raise unknown_name(f"method in against of {where}:", study.against, methods)
    for name, method in methods.items():
        others = [other for other in methods if other != name]
        if method.against and method.against not in others:
            raise unknown_name(f"method in against of methods.{name}:", method.against, others)
        trained = [other for other in others if not methods[other].of]
        if method.of and method.of not in trained:
            raise unknown_name(f"method in 'of' of methods.{name}:", method.of, trained)
    for name in (name for pair in study.pairs for name in pair):
        if name not in methods:
            raise unknown_name(f"method in pairs of {where}:", name, methods)
    labels = [BASE, COOLED, *(method.label for method in methods.values())]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"Two rows of {where} would be called {label!r}. Use another label.")


def _check_base(study: Study, where: str) -> None:
    if study.temperatures and study.tuning is None:
        raise ConfigError(
            f"temperatures in {where} needs 'tuning' with a split such as dev to choose one on."
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
                    f"{where} would choose the temperature on the split {evaluation.split!r} and "
                    "report on it as well. Use two splits."
                )
