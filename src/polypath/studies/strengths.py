"""Strengths that methods are tuned over: the candidates, the study of them, and how one is chosen."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from polypath.studies.config import EQUAL, Evaluation, Method, Settings, Study
from polypath.studies.keys import refuse
from polypath.studies.load_methods import strength_name


@dataclass(frozen=True)
class Rule:
    """What the chosen strength is highest in, on the tuning split.

    Attributes:
        key: ``pass@k`` or ``distinct@k``.
        matched: whether the difference to the reference stopped at equal pass@1 counts, and not the
            value itself. The reference's own strength is then the one with the highest pass@1.
    """

    key: str
    matched: bool

    def __str__(self) -> str:
        """Return the text that the study file has."""
        return self.key + EQUAL * self.matched

    @classmethod
    def of(cls, text: str) -> "Rule":
        """Read the text of a study file."""
        return cls(text.removesuffix(EQUAL), text.endswith(EQUAL))


def rule_of(study: Study) -> Rule:
    """Return how a study chooses between strengths.

    Args:
        study: a study with ``tuning``.

    Raises:
        ConfigError: ``pick`` is not a metric that tuning measures.
    """
    assert study.tuning is not None
    most = max(study.tuning.ks)
    return checked_rule(
        study.pick or (f"pass@{most}{EQUAL}" if most > 1 else "pass@1"), study.tuning, "pick"
    )


def checked_rule(text: str, evaluation: Evaluation, where: str) -> Rule:
    """Read the text of a rule after checking that the evaluation measures it.

    Args:
        text: ``pass@k`` or ``distinct@k``, maybe with ``at equal pass@1``.
        evaluation: how the split is sampled.
        where: name of the key, for messages.

    Raises:
        ConfigError: it does not measure this.
    """
    rule, most = Rule.of(text), max(evaluation.ks)
    known = ["pass@1"] + [f"pass@{k}" for k in evaluation.ks if k > 1]
    known += [f"distinct@{most}"] * (most > 1)
    if rule.key not in known or (rule.key == "pass@1" and rule.matched):
        refuse(where, f"must be one of {known}, the others than pass@1 also with {EQUAL!r}", text)
    return rule


def candidates(method: Method) -> dict[str, Method]:
    """Return a method for each strength, by name; the method itself if it is not tuned."""
    if not method.strengths:
        return {method.name: method}
    found = {}
    for strength in method.strengths:
        told = strength_name(strength)
        name = f"{method.name}.{re.sub(r'[^A-Za-z0-9.-]+', '_', told)}"
        settings = {**method.settings, **strength}
        found[name] = replace(
            method, name=name, label=f"{method.label}, {told}", settings=settings, strengths=()
        )
    return found


def tuning_study(study: Study) -> Study:
    """Return the study that strengths are chosen by: each candidate with one seed, on the tuning split.

    It also has the study's reference, even if that is not tuned: the others are compared with it.

    Args:
        study: a study in which some methods have strengths.
    """
    assert study.tuning is not None
    methods: dict[str, Method] = {}
    for name, method in study.methods.items():
        if name in (study.against, study.methods[study.against].of if study.against else ""):
            methods |= {n: replace(c, against="") for n, c in candidates(method).items()}
        elif method.strengths:
            bare = replace(method, checkpoints=(), against="")
            methods |= candidates(bare)
    methods = {name: replace(method, temperatures=()) for name, method in methods.items()}
    against = study.against if study.against in methods else ""
    return replace(
        study,
        name=f"{study.name}, tuning",
        question="",
        stage="tune",
        seeds=(study.tuning_seed,),
        against=against,
        methods=methods,
        evaluations=(study.tuning,),
        temperatures=(),
        pairs=(),
        relations=(),
        ranking=(),
        matched_measures=(),
        page=False,
        matched=True,
    )


def with_strengths(study: Study, picked: Mapping[str, Settings]) -> Study:
    """Return the study with the chosen strengths among the settings of its methods.

    Args:
        study: a study in which some methods have strengths.
        picked: name of each of these methods -> its strength.
    """
    methods = {
        name: replace(
            method, settings={**method.settings, **picked[name]}, picked=dict(picked[name])
        )
        if method.strengths
        else method
        for name, method in study.methods.items()
    }
    return replace(study, methods=methods)


def strengths_note(study: Study) -> str:
    """Say which strengths were chosen, how, and which methods were not tuned; empty without any."""
    if not study.tuned or study.tuning is None:
        return ""
    number = len(next(iter(study.tuned.values())).strengths)
    told = "; ".join(
        f"{method.label}: {strength_name(method.picked)}{_at_an_end(method)}"
        for method in study.tuned.values()
    )
    rule = rule_of(study)
    note = (
        f"Strengths were picked on {study.tuning.split}, from {number} runs of each method with seed "
        f"{study.tuning_seed}, by the highest {rule}"
    )
    if rule.matched and study.methods[study.against].strengths:
        note += f" ({study.methods[study.against].label}'s own by the highest pass@1)"
    note += f". {told}."
    free = [m.label for m in study.methods.values() if not (m.strengths or m.of)]
    return note + (f" Not tuned: {', '.join(free)}." if free else "")


def _at_an_end(method: Method) -> str:
    """Say that a strength is the lowest or highest of its method: another might be better."""
    keys = {key for strength in method.strengths for key in strength}
    ends = (method.strengths[0], method.strengths[-1])
    return " (an end of its list)" if len(keys) == 1 and method.picked in ends else ""
