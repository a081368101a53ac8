"""Which problems count as mastered, and which of their answers are rehearsed."""

from dataclasses import dataclass

from polypath.errors import ConfigError, unknown_name
from polypath.sampling.settings import SamplingSettings

_CHOICES = {
    "failed_confirm": ("explore", "drop"),
    "hopeless": ("keep", "drop", "list"),
    "repeated_answers": ("keep", "drop"),
    "truncated": ("exclude", "allow"),
    "precision": ("auto", "float32", "bf16-mixed", "bfloat16"),
}
AUTO = "auto"  # as a rehearsal_set: the run makes the set itself, before it trains
# Settings that came later -> what a set was made with before there were any.
ADDED_LATER = {"repeated_answers": "keep"}


@dataclass(frozen=True, kw_only=True)
class PresampleSettings:
    """How a rehearsal set is made (DPH-RL, arXiv 2509.07430, pre-sampling stage).

    A problem solved in at least ``threshold`` of ``k`` samples is near-perfect. Its accuracy is
    over-estimated, because it was chosen by these samples; therefore one more sample is drawn, and
    it becomes the rehearsed answer if it is correct. The authors use 6 of 8 for
    Llama-3.1-8B-Instruct and 7 of 8 for Qwen2.5-Math-7B, temperature 1. They sample with top_p 0.95
    or 0.9 and drop a problem whose extra sample fails (``failed_confirm="drop"``).

    Attributes:
        k: samples per problem, at least 1.
        threshold: correct samples, 1 to k, from which a problem is near-perfect.
        confirm: extra samples that confirm a near-perfect problem; 0 skips this step. A problem is
            confirmed if at least one of them is usable (correct, and not cut off unless
            ``truncated`` allows it). With 0, answers come from the ``k`` samples: biased, as said
            above.
        failed_confirm: what to do with a near-perfect problem that is not confirmed: explore (move
            it to the exploration set) or drop.
        hopeless: what to do with never-solved problems: keep (in the exploration set, as in the
            authors' runs), drop, or list (in a set of their own).
        answers_per_problem: stored answers per near-perfect problem, at least 1; the paper has 1.
            Our extension for more: usable extra samples come before usable ones of the first ``k``,
            and an answer that was not chosen yet before a repeated one. Such a set favours rare
            solutions, so it is no longer a fair draw from the correct samples.
        repeated_answers: what to do with a sample whose answer is stored already: keep or drop.
            ``"keep"`` fills up to ``answers_per_problem`` with them. With ``"drop"`` a problem with
            three different correct answers has three rows even if more are allowed. Samples whose
            verifier names no answer cannot be told apart: ``"drop"`` stores at most one of them,
            while ``"keep"`` takes each for a new one.
        truncated: what to do with a correct completion that hit the length limit: exclude or allow
            it. Its end is not the model's own. The count of correct samples takes both alike, as
            training's reward does.
        temperature: temperature of the samples and of the reference log-probs, above 0; the same as in
            training.
        top_p: probability mass of nucleus sampling, in (0, 1]. Below 1, samples do not come from
            the distribution that the reference log-probs describe, and E_ref[pi_theta/pi_ref] = 1
            fails.
        top_k: most likely tokens to sample from; all by default, or with 0. Same caution.
        max_new_tokens: maximum length of a completion in tokens, at least 1; the task's by default.
        batch_size: completions sampled, and rows scored, together, at least 1.
        seed: random seed of the samples, at least 0.
        precision: precision of the model, the same as in training: auto, float32, bf16-mixed or
            bfloat16. ``"bf16-mixed"`` is float32 weights under bfloat16 autocast, TRL's default;
            ``"bfloat16"`` is bfloat16 weights under the same autocast; ``"auto"`` is bf16-mixed on
            a GPU that supports it, else float32.
    """

    k: int = 8
    threshold: int = 6
    confirm: int = 1
    failed_confirm: str = "explore"
    hopeless: str = "keep"
    answers_per_problem: int = 1
    repeated_answers: str = "keep"
    truncated: str = "exclude"
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    max_new_tokens: int | None = None
    batch_size: int = 64
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, got {self.k}.")
        if not 1 <= self.threshold <= self.k:
            raise ConfigError(
                f"threshold is a count of the k={self.k} samples and must be in 1..{self.k}, "
                f"got {self.threshold}."
            )
        if self.confirm < 0:
            raise ConfigError(f"confirm must be at least 0, got {self.confirm}.")
        if self.answers_per_problem < 1:
            raise ConfigError(
                f"answers_per_problem must be at least 1, got {self.answers_per_problem}."
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown_name(name, getattr(self, name), choices)
        if self.temperature <= 0:
            raise ConfigError(
                f"temperature must be above 0, got {self.temperature}: a greedy policy has no "
                "reference log-probs."
            )
        if self.top_k == 0:
            object.__setattr__(self, "top_k", None)
        if self.max_new_tokens is not None:
            self.sampling(self.max_new_tokens)

    def sampling(self, max_new_tokens: int) -> SamplingSettings:
        """Return the part of the settings that draws the samples."""
        return SamplingSettings(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_new_tokens=max_new_tokens,
            batch_size=self.batch_size,
            seed=self.seed,
        )
