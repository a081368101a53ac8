"""Self-BLEU: how well the other answers of a group predict the words of one.

Zhu 2018, "Texygen", arXiv:1802.01886; BLEU of Papineni 2002.
"""

import numpy as np

from polypath.metrics.ngrams import NgramCounts
from polypath.metrics.pass_at_k import FloatArray

_EPSILON = 0.1  # nltk's method 1: stands for a count of matches that is 0


def sentence_bleu_of_each(counts: NgramCounts) -> FloatArray:
    """BLEU of every text of a group against all the others as its references.

    BLEU up to order ``counts.max_n`` with equal weights, n-grams clipped by their largest count in
    any *one* other text, brevity penalty with the closest reference length (the shorter of two
    equally close), and nltk's smoothing method 1: no match of an order counts as 0.1. The values
    are those of ``nltk.translate.bleu_score.sentence_bleu(others, text, smoothing_function=
    SmoothingFunction().method1)`` on the same tokens.

    Cost: linear in the tokens of the group, where comparing each text with each is quadratic in
    the texts. The largest count among the *others* is the largest of all, or, for the text that has
    it, the second largest, so each n-gram is counted once for all texts.

    Returns:
        ``(S,)`` in [0, 1]; 0 for a text sharing no word with the others; NaN when it has no other.
    """
    size = counts.num_texts
    if size < 2:
        return np.full(size, np.nan)
    # Entries of an n-gram come largest first: only the first can exceed all others, and then it is
    # clipped to the second, or to 0 where it is the only one.
    first_M = counts.first_M()
    next_M = np.append(np.where(first_M[1:], 0, counts.count_M[1:]), 0)[: len(first_M)]
    clipped_M = np.where(first_M, next_M, counts.count_M)
    cell_M = counts.order_M * size + counts.text_M
    matches_R_S = np.bincount(cell_M, clipped_M, minlength=counts.max_n * size)
    matches_R_S = matches_R_S.reshape(counts.max_n, size)
    totals_R_S = np.maximum(counts.lengths_S - np.arange(counts.max_n)[:, None], 1)
    precision_R_S = np.where(matches_R_S > 0, matches_R_S, _EPSILON) / totals_R_S
    bleu_S = _brevity_penalty(counts) * np.exp(np.log(precision_R_S).mean(axis=0))
    result: FloatArray = np.where(matches_R_S[0] > 0, bleu_S, 0.0)
    return result


def self_bleu(counts: NgramCounts) -> float:
    """Mean BLEU of a group's texts, each against all the others.

    Args:
        counts: of ``count_ngrams(texts, max_n=4)``, which also fixes the tokenizer.

    Returns:
        In [0, 1], lower = more diverse: 1 for copies of one text of at least ``max_n`` words, and
        near 0 when no words are shared. NaN for fewer than two texts. It grows with the number of
        texts, as more references match more: compare equal numbers (``equal_k_expectation``). The
        papers' diversity is 100 * (1 - self_bleu).

    Differs from other scripts: GEM's and those after it call ``sacrebleu.corpus_bleu([text],
    [others])``, which takes the *first* other text as the only reference, so the result depends on
    the order of the texts; they also score the prompt with the answer.
    """
    each_S = sentence_bleu_of_each(counts)
    return float(each_S.mean()) if len(each_S) > 1 else float("nan")


def _brevity_penalty(counts: NgramCounts) -> FloatArray:
    """exp(1 - closest / own length) for texts shorter than the closest other length, else 1."""
    lengths_S = counts.lengths_S
    apart_S_S = np.abs(lengths_S[:, None] - lengths_S[None, :])
    # Twice the distance, plus one for the longer of two equally close.
    rank_S_S = 2 * apart_S_S + (lengths_S[None, :] > lengths_S[:, None])
    np.fill_diagonal(rank_S_S, np.iinfo(np.int64).max)
    closest_S = lengths_S[np.argmin(rank_S_S, axis=1)]
    penalty_S = np.exp(np.minimum(0.0, 1 - closest_S / np.maximum(lengths_S, 1)))
    result: FloatArray = np.where(lengths_S > 0, penalty_S, 0.0)
    return result
