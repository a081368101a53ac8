"""The enumeration itself, so that the tests standing on it do not share a fault."""

import torch
from torch.testing import assert_close

from tests.objectives.tiny_policy import (
    COMPLETIONS,
    MASK,
    STATES,
    expected_over_states,
    masked_sum,
    probabilities,
    random_logits,
    token_logp,
)


def test_fifteen_completions_and_seven_states():
    assert (len(COMPLETIONS), len(set(COMPLETIONS)), len(STATES)) == (15, 15, 7)


def test_probabilities_sum_to_one_and_match_the_token_log_probabilities():
    logits = random_logits(0)
    assert_close(probabilities(logits).sum(), torch.tensor(1.0, dtype=torch.float64))
    assert_close(masked_sum(token_logp(logits)).exp(), probabilities(logits))


def test_expected_over_states_counts_the_expected_length():
    logits = random_logits(1)
    ones = torch.ones(7, dtype=torch.float64)
    assert_close(
        expected_over_states(logits, ones), (probabilities(logits) * MASK.sum(dim=1)).sum()
    )
