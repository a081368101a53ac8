"""Settings of a run that belong to no single method."""

from dataclasses import dataclass

from polypath.errors import ConfigError
from polypath.objectives import ON_POLICY_KL
from polypath.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What is measured, what counts as correct, and other settings of a run.

    Raises:
        ConfigError: a value is out of range.
    """

    average_weights_from: float | None = setting(
        None,
        "Fraction of training, in [0, 1), after which the weights of every step are averaged; training ends "
        "with the mean. Unset: it ends with the last weights.",
        within="[0, 1)",
    )
    kl_gradient: str | None = setting(
        None,
        "KL whose gradient the penalty has, where beta > 0: forward (k3) or reverse (k2). Unset: TRL's own "
        "penalty. On-policy, its gradient is that of the reverse KL with use_bias_correction_kl (TRL's "
        "default), and of the forward KL without.",
    )
    correctness_reward: list[str] | None = setting(
        None,
        "Names of the reward functions that decide what is correct. Of several, the first that scored the "
        "completion counts. Unset: those that verify (a task's, or named accuracy, correct and the like); "
        "if there are none, all but those for format, length or style.",
    )
    solution_fn: str | None = setting(
        None,
        "What makes two solutions the same. text: the whole completion. equations: the set of equations in "
        "a worked text. operations: the operations of these equations, in order. Or your own function "
        "(text, row) -> text or None, as my_file.py:solution. Unset: as the task or the reward "
        "function says.",
    )
    correctness_threshold: float = setting(
        0.5, "A completion is correct if its raw reward is above this.", within="(-inf, inf)"
    )
    dynamic_sampling_rounds: int = setting(
        0,
        "Further generations, at most, that replace groups without a gradient, such as those of equal "
        "rewards, by groups of other prompts (dynamic sampling of DAPO). 0 is off. They cost time: "
        "dynamic_sampling/generated is the number of completions sampled for each one used.",
        within="[0, inf)",
    )
    skip_rows_without_gradient: bool = setting(
        False,
        "Leave completions without a gradient out of the training forward and backward: those whose "
        "advantage is 0, as in a group of equal rewards, unless a term acts on them; and on a CPU the "
        "log-probs of prompt tokens. The update is the same up to rounding. Entropy and clip ratios are "
        "then logged over the completions that are left.",
    )
    length_buckets: int = setting(
        1,
        "Run the policy's training forward in up to this many parts of rows of alike length, each without "
        "its padding. 1: as TRL, one padded forward. The update is the same up to rounding.",
        within="[1, inf)",
    )
    shared_prefill: bool = setting(
        False,
        "Generate with transformers by a loop that reads a prompt once for its whole group, and lets "
        "completions that have ended leave the batch. The same distribution as TRL's own generation, with "
        "other random numbers.",
    )
    diversity_metrics: bool = setting(
        True,
        "Log accuracy, distinct solutions, similarity and the other metrics of diversity.",
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
