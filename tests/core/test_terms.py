"""Policy terms: each with its weight, its inputs, its normalisation and its statistics."""

from dataclasses import dataclass

import pytest
import torch

from polypath.core.processes import SingleProcess
from polypath.core.statistics import TokenMeans
from polypath.core.step import StepShape
from polypath.core.terms import TokenBatch, policy_terms
from polypath.errors import ConfigError
from polypath.objectives import PolicyTerm, TokenTerm
from polypath.objectives.positive_entropy import POSITIVE_ENTROPY
from polypath.settings import setting

LOGP = torch.tensor([[-1.0, -2.0], [-4.0, -8.0]], requires_grad=True)
MASK = torch.tensor([[1, 1], [1, 0]])
STEP = StepShape(accumulation=1, processes=1, tokens=3, sequences=2, max_length=2)


def batch(**more):
    parts = {"logp_B_T": LOGP, "behaviour_logp_B_T": LOGP.detach(), "mask_B_T": MASK}
    return TokenBatch(**{**parts, **more})


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    by: float = setting(1.0, "Factor.")


def times_advantage(config, logp_B_T, behaviour_logp_B_T, mask_B_T, advantages_B):
    del behaviour_logp_B_T
    loss_B_T = config.by * logp_B_T * advantages_B[:, None] * mask_B_T
    return TokenTerm(loss_B_T=loss_B_T, statistics={"low": logp_B_T < -1.5})


TERM = PolicyTerm(name="mine", config=NoSettings, function=times_advantage, line="", paper="")


def test_terms_are_weighted_normalised_by_their_own_rule_and_logged():
    means = TokenMeans()
    given = batch(correct_B=torch.tensor([True, False]), advantages_B=torch.tensor([2.0, 1.0]))
    active = [POSITIVE_ENTROPY.on(coef=0.5), TERM.on(coef=3.0)]
    found = policy_terms(active, given, STEP, means)
    assert found["positive_entropy"].item() == 0.5 * ((-1 - 2) / 2) / 2  # mean over 2 completions
    assert found["mine"].item() == pytest.approx(3.0 * (2 * -3 + -4) / 3)  # over 3 tokens
    told = means.flush(SingleProcess())
    assert told["mine/low"] == pytest.approx(2 / 3)
    assert told["mine/loss"] == pytest.approx((2 * -3 + -4) / 3)
    assert told["positive_entropy/loss"] == -1.0
    assert told["positive_entropy/cap_fraction"] == 0.0


def test_a_sampler_of_its_own_kernels_weighs_the_terms():
    weight = torch.tensor([[0.5], [2.0]])
    given = batch(advantages_B=torch.ones(2), sampler_weight_B_T=weight)
    found = policy_terms([TERM.on(coef=1.0)], given, STEP, None)
    assert found["mine"].item() == pytest.approx((0.5 * -3 + 2 * -4) / 3)


def test_what_is_not_at_hand_is_named():
    with pytest.raises(ConfigError, match="mine needs advantages_B"):
        policy_terms([TERM.on(coef=1.0)], batch(), STEP, None)
    exact = POSITIVE_ENTROPY.on(coef=1.0, form="exact")
    with pytest.raises(ConfigError, match="entropy_B_T"):
        policy_terms([exact], batch(correct_B=torch.ones(2)), STEP, None)


def test_no_term_is_no_loss():
    assert policy_terms([], batch(), STEP, None) == {}
