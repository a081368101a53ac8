"""Self-BLEU: nltk's values on random and real texts, and what the papers' call gets wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.metrics import count_ngrams, ngram_jaccard, self_bleu, sentence_bleu_of_each, words
from tests.metrics.texts import SOLUTIONS, random_group, real_solutions
from tests.rounding import rounding

bleu_score = pytest.importorskip(
    "nltk.translate.bleu_score", reason="nltk is not installed: nothing to agree with"
)
METHOD_1 = bleu_score.SmoothingFunction().method1


def nltk_bleu_of_each(rows: list[list[str]], max_n: int = 4) -> list[float]:
    values = []
    for i, row in enumerate(rows):
        others = rows[:i] + rows[i + 1 :]
        orders = min(max_n, len(row))
        weights = [1 / orders] * orders if row else [1.0]
        bleu = bleu_score.sentence_bleu(others, row, weights, smoothing_function=METHOD_1)
        values.append(bleu if row else float([] in others))  # nltk: 0 for every empty text
    return values


def check_against_nltk(texts: list[str], max_n: int = 4) -> None:
    rows = [words(text) for text in texts]
    got = sentence_bleu_of_each(count_ngrams(texts, max_n=max_n))
    np.testing.assert_allclose(got, nltk_bleu_of_each(rows, max_n), rtol=rounding(50), atol=0)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_agrees_with_nltk_on_random_texts(seed, max_n):
    check_against_nltk([" ".join(row) for row in random_group(seed)], max_n)


def test_agrees_with_nltk_on_solutions():
    check_against_nltk(SOLUTIONS)


@pytest.mark.parametrize("name", ["math500", "gsm8k"])
def test_agrees_with_nltk_on_real_solutions(name):
    texts = real_solutions(name, 48)
    for start in range(0, 48, 8):
        check_against_nltk(texts[start : start + 8])


def test_is_the_mean_over_texts():
    counts = count_ngrams(SOLUTIONS)
    assert self_bleu(counts) == pytest.approx(sentence_bleu_of_each(counts).mean())


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_the_texts_does_not_matter(seed, random):
    texts = [" ".join(row) for row in random_group(seed)]
    shuffled = random.sample(texts, len(texts))
    assert self_bleu(count_ngrams(texts)) == pytest.approx(self_bleu(count_ngrams(shuffled)))


@pytest.mark.parametrize("text", ["", "7", "a b", "a b c", "a b c d", "a b c d e", "a a a"])
@pytest.mark.parametrize("copies", [2, 16])
def test_copies_score_one_at_any_length(text, copies):
    counts = count_ngrams([text] * copies)
    assert self_bleu(counts) == pytest.approx(1)
    np.testing.assert_allclose(ngram_jaccard(counts), 1)


def test_strangers_score_zero():
    assert self_bleu(count_ngrams(["a b c d", "e f g h"])) == 0


def test_every_other_text_is_a_reference_and_not_only_the_first():
    texts = ["a b c d e", "v w x y z", "a b c d e"]
    assert sentence_bleu_of_each(count_ngrams(texts))[0] == pytest.approx(1)


def test_one_text_has_no_other():
    assert np.isnan(self_bleu(count_ngrams(["a b c d"])))
    assert np.isnan(self_bleu(count_ngrams([])))


@given(st.integers(0, 10_000))
def test_taking_some_texts_is_counting_them_alone(seed):
    texts = [" ".join(row) for row in random_group(seed)]
    chosen = np.random.default_rng(seed).permutation(len(texts))[:3]
    taken = sentence_bleu_of_each(count_ngrams(texts).take(chosen))
    alone = sentence_bleu_of_each(count_ngrams([texts[i] for i in chosen]))
    np.testing.assert_allclose(taken, alone)
