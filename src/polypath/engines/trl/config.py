"""``trl.GRPOConfig`` with the settings of the three methods, flat as TRL's own."""

import math
from dataclasses import dataclass, field

from trl import GRPOConfig

from polypath.engines.trl.averaging import is_fraction
from polypath.errors import ConfigError
from polypath.objectives import (
    ON_POLICY_KL,
    AdvantageConfig,
    DivergenceConfig,
    DRAConfig,
    PositiveEntropyConfig,
)


@dataclass
class DiversityGRPOConfig(GRPOConfig):  # type: ignore[misc]  # trl ships no types
    r"""Every setting of ``trl.GRPOConfig``, plus the ones below. All methods are off by default.

    With everything off, training is bit for bit what ``trl.GRPOTrainer`` does; the diversity metrics
    are logged all the same.

    Raises:
        ConfigError: a value is out of range, or two settings cannot work together.
    """

    # --- DRA: reward adjustment -------------------------------------------------------------------
    dra: bool = field(
        default=False,
        metadata={"help": "Divide each reward by the redundancy of its completion in its group."},
    )
    dra_mutual_information: str = field(
        default="graph_cut",
        metadata={
            "help": "How redundancy is measured: graph_cut (paper), log_det, facility_location."
        },
    )
    dra_graph_cut_lambda: float = field(
        default=0.5, metadata={"help": "Lambda of the graph cut, > 0. The paper's is 0.5."}
    )
    dra_log_det_jitter: float = field(
        default=0.05, metadata={"help": "Jitter of the log-determinant kernel, in (0, 1]."}
    )
    dra_negative_similarity: str = field(
        default="clamp",
        metadata={
            "help": "Negative cosines: clamp to 0, keep (authors' code), or shift to [0, 1]."
        },
    )
    dra_negative_reward: str = field(
        default="skip",
        metadata={"help": "Rewards below 0: skip, paper (divide them too), or invert."},
    )
    dra_uniform_group: str = field(
        default="skip",
        metadata={"help": "Groups whose raw rewards are all equal: skip, or paper (adjust them)."},
    )
    dra_empty_completion: str = field(
        default="unique",
        metadata={"help": "Completions without tokens: unique (resemble nothing), or paper."},
    )
    dra_among: str = field(
        default="all",
        metadata={"help": "Whose resemblance counts: all (paper), or rewarded completions only."},
    )
    dra_weight_norm: str = field(
        default="none",
        metadata={
            "help": "none (paper); mean: rescale the weights of a group to mean 1; rewarded: so that the "
            "group keeps its mean reward; protected: and no right answer falls below that mean."
        },
    )
    dra_strength: float = field(
        default=1.0,
        metadata={"help": "Exponent of the weights: 1 is the paper's, 0 switches them off."},
    )
    # --- similarity -------------------------------------------------------------------------------
    similarity: str = field(
        default="ngram",
        metadata={
            "help": "How alike completions are: ngram, answer, embedding, policy, or module:function."
        },
    )
    similarity_ngram_max: int = field(
        default=3, metadata={"help": "Longest n-gram in tokens, for similarity ngram."}
    )
    embedding_model: str = field(
        default="sentence-transformers/all-MiniLM-L6-v2",
        metadata={"help": "sentence-transformers model or folder, for similarity embedding."},
    )
    embedding_batch_size: int = field(default=32, metadata={"help": "Texts embedded at once."})
    embedding_max_tokens: int | None = field(
        default=None,
        metadata={"help": "Cut texts to this many tokens; default: the model's limit."},
    )
    embedding_dtype: str = field(
        default="auto",
        metadata={
            "help": "float32, bfloat16, float16, or auto: bfloat16 on a GPU, float32 elsewhere."
        },
    )
    # --- positive entropy ------------------------------------------------------------------------
    positive_entropy_coef: float = field(
        default=0.0,
        metadata={
            "help": "Lambda of the entropy term on correct completions. The paper's is 0.01."
        },
    )
    positive_entropy_form: str = field(
        default="paper", metadata={"help": "paper, detached, or exact (full-vocabulary entropy)."}
    )
    positive_entropy_gate: str = field(
        default="correct", metadata={"help": "correct completions only (paper), or all."}
    )
    positive_entropy_normalization: str = field(
        default="sequence_mean", metadata={"help": "sequence_mean (paper) or token_mean."}
    )
    positive_entropy_max_ratio: float = field(
        default=10.0, metadata={"help": "Cap on policy/behaviour probability; inf is the paper."}
    )
    # --- rehearsal -------------------------------------------------------------------------------
    rehearsal_set: str | None = field(
        default=None,
        metadata={
            "help": "Folder written by `polypath presample`, or auto: `polypath train` makes one of the "
            "base's different right solutions. Unset: no rehearsal."
        },
    )
    rehearsal_coef: float = field(
        default=0.05, metadata={"help": "Eta, the weight of the divergence on the rehearsal set."}
    )
    rehearsal_divergence: str = field(
        default="forward_kl",
        metadata={
            "help": "forward_kl, forward_kl_uncentred, reverse_kl, reverse_kl_uncentred, "
            "jensen_shannon, alpha, squared_hellinger, chi_square."
        },
    )
    rehearsal_alpha: float = field(
        default=0.5, metadata={"help": "Alpha of the alpha divergence, in (0, 1)."}
    )
    rehearsal_max_log_ratio: float = field(
        default=10.0, metadata={"help": "Above this log-ratio the divergence grows linearly."}
    )
    rehearsal_curvature_matched: bool = field(
        default=False,
        metadata={"help": "Divide the divergence by its curvature, so coefficients compare."},
    )
    rehearsal_share: float = field(
        default=0.125,
        metadata={
            "help": "Rehearsal rows per optimizer step, as a share of its completions; rounded up to "
            "a multiple of processes x accumulation steps. The paper's code: 256 of 2048."
        },
    )
    rehearsal_explore_only: bool = field(
        default=True,
        metadata={
            "help": "Take the near-perfect problems out of the training set, as the paper does."
        },
    )
    rehearsal_tolerance: float = field(
        default=0.02,
        metadata={"help": "Largest mean |log-ratio| at step 0, where it must be 0 up to rounding."},
    )
    # --- averaging ---------------------------------------------------------------------------------
    average_weights_from: float | None = field(
        default=None,
        metadata={
            "help": "End with the mean of the weights after every step beyond this fraction of training, "
            "in [0, 1). Unset: with the last weights."
        },
    )
    # --- baselines and measures --------------------------------------------------------------------
    kl_gradient: str | None = field(
        default=None,
        metadata={
            "help": "Which KL the penalty for beta > 0 descends: forward (k3) or reverse (k2). Unset: "
            "TRL's own penalty, which on-policy is the reverse KL's with use_bias_correction_kl (TRL's "
            "default) and the forward KL's without."
        },
    )
    correctness_reward: str | None = field(
        default=None,
        metadata={
            "help": "Name of the reward function that says what is correct. Default: the first."
        },
    )
    correctness_threshold: float = field(
        default=0.5, metadata={"help": "A raw reward above this is correct."}
    )
    diversity_metrics: bool = field(
        default=True,
        metadata={"help": "Log accuracy, distinct solutions, similarity and the rest."},
    )

    def __post_init__(self) -> None:
        """Check the new settings first, so that their errors are not hidden behind TRL's."""
        self._check_methods()
        # Built once here so that a bad value fails at construction, not at the first step.
        _ = self.dra_config, self.positive_entropy_config, self.divergence_config
        super().__post_init__()
        self._check_checkpointing()  # TRL and transformers resolve aliases and JSON texts first

    def _check_methods(self) -> None:
        for name in ("positive_entropy_coef", "rehearsal_coef"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value < math.inf):
                raise ConfigError(
                    f"{name} must be a number of at least 0, got {value!r}. Use 0 to switch it off."
                )
        if not (_is_number(self.rehearsal_share) and 0 < self.rehearsal_share <= 4):
            raise ConfigError(
                f"rehearsal_share must be in (0, 4], got {self.rehearsal_share!r}. "
                "The paper's code has 0.125."
            )
        if not (_is_number(self.rehearsal_tolerance) and self.rehearsal_tolerance > 0):
            raise ConfigError(
                f"rehearsal_tolerance must be above 0, got {self.rehearsal_tolerance!r}. Try 0.02."
            )
        if self.average_weights_from is not None and not is_fraction(self.average_weights_from):
            raise ConfigError(
                f"average_weights_from must be in [0, 1), or unset to end with the last weights, got "
                f"{self.average_weights_from!r}. 0.5 averages the second half of training."
            )
        if self.kl_gradient is not None and self.kl_gradient not in ON_POLICY_KL:
            raise ConfigError(
                f"kl_gradient must be one of {', '.join(ON_POLICY_KL)}, or unset for TRL's own "
                f"penalty, got {self.kl_gradient!r}."
            )
        if self.dra and (self.num_generations or 0) < 2:
            raise ConfigError(
                f"dra needs groups of at least 2 completions, got num_generations="
                f"{self.num_generations}: with one there is nothing to resemble. Use 4 or more."
            )
        if self.dra and self.multi_objective_aggregation == "normalize_then_sum":
            raise ConfigError(
                "dra adjusts the summed reward, and multi_objective_aggregation='normalize_then_sum' "
                "never forms one. Use 'sum_then_normalize'."
            )

    def _check_checkpointing(self) -> None:
        options = self.gradient_checkpointing_kwargs
        reentrant = isinstance(options, dict) and options.get("use_reentrant")
        if self.uses_rehearsal and self.gradient_checkpointing and reentrant:
            raise ConfigError(
                "rehearsal runs a second forward before the backward, which reentrant gradient "
                "checkpointing cannot do. Set gradient_checkpointing_kwargs to {'use_reentrant': false}."
            )

    @property
    def uses_rehearsal(self) -> bool:
        """Whether the rehearsal term is on."""
        return bool(self.rehearsal_set) and self.rehearsal_coef > 0

    @property
    def uses_positive_entropy(self) -> bool:
        """Whether the positive-entropy term is on."""
        return self.positive_entropy_coef > 0

    @property
    def dra_config(self) -> DRAConfig:
        """Settings of the reward adjustment."""
        return DRAConfig(
            mutual_information=self.dra_mutual_information,  # type: ignore[arg-type]  # checked inside
            graph_cut_lambda=self.dra_graph_cut_lambda,
            log_det_jitter=self.dra_log_det_jitter,
            negative_similarity=self.dra_negative_similarity,  # type: ignore[arg-type]  # checked
            negative_reward=self.dra_negative_reward,  # type: ignore[arg-type]  # checked inside
            uniform_group=self.dra_uniform_group,  # type: ignore[arg-type]  # checked inside
            empty_completion=self.dra_empty_completion,  # type: ignore[arg-type]  # checked inside
            among=self.dra_among,  # type: ignore[arg-type]  # checked inside
            weight_norm=self.dra_weight_norm,  # type: ignore[arg-type]  # checked inside
            strength=self.dra_strength,
        )

    @property
    def positive_entropy_config(self) -> PositiveEntropyConfig:
        """Settings of the positive-entropy term."""
        return PositiveEntropyConfig(
            form=self.positive_entropy_form,  # type: ignore[arg-type]  # checked inside
            gate=self.positive_entropy_gate,  # type: ignore[arg-type]  # checked inside
            normalization=self.positive_entropy_normalization,  # type: ignore[arg-type]  # checked
            max_ratio=self.positive_entropy_max_ratio,
        )

    @property
    def divergence_config(self) -> DivergenceConfig:
        """Settings of the rehearsal divergence."""
        return DivergenceConfig(
            name=self.rehearsal_divergence,
            alpha=self.rehearsal_alpha,
            max_log_ratio=self.rehearsal_max_log_ratio,
            curvature_matched=self.rehearsal_curvature_matched,
        )

    @property
    def advantage_config(self) -> AdvantageConfig:
        """How adjusted rewards become advantages; TRL's own rule is used where nothing is adjusted."""
        return AdvantageConfig(scale=self.scale_rewards)


def _is_number(value: object) -> bool:
    """Return whether the value is an int or a float; True and False are neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
