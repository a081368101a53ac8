"""Measures of correctness and diversity on arrays of samples; numpy and scipy only."""

from polypath.metrics.bootstrap import (
    Interval,
    PairedDifference,
    bootstrap_mean,
    bootstrap_ratio,
    paired_difference,
)
from polypath.metrics.group import (
    OutcomeShares,
    group_statistics,
    mean_pairwise_similarity,
    outcome_shares,
)
from polypath.metrics.keep_explore import KeepExplore, keep_explore
from polypath.metrics.pass_at_k import pass_at_k, pass_at_k_from_counts
from polypath.metrics.potential import Potential, potential_at_k, potential_from_counts
from polypath.metrics.solutions import (
    NO_SAMPLE,
    NO_SOLUTION,
    answer_entropy,
    count_distinct,
    distinct_solutions_at_k,
    duplicate_rate,
    encode_solutions,
)

__all__ = [
    "NO_SAMPLE",
    "NO_SOLUTION",
    "Interval",
    "KeepExplore",
    "OutcomeShares",
    "PairedDifference",
    "Potential",
    "answer_entropy",
    "bootstrap_mean",
    "bootstrap_ratio",
    "count_distinct",
    "distinct_solutions_at_k",
    "duplicate_rate",
    "encode_solutions",
    "group_statistics",
    "keep_explore",
    "mean_pairwise_similarity",
    "outcome_shares",
    "paired_difference",
    "pass_at_k",
    "pass_at_k_from_counts",
    "potential_at_k",
    "potential_from_counts",
]
