"""DRA: pay less for a completion that resembles the rest of its group.

Chen 2025, "DRA-GRPO: Exploring Diversity-Aware Reward Adjustment", arXiv:2505.09655, section 3.2.
Authors' code: xiwenc1/DRA-GRPO@0882661, src/open_r1/trl/trainer/grpo_trainer.py:679-708.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards, constant_groups
from polypath.objectives.clusters import finite_similarity
from polypath.objectives.entries import RewardAdjustment
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

MutualInformation = Literal["graph_cut", "log_det", "facility_location"]
NegativeSimilarity = Literal["clamp", "keep", "shift"]
NegativeReward = Literal["skip", "paper", "invert"]
UniformGroup = Literal["skip", "paper"]
EmptyCompletion = Literal["unique", "paper"]
Among = Literal["all", "rewarded"]
WeightNorm = Literal["none", "mean", "rewarded", "protected"]
Divides = Literal["correctness", "sum"]


# Only negative similarities can bring the denominator near 0; this keeps it off exactly 0.
AUTHORS_GUARD = 1e-6
# Eigenvalues of the log-det kernel this much below their bound, relative to it, are left alone.
RAISED = 1e-10


@dataclass(frozen=True, kw_only=True)
class DRAConfig:
    """Settings of the reward adjustment. ``PAPER`` has the settings of the authors' code."""

    mutual_information: MutualInformation = setting(
        "graph_cut",
        "Measure of a completion's redundancy with the rest of its group: graph_cut (paper), log_det or "
        "facility_location.",
    )
    graph_cut_lambda: float = setting(
        0.5,
        "Lambda of the graph cut, above 0. With the paper's 0.5, the redundancy is the plain sum of "
        "similarities.",
        within="(0, inf)",
    )
    log_det_jitter: float = setting(
        0.05,
        "Jitter e of the log-determinant kernel K = (1 - e) S + e I, in (0, 1]. If S is positive "
        "semi-definite, the redundancy is at most log(1 / e). At 0, duplicates would make K singular.",
        within="(0, 1]",
    )
    negative_similarity: NegativeSimilarity = setting(
        "clamp",
        "Treatment of negative cosines. clamp raises them to 0, so that every weight lies in [1/G, 1]. keep "
        "leaves them, as the authors' code does; a weight can then change sign or explode. shift maps s to "
        "(1 + s) / 2.",
    )
    divides: Divides = setting(
        "correctness",
        "Part of a sum of rewards that is divided. correctness: the correctness reward of correct "
        "completions. Rewards for form or length stay as they are, and a correct completion never falls "
        "below a wrong one that was not above it. sum: the whole reward of every completion (paper).",
    )
    negative_reward: NegativeReward = setting(
        "skip",
        "Treatment of rewards below 0. skip leaves them as they are. paper also divides them, which punishes "
        "a redundant wrong answer less than a rare one. invert multiplies them by 1 + redundancy and "
        "rescales them to their sum in the group, which punishes a redundant wrong answer more.",
    )
    uniform_group: UniformGroup = setting(
        "skip",
        "Treatment of groups without a wrong completion (with divides sum: of groups whose raw rewards are "
        "all equal). skip leaves them as they are: they give no signal, as in GRPO. paper adjusts them; "
        "division by the standard deviation then turns noise in the similarities into full-size advantages.",
    )
    empty_completion: EmptyCompletion = setting(
        "unique",
        "Treatment of completions without tokens. unique: they have similarity 0 to all others. paper: "
        "the similarity's own value for empty texts.",
    )
    among: Among = setting(
        "all",
        "Completions that redundancy is counted over. all: the whole group (paper). rewarded: only those "
        "with a reward, so that a right answer does not lose reward for resembling wrong ones.",
    )
    weight_norm: WeightNorm = setting(
        "none",
        "Rescaling of the weights in a group. none: as in the paper; without division by the standard "
        "deviation (Dr. GRPO), advantages shrink by about the group size. mean: to mean 1. rewarded: those "
        "of rewarded completions keep their summed reward, the others get 1. protected: as rewarded, then "
        "moved towards 1 until no rewarded completion falls from above the group's mean reward to below "
        "it, so that no right answer is made less likely.",
    )
    strength: float = setting(
        1.0,
        "Exponent of the weights, at least 0. 1 is the paper's adjustment, 0 is none; values between are "
        "milder.",
        within="[0, inf)",
    )

    def __post_init__(self) -> None:
        check_settings(self, "dra")


PAPER = DRAConfig(
    divides="sum",
    negative_similarity="keep",
    negative_reward="paper",
    uniform_group="paper",
    empty_completion="paper",
)


def adjust_rewards(
    config: DRAConfig,
    rewards_P_G: Tensor,
    similarity_P_G_G: Tensor,
    empty_P_G: Tensor | None = None,
    correct_rewards_P_G: Tensor | None = None,
) -> Tensor:
    r"""Divide each reward by one plus the redundancy of its completion within the group.

    .. math:: \tilde r_i = \frac{r_i}{1 + I(\{i\}; C \setminus \{i\})}

    The sum behind I runs over the completions of the **same prompt**.

    Args:
        config: settings.
        rewards_P_G: raw rewards, any sign; NaN (not scored) stays NaN.
        similarity_P_G_G: symmetric, 1 on the diagonal, in [-1, 1].
        empty_P_G: whether the completion has no tokens; ``None`` means none is empty.
        correct_rewards_P_G: the part of each reward that says that the completion is correct, 0 where it
            is not. ``None``: rewards are not sums of several, and ``divides`` makes no difference.

    Returns:
        Adjusted rewards of shape ``(P, G)``, in float64. No gradient reaches the inputs.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
        ConfigError: the similarity holds NaN or infinity.

    Differs from the authors' code:
        1. They sum over every completion on one device, so groups mix, or are cut, unless a device
           holds exactly one group. Here the shape forbids it.
        2. They add 1e-6 to the denominator. Here only ``keep`` does; otherwise it is at least 1.
        3. They divide the sum of all reward functions, so that a wrong completion with a reward for its
           form can be paid more than a right one. Here only ``divides="sum"`` does.
        4. The defaults are the safe values described in ``DRAConfig``; ``PAPER`` is theirs.
    """
    check_shapes(rewards_P_G=rewards_P_G, similarity_P_G_G=similarity_P_G_G)
    check_finite_rewards(rewards_P_G)
    rewards_P_G = rewards_P_G.detach().double()
    divided_P_G = _divided(config, rewards_P_G, correct_rewards_P_G)
    inputs = (similarity_P_G_G, empty_P_G, correct_rewards_P_G)
    weights_P_G = reward_weights(config, rewards_P_G, *inputs)
    adjusted_P_G = (rewards_P_G - divided_P_G) + divided_P_G * weights_P_G
    negative_P_G = (rewards_P_G < 0) & ~(divided_P_G > 0)
    if config.negative_reward == "skip":
        adjusted_P_G = torch.where(negative_P_G, rewards_P_G, adjusted_P_G)
    elif config.negative_reward == "paper":
        adjusted_P_G = torch.where(negative_P_G, rewards_P_G * weights_P_G, adjusted_P_G)
    else:
        plain_P_G = reward_weights(replace(config, weight_norm="none"), rewards_P_G, *inputs)
        punished_P_G = torch.where(negative_P_G, rewards_P_G, 0.0)
        inverted_P_G = punished_P_G / plain_P_G
        share_P_1 = punished_P_G.sum(dim=1, keepdim=True) / inverted_P_G.sum(dim=1, keepdim=True)
        adjusted_P_G = torch.where(negative_P_G, inverted_P_G * share_P_1, adjusted_P_G)
    if config.uniform_group == "skip":
        uniform_P_1 = (
            constant_groups(rewards_P_G)
            if _is_whole(config, correct_rewards_P_G)
            else ((divided_P_G > 0) | rewards_P_G.isnan()).all(dim=1, keepdim=True)
        )
        adjusted_P_G = torch.where(uniform_P_1, rewards_P_G, adjusted_P_G)
    if _is_whole(config, correct_rewards_P_G):
        return adjusted_P_G
    floor_P_G = _highest_wrong(adjusted_P_G, rewards_P_G, divided_P_G)
    return torch.where(divided_P_G > 0, torch.maximum(adjusted_P_G, floor_P_G), adjusted_P_G)


def reward_weights(
    config: DRAConfig,
    rewards_P_G: Tensor,
    similarity_P_G_G: Tensor,
    empty_P_G: Tensor | None = None,
    correct_rewards_P_G: Tensor | None = None,
) -> Tensor:
    """Return ``1 / (1 + redundancy)`` to the power of ``strength``, rescaled, ``(P, G)`` in float64.

    Without rescaling in [1/G, 1] for ``graph_cut`` with lambda 1/2, strength 1 and no negative
    similarities. 1 means that nothing in the group resembles it. The rewards matter only if a setting
    is ``rewarded`` or ``protected``. Arguments and errors as in ``adjust_rewards``.
    """
    check_shapes(rewards_P_G=rewards_P_G, similarity_P_G_G=similarity_P_G_G)
    if empty_P_G is not None:
        check_shapes(rewards_P_G=rewards_P_G, empty_P_G=empty_P_G)
    divided_P_G = _divided(config, rewards_P_G, correct_rewards_P_G)
    similarity_P_G_G = finite_similarity(similarity_P_G_G, rewards_P_G)
    if config.negative_similarity == "clamp":
        similarity_P_G_G = similarity_P_G_G.clamp(min=0.0)
    elif config.negative_similarity == "shift":
        similarity_P_G_G = (1.0 + similarity_P_G_G) / 2
    alone_P_G = torch.zeros_like(rewards_P_G, dtype=torch.bool)
    if empty_P_G is not None and config.empty_completion == "unique":
        alone_P_G = alone_P_G | empty_P_G.to(alone_P_G.device)
    if config.among == "rewarded":
        alone_P_G = alone_P_G | ~(divided_P_G > 0)
    similarity_P_G_G = _isolate(similarity_P_G_G, alone_P_G)
    redundancy_P_G = MUTUAL_INFORMATION[config.mutual_information](config, similarity_P_G_G)
    denominator_P_G = 1.0 + redundancy_P_G
    if config.negative_similarity == "keep":
        denominator_P_G = denominator_P_G + AUTHORS_GUARD
        denominator_P_G = denominator_P_G.masked_fill(denominator_P_G == 0, AUTHORS_GUARD)
    weights_P_G = 1.0 / denominator_P_G
    if config.strength != 1.0:  # "keep" can make a weight negative: its sign stays
        weights_P_G = weights_P_G.sign() * weights_P_G.abs() ** config.strength
    if config.weight_norm == "mean":
        return weights_P_G / weights_P_G.mean(dim=1, keepdim=True)
    if config.weight_norm == "none":
        return weights_P_G
    weights_P_G = _among_rewarded(weights_P_G, divided_P_G)
    lowest_P_G = torch.full_like(weights_P_G, -torch.inf)
    if not _is_whole(config, correct_rewards_P_G):
        lowest_P_G = _highest_wrong(rewards_P_G, rewards_P_G, divided_P_G)
    if config.weight_norm == "protected":
        mean_P_1 = rewards_P_G.double().nanmean(dim=1, keepdim=True)
        above_P_G = rewards_P_G > mean_P_1
        lowest_P_G = torch.where(above_P_G, lowest_P_G.maximum(mean_P_1), lowest_P_G)
        weights_P_G = _pull(weights_P_G, rewards_P_G, divided_P_G, lowest_P_G)
        return weights_P_G.masked_fill(constant_groups(rewards_P_G), 1.0)
    return _pull(weights_P_G, rewards_P_G, divided_P_G, lowest_P_G)


def _is_whole(config: DRAConfig, correct_rewards_P_G: Tensor | None) -> bool:
    """Return whether whole rewards are divided, and not the part that says what is correct."""
    return config.divides == "sum" or correct_rewards_P_G is None


def _divided(config: DRAConfig, rewards_P_G: Tensor, correct_rewards_P_G: Tensor | None) -> Tensor:
    """Return the part of each reward that is divided, in float64."""
    if config.divides == "sum" or correct_rewards_P_G is None:
        return rewards_P_G.detach().double()
    check_shapes(rewards_P_G=rewards_P_G, correct_rewards_P_G=correct_rewards_P_G)
    part_P_G = correct_rewards_P_G.detach().double().to(rewards_P_G.device).clamp(min=0.0)
    return part_P_G.masked_fill(rewards_P_G.isnan(), 0.0)


def _among_rewarded(weights_P_G: Tensor, divided_P_G: Tensor) -> Tensor:
    """Rescale the weights of rewarded completions so that they keep their summed reward; others get 1."""
    rewarded_P_G = divided_P_G > 0  # never NaN
    kept_P_G = torch.where(rewarded_P_G, divided_P_G, 0.0)
    before_P_1, after_P_1 = (x.sum(dim=1, keepdim=True) for x in (kept_P_G, kept_P_G * weights_P_G))
    return torch.where(rewarded_P_G, weights_P_G * before_P_1 / after_P_1, 1.0)


def _highest_wrong(values_P_G: Tensor, rewards_P_G: Tensor, divided_P_G: Tensor) -> Tensor:
    """Return for each completion the largest value of a wrong one whose reward is not above its own."""
    wrong_P_G = ~(divided_P_G > 0) & ~rewards_P_G.isnan()
    below_P_G_G = wrong_P_G.unsqueeze(1) & (rewards_P_G.unsqueeze(1) <= rewards_P_G.unsqueeze(2))
    values_P_1_G = values_P_G.double().unsqueeze(1)
    return torch.where(below_P_G_G, values_P_1_G, -torch.inf).amax(dim=2)


def _pull(
    weights_P_G: Tensor, rewards_P_G: Tensor, divided_P_G: Tensor, lowest_P_G: Tensor
) -> Tensor:
    """Pull the weights of a group towards 1 until no adjusted reward is below its lowest value."""
    # Completion i is at the bound b or above it while c <= (r - b) / (d (1 - w)), for w < 1.
    room_P_G = (rewards_P_G.double() - lowest_P_G) / (divided_P_G * (1.0 - weights_P_G))
    bound_P_G = (lowest_P_G > -torch.inf) & (divided_P_G > 0) & (weights_P_G < 1.0)
    c_P_1 = torch.where(bound_P_G, room_P_G, 1.0).amin(dim=1, keepdim=True).clamp(0.0, 1.0)
    return 1.0 + c_P_1 * (weights_P_G - 1.0)


def _isolate(similarity_P_G_G: Tensor, alone_P_G: Tensor) -> Tensor:
    """Remove every similarity of the marked completions but the one to themselves."""
    cut_P_G_G = alone_P_G.unsqueeze(1) | alone_P_G.unsqueeze(2)
    diagonal = torch.eye(alone_P_G.shape[1], dtype=torch.bool, device=alone_P_G.device)
    return similarity_P_G_G.masked_fill(cut_P_G_G & ~diagonal, 0.0)


def graph_cut(config: DRAConfig, similarity_P_G_G: Tensor) -> Tensor:
    r"""Return :math:`2 \lambda \sum_{j \ne i} s_{ij}`, ``(P, G)``.

    The mutual information of {i} and the rest for
    :math:`f(A) = \sum_{i \in V, j \in A} s_{ij} - \lambda \sum_{i, j \in A} s_{ij}`.
    """
    diagonal_P_G = similarity_P_G_G.diagonal(dim1=1, dim2=2)
    return 2 * config.graph_cut_lambda * (similarity_P_G_G.sum(dim=2) - diagonal_P_G)


def facility_location(config: DRAConfig, similarity_P_G_G: Tensor) -> Tensor:
    r"""Return :math:`\sum_{v} \min(s_{vi}, \max_{j \ne i} s_{vj})`, ``(P, G)``.

    The mutual information of {i} and the rest for
    :math:`f(A) = \sum_{v \in V} \max_{j \in A} s_{vj}`.
    """
    del config  # one signature for all three
    group_size = similarity_P_G_G.shape[2]
    if group_size == 1:
        return torch.zeros_like(similarity_P_G_G[:, :, 0])
    top_P_G_2 = similarity_P_G_G.topk(2, dim=2)
    best_P_G_1, second_P_G_1 = top_P_G_2.values[..., :1], top_P_G_2.values[..., 1:]
    columns = torch.arange(group_size, device=similarity_P_G_G.device)
    is_best_P_G_G = top_P_G_2.indices[..., :1] == columns
    best_other_P_G_G = torch.where(is_best_P_G_G, second_P_G_1, best_P_G_1)
    return torch.minimum(similarity_P_G_G, best_other_P_G_G).sum(dim=1)


def log_det(config: DRAConfig, similarity_P_G_G: Tensor) -> Tensor:
    r"""Return :math:`\log(K_{ii} [K^{-1}]_{ii})` with :math:`K = (1 - e) S + e I`, ``(P, G)``, >= 0.

    The mutual information of {i} and the rest for :math:`f(A) = \log\det K_A`. Where S is not
    positive semi-definite (clamped or hand-made similarities need not be), the eigenvalues of K are
    raised to e first; without that the logarithm would be undefined.
    """
    jitter = config.log_det_jitter
    eye = torch.eye(similarity_P_G_G.shape[1], dtype=torch.float64, device=similarity_P_G_G.device)
    kernel_P_G_G = (1 - jitter) * similarity_P_G_G + jitter * eye
    kernel_P_G_G = (kernel_P_G_G + kernel_P_G_G.mT) / 2
    # K - e I has a Cholesky factor where no eigenvalue has to be raised: then K's own factor, many
    # times faster than its eigenvalues, gives the inverse. The slack keeps singular S on this path.
    slack = (1 - RAISED) * jitter * eye
    _, low_P = torch.linalg.cholesky_ex(kernel_P_G_G - slack)
    factor_P_G_G, _ = torch.linalg.cholesky_ex(kernel_P_G_G)
    inverse_P_G_G = torch.linalg.solve_triangular(factor_P_G_G, eye, upper=False)
    inverse_diagonal_P_G = inverse_P_G_G.square().sum(dim=1)
    product_P_G = kernel_P_G_G.diagonal(dim1=1, dim2=2) * inverse_diagonal_P_G
    raised_P = low_P != 0
    if raised_P.any():
        product_P_G[raised_P] = _raised_product(kernel_P_G_G[raised_P], jitter)
    redundancy_P_G: Tensor = product_P_G.log().clamp(min=0.0)
    return redundancy_P_G


def _raised_product(kernel_P_G_G: Tensor, lowest: float) -> Tensor:
    """Return :math:`K_{ii} [K^{-1}]_{ii}` of K with its eigenvalues raised to the lowest allowed."""
    values_P_G, vectors_P_G_G = torch.linalg.eigh(kernel_P_G_G)
    values_P_G = values_P_G.clamp(min=lowest)
    squares_P_G_G = vectors_P_G_G.square()
    diagonal_P_G: Tensor = (squares_P_G_G * values_P_G.unsqueeze(1)).sum(dim=2)
    inverse_diagonal_P_G: Tensor = (squares_P_G_G / values_P_G.unsqueeze(1)).sum(dim=2)
    return diagonal_P_G * inverse_diagonal_P_G


MUTUAL_INFORMATION = {
    "graph_cut": graph_cut,
    "log_det": log_det,
    "facility_location": facility_location,
}

DRA = RewardAdjustment(
    name="dra",
    config=DRAConfig,
    function=adjust_rewards,
    family="pay less for copies",
    line="Divides each reward by the redundancy of its completion in its group: pays less for a copy.",
    paper="Chen 2025, DRA-GRPO, arXiv:2505.09655",
)
