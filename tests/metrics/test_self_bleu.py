"""Self-BLEU: nltk's values on random and real texts, and what the papers' call gets wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.metrics import count_ngrams, self_bleu, sentence_bleu_of_each, words
from tests.metrics.texts import SOLUTIONS, random_group, real_solutions
from tests.rounding import rounding

bleu_score = pytest.importorskip(
    "nltk.translate.bleu_score", reason="nltk is not installed: nothing to agree with"
)
METHOD_1 = bleu_score.SmoothingFunction().method1


def nltk_bleu_of_each(rows: list[list[str]], max_n: int = 4) -> list[float]:
    return [
        bleu_score.sentence_bleu(
            rows[:i] + rows[i + 1 :], rows[i], [1 / max_n] * max_n, smoothing_function=METHOD_1
        )
        for i in range(len(rows))
    ]


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


def test_copies_score_one_and_strangers_zero():
    assert self_bleu(count_ngrams(["a b c d e"] * 3)) == pytest.approx(1)
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
