"""Measures of correctness and diversity on arrays of samples; numpy and scipy only."""

from polypath.metrics.agreement import PairAgreement, pair_agreement, pair_order
from polypath.metrics.bootstrap import (
    TRUSTED_FROM,
    Interval,
    PairedDifference,
    bootstrap_mean,
    bootstrap_ratio,
    effective_problems,
    paired_difference,
)
from polypath.metrics.comparisons import SeedDifference, holm, seed_difference, smallest_detectable
from polypath.metrics.crossing import Crossing, find_crossing
from polypath.metrics.div_equ import DivEqu, div_equ
from polypath.metrics.equal_k import equal_k_expectation, expected_distinct, subsets
from polypath.metrics.equations import extract_equations, normalise_equation
from polypath.metrics.group import (
    OutcomeShares,
    group_statistics,
    mean_pairwise_similarity,
    outcome_shares,
)
from polypath.metrics.keep_explore import (
    KeepExplore,
    ModeChanges,
    keep_explore,
    mode_changes,
    problem_changes,
)
from polypath.metrics.majority import majority_at_k
from polypath.metrics.matched import MatchedDifference, matched_difference, matched_parts
from polypath.metrics.ngram_counts import NgramCounts, count_ngrams
from polypath.metrics.ngrams import (
    distinct_ngrams_per_text,
    distinct_ngrams_pooled,
    ngram_jaccard,
    self_bleu,
    sentence_bleu_of_each,
)
from polypath.metrics.pass_at_k import (
    Potential,
    mean_at_k,
    pass_at_k,
    pass_at_k_from_counts,
    pass_hat_k,
    potential_at_k,
    potential_from_counts,
)
from polypath.metrics.simultaneous import Ranking, Together, rank_means, simultaneous_band
from polypath.metrics.solutions import (
    NO_SAMPLE,
    NO_SOLUTION,
    answer_entropy,
    count_distinct,
    distinct_solutions_at_k,
    duplicate_rate,
    encode_solutions,
)
from polypath.metrics.text_groups import TextGroups
from polypath.metrics.token_ids import words
from polypath.metrics.vendi import mean_pairwise_distance, vendi_score, vendi_score_at_k

__all__ = [
    "NO_SAMPLE",
    "NO_SOLUTION",
    "TRUSTED_FROM",
    "Crossing",
    "DivEqu",
    "Interval",
    "KeepExplore",
    "MatchedDifference",
    "ModeChanges",
    "NgramCounts",
    "OutcomeShares",
    "PairAgreement",
    "PairedDifference",
    "Potential",
    "Ranking",
    "SeedDifference",
    "TextGroups",
    "Together",
    "answer_entropy",
    "bootstrap_mean",
    "bootstrap_ratio",
    "count_distinct",
    "count_ngrams",
    "distinct_ngrams_per_text",
    "distinct_ngrams_pooled",
    "distinct_solutions_at_k",
    "div_equ",
    "duplicate_rate",
    "effective_problems",
    "encode_solutions",
    "equal_k_expectation",
    "expected_distinct",
    "extract_equations",
    "find_crossing",
    "group_statistics",
    "holm",
    "keep_explore",
    "majority_at_k",
    "matched_difference",
    "matched_parts",
    "mean_at_k",
    "mean_pairwise_distance",
    "mean_pairwise_similarity",
    "mode_changes",
    "ngram_jaccard",
    "normalise_equation",
    "outcome_shares",
    "pair_agreement",
    "pair_order",
    "paired_difference",
    "pass_at_k",
    "pass_at_k_from_counts",
    "pass_hat_k",
    "potential_at_k",
    "potential_from_counts",
    "problem_changes",
    "rank_means",
    "seed_difference",
    "self_bleu",
    "sentence_bleu_of_each",
    "simultaneous_band",
    "smallest_detectable",
    "subsets",
    "vendi_score",
    "vendi_score_at_k",
    "words",
]
