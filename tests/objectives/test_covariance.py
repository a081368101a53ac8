"""Clip-Cov and KL-Cov: which tokens they choose, what is left of the gradient, and where they are 0."""

import math

import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

from polypath.errors import ConfigError
from polypath.objectives.clip_cov import CLIP_COV, ClipCovConfig, clip_cov
from polypath.objectives.covariance import token_covariance
from polypath.objectives.kl_cov import KLCovConfig, kl_cov
from tests.refusals import refused
from tests.strategies import FAST, generator, token_batches


def batch(seed=0, rows=4, length=6):
    """Log-probs with gradient, the old ones, a mask with NaN behind it, and advantages."""
    rng = generator(seed)
    logp = -3 * torch.rand(rows, length, generator=rng, dtype=torch.float64)
    old = logp + 0.4 * torch.randn(rows, length, generator=rng, dtype=torch.float64)
    mask = torch.arange(length) < torch.randint(2, length + 1, (rows, 1), generator=rng)
    advantages = torch.randn(rows, generator=rng, dtype=torch.float64)
    nan = torch.full_like(logp, math.nan)
    logp, old = torch.where(mask, logp, nan), torch.where(mask, old, nan)
    return logp.requires_grad_(), old, mask, advantages


def masked(values, mask):
    return torch.where(mask, values, torch.zeros_like(values))


def policy_loss(logp, old, mask, advantages):
    """PPO's clipped loss, a mean over tokens."""
    ratio = (masked(logp, mask) - masked(old, mask)).exp()
    a = advantages.unsqueeze(1)
    per_token = -torch.minimum(ratio * a, ratio.clamp(0.8, 1.2) * a)
    return masked(per_token, mask).sum() / mask.sum()


def gradient(loss, logp):
    (found,) = torch.autograd.grad(loss, logp, retain_graph=True)
    return found


@FAST
@given(token_batches())
def test_covariance_is_the_product_of_what_is_above_the_means(drawn):
    logp, _, mask, _ = drawn
    advantages = torch.randn(len(logp), generator=generator(1), dtype=torch.float64)
    got = token_covariance(logp, advantages, mask)
    assert (got[~mask] == -math.inf).all()
    if mask.any():
        of_token = advantages.unsqueeze(1).expand_as(logp)[mask]
        expected = (logp[mask] - logp[mask].mean()) * (of_token - of_token.mean())
        assert_close(got[mask], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("coef", [1.0, 0.25])
def test_clip_cov_takes_the_chosen_tokens_out_of_the_gradient(seed, coef):
    logp, old, mask, advantages = batch(seed)
    loss = policy_loss(logp, old, mask, advantages)
    g = gradient(loss, logp)
    config = ClipCovConfig(ratio=1.0, lower=0.0, upper=100.0)
    term = clip_cov(config, logp, old, mask, advantages, g)
    assert term.normalization == "sum"
    chosen = term.statistics["clip_fraction"]
    covariance = token_covariance(logp, advantages, mask)
    assert torch.equal(chosen, (covariance > 0) & (masked(g, mask) != 0))  # all that may be
    assert chosen.any()
    if seed == 0:  # a token of this batch is left out by the clip of the policy's loss already
        assert ((covariance > 0) & ~chosen).any()
    left = gradient(loss + coef * term.loss_B_T.sum(), logp)
    expected = masked(torch.where(chosen, (1 - coef) * g, g), mask)
    assert_close(masked(left, mask), expected, rtol=0, atol=1e-12)
    assert left.isfinite().all()


def test_clip_cov_chooses_as_many_as_its_share_between_its_bounds():
    logp, old, mask, advantages = batch(0, rows=50, length=20)
    g = torch.ones_like(logp)
    covariance = token_covariance(logp, advantages, mask)
    config = ClipCovConfig(ratio=0.05, lower=0.2, upper=1.0)
    chosen = clip_cov(config, logp, old, mask, advantages, g).statistics["clip_fraction"]
    assert chosen.sum() == int(0.05 * mask.sum())
    assert ((covariance[chosen] > 0.2) & (covariance[chosen] < 1.0)).all()
    again = clip_cov(config, logp, old, mask, advantages, g).statistics["clip_fraction"]
    assert torch.equal(chosen, again)
    other = ClipCovConfig(ratio=0.05, lower=0.2, upper=1.0, seed=1)
    others = clip_cov(other, logp, old, mask, advantages, g).statistics["clip_fraction"]
    assert not torch.equal(chosen, others)
    one = clip_cov(ClipCovConfig(lower=0.2), logp, old, mask, advantages, g)
    assert one.statistics["clip_fraction"].sum() == 1  # 0.0002 of 1,000 tokens, but one at least


def test_clip_cov_leaves_the_global_random_state_alone():
    logp, old, mask, advantages = batch()
    before = torch.get_rng_state()
    config = ClipCovConfig(lower=0.0)
    clip_cov(config, logp, old, mask, advantages, torch.ones_like(logp))
    assert torch.equal(torch.get_rng_state(), before)


def test_clip_cov_without_a_token_between_its_bounds_is_nothing():
    logp, old, mask, advantages = batch()
    config = ClipCovConfig(lower=1e6, upper=1e7)
    term = clip_cov(config, logp, old, mask, advantages, torch.ones_like(logp))
    assert not term.loss_B_T.any()


@pytest.mark.parametrize("seed", range(4))
def test_kl_cov_penalises_the_largest_covariances_for_moving(seed):
    logp, old, mask, advantages = batch(seed)
    term = kl_cov(KLCovConfig(ratio=0.3), logp, old, mask, advantages)
    chosen = term.statistics["kl_fraction"]
    covariance = token_covariance(logp, advantages, mask)
    count = max(1, int(0.3 * mask.sum()))
    assert chosen.sum() == count
    assert covariance[chosen].min() >= covariance[mask & ~chosen].max()
    expected = torch.where(chosen, (masked(logp, mask) - masked(old, mask)).abs(), 0.0)
    assert_close(term.loss_B_T, expected)
    sign = torch.where(chosen, torch.sign(masked(logp - old, mask)), 0.0)
    assert_close(gradient(term.loss_B_T.sum(), logp), sign)


def test_kl_cov_is_0_on_completions_of_the_current_policy():
    logp, _, mask, advantages = batch()
    term = kl_cov(KLCovConfig(ratio=1.0), logp, logp.detach(), mask, advantages)
    assert not term.loss_B_T.any()
    assert not gradient(term.loss_B_T.sum(), logp).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("extreme", [-1e4, -120.0, -30.0, 0.0])
def test_finite_at_extreme_log_probabilities(dtype, extreme):
    logp = torch.tensor([[extreme, -1.0, 0.0]], dtype=dtype, requires_grad=True)
    old = torch.tensor([[-1.0, extreme, extreme]], dtype=dtype)
    mask, advantages = torch.ones(1, 3, dtype=torch.bool), torch.tensor([1.0])
    for term in (
        kl_cov(KLCovConfig(ratio=1.0), logp, old, mask, advantages),
        clip_cov(ClipCovConfig(lower=0.0), logp, old, mask, advantages, torch.ones_like(logp)),
    ):
        assert term.loss_B_T.isfinite().all()
        assert gradient(term.loss_B_T.sum(), logp).isfinite().all()


def test_a_micro_batch_without_tokens_is_nothing():
    logp, old, mask, advantages = batch()
    none = torch.zeros_like(mask)
    assert not kl_cov(KLCovConfig(), logp, old, none, advantages).loss_B_T.any()
    term = clip_cov(ClipCovConfig(), logp, old, none, advantages, torch.ones_like(logp))
    assert not term.loss_B_T.any()


def test_settings_that_cannot_work_are_refused():
    with refused(ConfigError, "clip_cov_ratio", 0.0):
        ClipCovConfig(ratio=0.0)
    with refused(ConfigError, "clip_cov_upper", "clip_cov_lower", 5, 6):
        ClipCovConfig(lower=6.0)
    with refused(ConfigError, "kl_cov_ratio", 2.0):
        KLCovConfig(ratio=2.0)
    with refused(ConfigError, "clip_cov_coef", 2):
        CLIP_COV.on(coef=2.0)
