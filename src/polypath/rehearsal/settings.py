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

    A problem solved in at least ``threshold`` of ``k`` samples is near-perfect. Being chosen by its
    own samples, its accuracy is over-estimated; therefore one more sample is drawn, and it becomes
    the rehearsed answer if it is correct. The authors use 6 of 8 for Llama-3.1-8B-Instruct and
    7 of 8 for Qwen2.5-Math-7B, temperature 1. They sample with top_p 0.95 or 0.9 and drop a problem
    whose extra sample fails (``failed_confirm="drop"``).

    Attributes:
        k: samples per problem, at least 1.
        threshold: correct samples from which a problem is near-perfect, in 1..k. A count.
        confirm: extra samples of a near-perfect problem. It is confirmed if at least one of them
            is usable (correct, and not cut off unless ``truncated`` allows it). 0 skips the
            confirmation and rehearses answers from the ``k`` samples: biased, as said above.
        failed_confirm: a near-perfect problem that is not confirmed moves to the exploration set
            (``"explore"``) or to neither set (``"drop"``).
        hopeless: never-solved problems stay in the exploration set (``"keep"``, as in the authors'
            runs), leave it (``"drop"``), or form a set of their own (``"list"``).
        answers_per_problem: stored answers per near-perfect problem. 1 is the paper's. Our
            extension for more: usable extra samples come before usable ones of the first ``k``,
            and an answer that was not chosen yet before a repeated one. Such a set favours rare
            solutions, so it is no longer a fair draw from the correct samples.
        repeated_answers: of the samples with an answer chosen before, ``"keep"`` fills up to
            ``answers_per_problem`` with them; ``"drop"`` stores none, so that a problem with three
            different right answers has three rows even if more are allowed. Samples whose verifier
            names no answer cannot be told apart: ``"drop"`` stores at most one of them, while
            ``"keep"`` takes each for a new one.
        truncated: ``"exclude"`` never rehearses a completion that hit the length limit, even if
            its verifier found it correct: its end is not the model's own. ``"allow"`` rehearses it
            when correct. The count of correct samples takes both alike, as training's reward does.
        temperature: of the sampling and of the reference log-probs, above 0. It must be the
            temperature of the training.
        top_p: nucleus mass. Below 1, samples do not come from the distribution that the reference
            log-probs describe, and E_ref[pi_theta/pi_ref] = 1 fails.
        top_k: tokens kept; ``None`` or 0 keeps all. Same caution.
        max_new_tokens: limit of a completion; ``None`` takes the task's.
        batch_size: completions sampled, and rows scored, together.
        seed: of the sampling.
        precision: of both forwards, to be chosen as in training: ``"float32"``; ``"bf16-mixed"``
            (float32 weights under bfloat16 autocast, TRL's default); ``"bfloat16"`` (bfloat16
            weights, same autocast); ``"auto"`` is bf16-mixed on a GPU that has it, else float32.
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
