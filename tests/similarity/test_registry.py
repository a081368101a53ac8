"""Every registered similarity can be built; settings reach it; wrong ones are refused."""

import pytest
import torch

from polypath.errors import ConfigError
from polypath.similarity import SIMILARITIES, SimilarityConfig, get_similarity
from tests.refusals import refused
from tests.similarity.strategies import rows_of


@pytest.mark.parametrize("name", sorted(set(SIMILARITIES) - {"embedding"}))
def test_every_name_builds_with_default_settings(name):
    built = get_similarity(name)
    assert callable(built.features)
    assert callable(built.matrix)


def test_settings_reach_the_ngrams():
    config = SimilarityConfig(ngram_max=1, ignored_token_ids=(9,))
    similarity = get_similarity("ngram", config)
    s_G_G = similarity.matrix(similarity.features(rows_of([[1, 2, 9], [2, 1]])), 2)[0]
    assert torch.equal(s_G_G, torch.ones(2, 2, dtype=torch.float64))


@pytest.mark.parametrize("name", ["ngram_max", "embedding_batch_size", "embedding_max_tokens"])
def test_a_setting_below_one_is_named(name):
    with refused(ConfigError, name, 0):
        SimilarityConfig(**{name: 0})
