"""Which problems count as mastered, and which of their answers are rehearsed."""

from dataclasses import dataclass
from typing import Literal

from polypath.errors import ConfigError, unknown_name
from polypath.sampling.settings import SamplingSettings
from polypath.settings import check_settings, setting

PRECISIONS = ("auto", "float32", "bf16-mixed", "bfloat16")
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

    With more than one answer per problem (our extension), usable extra samples come before usable
    ones of the first ``k``, and an answer that was not chosen yet before a repeated one. Such a set
    favours rare solutions, so it is no longer a fair draw from the correct samples. Samples whose
    verifier names no answer cannot be told apart: ``repeated_answers="drop"`` stores at most one of
    them, while ``"keep"`` takes each for a new one.

    The count of correct samples includes those that hit the length limit, as training's reward does;
    their end is not the model's own, so they are usable only with ``truncated="allow"``. With top_p
    below 1 or top_k, samples do not come from the distribution that the reference log-probs
    describe, and E_ref[pi_theta/pi_ref] = 1 fails.
    """

    k: int = setting(8, "Samples per problem, at least 1.", within="[1, inf)")
    threshold: int = setting(
        6, "Correct samples, 1 to k, from which a problem is near-perfect.", within="[1, inf)"
    )
    confirm: int = setting(
        1,
        "Extra samples of a near-perfect problem, at least 0. It is confirmed if one of them is usable: "
        "correct, and not cut off. With 0, answers come from the k samples, which is biased.",
        within="[0, inf)",
    )
    failed_confirm: Literal["explore", "drop"] = setting(
        "explore",
        "What to do with a near-perfect problem that is not confirmed: explore (move it to the "
        "exploration set) or drop.",
    )
    hopeless: Literal["keep", "drop", "list"] = setting(
        "keep",
        "What to do with never-solved problems: keep (in the exploration set, as in the authors' "
        "runs), drop, or list (in a set of their own).",
    )
    answers_per_problem: int = setting(
        1, "Stored answers per near-perfect problem, at least 1.", within="[1, inf)"
    )
    repeated_answers: Literal["keep", "drop"] = setting(
        "keep", "What to do with a sample whose answer is stored already: keep or drop."
    )
    truncated: Literal["exclude", "allow"] = setting(
        "exclude",
        "What to do with a correct completion that hit the length limit: exclude or allow it.",
    )
    temperature: float = setting(
        1.0,
        "Temperature of samples and reference log-probs, above 0, as a greedy policy has none; the same "
        "as in training.",
        within="(0, inf)",
    )
    top_p: float = setting(1.0, "Probability mass of nucleus sampling, in (0, 1].")
    top_k: int | None = setting(
        None, "Number of most likely tokens to keep; 0 keeps all, the default."
    )
    max_new_tokens: int | None = setting(
        None, "Longest completion in tokens, at least 1; the task's by default."
    )
    batch_size: int = setting(64, "Completions sampled, and rows scored, together, at least 1.")
    seed: int = setting(0, "Random seed of the samples, at least 0.")
    precision: str = setting(
        "auto",
        "Precision of the model, the same as in training: float32; bf16-mixed (float32 weights under "
        "bfloat16 autocast, TRL's default); bfloat16 (bfloat16 weights, same autocast); auto is "
        "bf16-mixed on a GPU that supports it, else float32.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.threshold > self.k:
            raise ConfigError(
                f"threshold is a count of the k={self.k} samples and must be in 1..{self.k}, "
                f"got {self.threshold}."
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
