"""A recipe in words: the parts of the objective that it switches on, and its rewards."""

from typing import Any

from polypath.core.reward_names import check_rewards, read_reward_options
from polypath.objectives import Active, PolicyTerm
from polypath.plan.settings import Settings
from polypath.rehearsal.settings import AUTO


def methods(settings: Settings) -> list[str]:
    """Return one line for each part of the objective, the base first."""
    lines = [_base(settings)]
    if settings.number("beta") > 0:
        lines.append(_penalty(settings))
    lines += [_method(active, settings) for active in _active(settings)]
    if rehearses(settings):
        divergence = settings.objectives.divergence
        made = settings.text("rehearsal_set") == AUTO
        stored = (
            "solutions of solved problems, sampled first"
            if made
            else "answers to mastered problems"
        )
        apart = "; these are not explored" if settings.flag("rehearsal_explore_only") else ""
        lines.append(
            f"rehearsal: {settings.number('rehearsal_coef'):g} x {divergence.entry.name}"
            f"{_changed(divergence)} on stored {stored}{apart}"
        )
    if banks(settings):
        lines.append(_bank(settings))
    if settings.get("average_weights_from") is not None:
        start = settings.number("average_weights_from")
        lines.append(f"final weights: the mean over training from {start:.0%} on")
    return lines


def rehearses(settings: Settings) -> bool:
    """Return whether the rehearsal term is on."""
    return bool(settings.text("rehearsal_set")) and settings.number("rehearsal_coef") > 0


def banks(settings: Settings) -> bool:
    """Return whether the bank of solutions is on."""
    return settings.flag("bank") and settings.number("bank_coef") > 0


def _bank(settings: Settings) -> str:
    divergence = settings.objectives.bank_divergence
    age = settings.get("bank_max_age")
    until = "" if age is None else f", sampled within {settings.count('bank_max_age')} steps"
    evenly = settings.text("bank_replay") == "uniform"
    return (
        f"bank: {settings.number('bank_coef'):g} x {divergence.entry.name}{_changed(divergence)} on up to "
        f"{settings.count('bank_capacity')} correct solutions of each problem that training found{until}, "
        f"replayed {'with equal chances' if evenly else 'as often as they were sampled'}"
    )


def _base(settings: Settings) -> str:
    scale = settings.text("scale_rewards").lower()
    undivided = scale in ("none", "false")
    name = "Dr. GRPO" if undivided and settings.text("loss_type") == "dr_grpo" else "GRPO"
    advantages = (
        "advantages not divided by the deviation"
        if undivided
        else f"advantages divided by the deviation of the {'group' if scale == 'true' else scale}"
    )
    rule = settings.objectives.advantage
    if rule is not None:
        advantages = f"advantages by {rule.entry.name}"
    low = settings.number("epsilon")
    high = low if settings.get("epsilon_high") is None else settings.number("epsilon_high")
    clip = f"clip {low:g}" if high == low else f"clip {low:g} below and {high:g} above"
    return f"{name}: {settings.text('loss_type')} loss, {advantages}, {clip}"


def _penalty(settings: Settings) -> str:
    gradient = settings.text("kl_gradient")
    if not gradient:
        gradient = "reverse" if settings.flag("use_bias_correction_kl") else "forward"
    return f"KL penalty: beta {settings.number('beta'):g}, its gradient the {gradient} KL's"


def _active(settings: Settings) -> list[Active[Any]]:
    """Return the methods that are on, except rehearsal and the bank."""
    objectives = settings.objectives
    return [*objectives.of_groups, *objectives.terms]


def _method(active: Active[Any], settings: Settings) -> str:
    """Return the line of a method: its name, weight, similarity, what it does, and changed settings."""
    weight = f"{active.coef:g} x " if isinstance(active.entry, PolicyTerm) else ""
    by = ""
    if "similarity_P_G_G" in active.wants:
        name = settings.text("similarity")
        model = f" of {settings.text('embedding_model')}" if name == "embedding" else ""
        by = f", {name} similarity{model}"
    return f"{active.entry.name}{by}: {weight}{active.entry.line}{_changed(active)}"


def _changed(active: Active[Any]) -> str:
    """Return the settings that are not at their defaults, in brackets."""
    found = [
        f"{s.field} {getattr(active.config, s.field)}"
        for s in active.entry.settings
        if getattr(active.config, s.field) != s.default
    ]
    return f" ({', '.join(found)})" if found else ""


def rewards(settings: Settings) -> list[str]:
    """Return the reward functions with their weights, the task's verifier first.

    Raises:
        ConfigError, MissingFileError: one does not exist; the message is that of the run.
    """
    names = [f"{settings.text('task')} verifier"] if settings.text("task") else []
    if settings.text("reward_model_name_or_path"):
        names.append(settings.text("reward_model_name_or_path"))
    listed = settings.get("reward_funcs") or []
    functions = [
        str(name) for name in (listed if isinstance(listed, list) else str(listed).split())
    ]
    check_rewards(functions, task=bool(settings.text("task")))
    options = settings.get("reward_options")
    read_reward_options(options.split() if isinstance(options, str) else options)
    names += functions
    weights = settings.get("reward_weights") or [1.0] * len(names)
    if not isinstance(weights, list) or len(weights) != len(names):
        return names  # the run reports the error
    return [f"{weight} x {name}" for weight, name in zip(weights, names, strict=True)]
