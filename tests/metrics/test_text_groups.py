"""Many groups at once give what the functions for one group give, one after the other."""

import numpy as np
import pytest

from polypath.metrics import (
    TextGroups,
    count_ngrams,
    distinct_ngrams_per_text,
    distinct_ngrams_pooled,
    div_equ,
    equal_k_expectation,
    extract_equations,
    mean_pairwise_distance,
    ngram_jaccard,
    self_bleu,
    vendi_score_at_k,
    words,
)
from polypath.metrics.ordering import changes, stable_order
from polypath.metrics.token_ids import number_tokens

WORDS = ["a", "b", "c", "d", "e", "+", "-", "=", "1", "2", "3", "α"]
DRAWS = {"draws": 6, "seed": 3}


def some_groups(seed: int) -> list[list[str]]:
    """Groups of 0 to 12 texts; some texts are empty, many are copies."""
    rng = np.random.default_rng(seed)

    def text() -> str:
        if rng.random() < 0.3:
            return "a b = 1"
        return " ".join(rng.choice(WORDS, int(rng.integers(0, 9))))

    return [[text() for _ in range(int(rng.integers(0, 13)))] for _ in range(12)]


def one_by_one(texts: list[str], k: int) -> dict[str, float]:
    counts = count_ngrams(texts)
    similarity = ngram_jaccard(counts)
    return {
        "pooled": distinct_ngrams_pooled(counts, k=k),
        "per_text": distinct_ngrams_per_text(counts),
        "self_bleu": equal_k_expectation(
            lambda chosen: self_bleu(counts.take(chosen)), len(texts), k, **DRAWS
        ),
        "vendi": vendi_score_at_k(similarity, k, **DRAWS),
        "distance": float(mean_pairwise_distance(similarity[None])[0]),
        "div_equ": float(div_equ([[extract_equations(text) for text in texts]], k=k).ratio_N[0]),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("k", "share"), [(4, 1.0), (3, 0.6), (12, 1.0)])
def test_groups_together_have_the_values_of_each_alone(seed: int, k: int, share: float):
    groups = some_groups(seed)
    chosen_S = np.random.default_rng(seed).random(sum(map(len, groups))) < share
    together = TextGroups(groups)
    equations = TextGroups(groups, max_n=1, tokenize=extract_equations)
    drawn = together.draws(chosen_S, k, **DRAWS)
    found = {
        "pooled": together.distinct_pooled(chosen_S, k),
        "per_text": together.distinct_per_text(chosen_S),
        "self_bleu": together.self_bleu(drawn),
        "vendi": together.vendi(drawn),
        "distance": together.distance(chosen_S),
        "div_equ": equations.distinct_pooled(chosen_S, k, orders=(1,)),
    }
    rest = iter(chosen_S)
    kept = [[text for text in texts if next(rest)] for texts in groups]
    alone = [one_by_one(texts, k) for texts in kept]
    for key, value_N in found.items():
        expected = [values[key] for values in alone]
        np.testing.assert_allclose(value_N, expected, rtol=1e-12, atol=1e-13, err_msg=key)


@pytest.mark.parametrize("vocabulary", [20, 400])  # n-grams in many texts, and in few
def test_many_texts_are_as_similar_as_one_by_one(vocabulary: int):
    words_T_L = np.random.default_rng(0).integers(0, vocabulary, (80, 20))
    texts = [" ".join(map(str, row)) for row in words_T_L.tolist()]
    [first, second] = TextGroups([texts, texts[:3]]).jaccard_N
    expected = ngram_jaccard(count_ngrams(texts))
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, expected[:3, :3])


def test_no_groups_and_empty_ones_have_no_values():
    assert TextGroups([]).distance(np.zeros(0, np.bool_)).shape == (0,)
    empty = TextGroups([[], []])
    none_S = np.zeros(0, np.bool_)
    drawn = empty.draws(none_S, 2)
    for value_N in (
        empty.distinct_pooled(none_S, 2),
        empty.distinct_per_text(none_S),
        empty.self_bleu(drawn),
        empty.vendi(drawn),
        empty.distance(none_S),
    ):
        assert value_N.shape == (2,)
        assert np.isnan(value_N).all()


def test_all_characters_of_python_are_split_as_by_the_regular_expression():
    """White space, signs and letters of every plane, and half of a pair of surrogates."""
    every = "".join(map(chr, [*range(0x3100), 0x1D49C, 0x1F600, 0xD800, 0xFEFF]))
    texts = [every, "", "\n", "a_b+ç\x0b\x85٣é e\u0301", "<" + every[::-1]]
    token_T, lengths_S = number_tokens(texts)
    assert lengths_S.tolist() == [len(words(text)) for text in texts]
    tokens = [token for text in texts for token in words(text)]
    number_of = dict(zip(tokens, token_T.tolist(), strict=True))
    assert token_T.tolist() == [number_of[token] for token in tokens]
    assert len(set(number_of.values())) == len(number_of)


@pytest.mark.parametrize(("size", "below"), [(0, 1), (1, 1), (50, 3), (50, 4000), (4000, 300)])
def test_numbers_are_ordered_by_counting_as_by_comparing(size, below):
    number_T = np.random.default_rng(0).integers(0, below, size)
    order_T = stable_order(number_T)
    assert order_T.tolist() == np.argsort(number_T, kind="stable").tolist()
    assert changes(number_T[order_T]).sum() == len(set(number_T.tolist()))
