"""Which problems count as mastered, and which of their answers are rehearsed."""

from dataclasses import dataclass
from typing import Literal

from polypath.errors import ConfigError, unknown_name
from polypath.sampling.settings import SamplingSettings
from polypath.settings import check_settings, setting

PRECISIONS = ("auto", "float32", "bf16-mixed", "bfloat16")
Replay = Literal["uniform", "frequency"]  # how solutions of a bank are drawn
AUTO = "auto"  # as a rehearsal_set: the run makes the set itself before it trains
# Settings added later -> the value that older sets were made with.
ADDED_LATER = {"repeated_answers": "keep"}


@dataclass(frozen=True, kw_only=True)
class PresampleSettings:
    """How a rehearsal set is made (DPH-RL, arXiv 2509.07430, pre-sampling stage).

    A problem solved in at least ``threshold`` of ``k`` samples is near-perfect. Its accuracy is
    over-estimated, because these samples chose it. Therefore one more sample is drawn. If it is correct,
    it becomes the rehearsed answer. The authors use 6 of 8 for
    Llama-3.1-8B-Instruct and 7 of 8 for Qwen2.5-Math-7B, temperature 1. They sample with top_p 0.95
    or 0.9 and drop a problem whose extra sample fails (``failed_confirm="drop"``).

    With more than one answer per problem (our extension), usable extra samples come before usable
    ones of the first ``k``, and new answers come before repeated ones. Such a set
    favours rare solutions, so it is no longer a fair draw from the correct samples. Samples for which
    the verifier names no answer cannot be told apart: ``repeated_answers="drop"`` stores at most one of
    them, and ``"keep"`` treats each as new.

    The count of correct samples includes those that hit the length limit, as training's reward does.
    Their end is not the model's own, so they are usable only with ``truncated="allow"``. With top_p
    below 1 or top_k, samples do not come from the distribution that the reference log-probs
    describe, and E_ref[pi_theta/pi_ref] = 1 fails.
    """

    k: int = setting(8, "Samples per problem, at least 1.", within="[1, inf)")
    threshold: int = setting(
        6, "Correct samples, 1 to k, that make a problem near-perfect.", within="[1, inf)"
    )
    confirm: int = setting(
        1,
        "Extra samples of a near-perfect problem, at least 0. One that is correct and not cut off confirms "
        "the problem. With 0, answers come from the first k samples, which biases them.",
        within="[0, inf)",
    )
    failed_confirm: Literal["explore", "drop"] = setting(
        "explore",
        "A near-perfect problem that is not confirmed: explore moves it to the exploration set, drop "
        "removes it.",
    )
    hopeless: Literal["keep", "drop", "list"] = setting(
        "keep",
        "A problem that is never solved: keep puts it into the exploration set, as in the authors' runs; "
        "drop removes it; list puts it into a set of its own.",
    )
    answers_per_problem: int = setting(
        1, "Stored answers per near-perfect problem, at least 1.", within="[1, inf)"
    )
    repeated_answers: Literal["keep", "drop"] = setting(
        "keep", "A correct sample whose answer is stored already: keep or drop it."
    )
    truncated: Literal["exclude", "allow"] = setting(
        "exclude",
        "A correct completion that was cut off at the length limit: exclude it, or allow it as an answer.",
    )
    temperature: float = setting(
        1.0,
        "Temperature of the samples and of the reference log-probs, above 0. Use that of training.",
        within="(0, inf)",
    )
    top_p: float = setting(1.0, "Probability mass of nucleus sampling, in (0, 1].")
    top_k: int | None = setting(
        None, "Sample from this many most likely tokens; 0, the default, is all."
    )
    max_new_tokens: int | None = setting(
        None, "Maximum completion length in tokens, at least 1; the task's default if left out."
    )
    batch_size: int = setting(64, "Completions that are sampled or scored together, at least 1.")
    seed: int = setting(0, "Random seed of the samples, at least 0.")
    precision: str = setting(
        "auto",
        "Precision of the model; use that of training. float32; bf16-mixed: float32 weights under bfloat16 "
        "autocast (TRL's default); bfloat16: bfloat16 weights under the same autocast; auto: bf16-mixed "
        "on a GPU that supports it, else float32.",
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
