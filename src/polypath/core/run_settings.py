"""Settings of a run that belong to no single method."""

from dataclasses import dataclass

from polypath.errors import ConfigError
from polypath.objectives import ON_POLICY_KL
from polypath.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What is measured, what counts as correct, and what else changes a run.

    Raises:
        ConfigError: a value is out of range.
    """

    average_weights_from: float | None = setting(
        None,
        "End with the mean of the weights after every step beyond this fraction of training, in [0, 1). "
        "Unset: with the last weights.",
        within="[0, 1)",
    )
    kl_gradient: str | None = setting(
        None,
        "Which KL the penalty for beta > 0 descends: forward (k3) or reverse (k2). Unset: TRL's own "
        "penalty, which on-policy is the reverse KL's with use_bias_correction_kl (TRL's default) and the "
        "forward KL's without.",
    )
    correctness_reward: list[str] | None = setting(
        None,
        "Names of the reward functions that say what is correct; of several the first that scored the "
        "completion. Unset: those that verify (a task's, or named accuracy, correct and the like), else all "
        "but those for format, length or style.",
    )
    solution_fn: str | None = setting(
        None,
        "What a solution is: text (the whole completion), equations (their set in a worked text), operations "
        "(of these equations, in order), or the place of a function (text, row) -> text or None, such as "
        "my_file.py:solution. Unset: as the task or the reward function says.",
    )
    correctness_threshold: float = setting(
        0.5, "A raw reward above this is correct.", within="(-inf, inf)"
    )
    diversity_metrics: bool = setting(
        True,
        "Log accuracy, distinct solutions, similarity and the rest.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        names = self.correctness_reward
        known = names is None or isinstance(names, str | list | tuple)
        if not known or not all(isinstance(name, str) for name in names or ()):
            raise ConfigError(
                f"correctness_reward must be names of reward functions, got {names!r}."
            )
        if self.kl_gradient is not None and self.kl_gradient not in ON_POLICY_KL:
            raise ConfigError(
                f"kl_gradient must be one of {', '.join(ON_POLICY_KL)}, or unset for TRL's own "
                f"penalty, got {self.kl_gradient!r}."
            )
