"""Positive entropy: its identities by enumeration, its gate, its cap, its normalisers."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

from polypath.errors import ConfigError, ShapeError
from polypath.objectives.aggregate import sequence_mean, token_sum
from polypath.objectives.positive_entropy import (
    PositiveEntropyConfig,
    positive_entropy,
)
from tests.objectives.tiny_policy import (
    COMPLETIONS,
    MASK,
    expected_over_states,
    grad,
    masked_sum,
    probabilities,
    random_logits,
    token_entropy,
    token_logp,
)
from tests.refusals import refused
from tests.rounding import rounding, within
from tests.strategies import FAST, seeds, token_batches

FORMS = ["paper", "detached", "exact"]
PAPER = PositiveEntropyConfig(max_ratio=math.inf)
OPEN = PositiveEntropyConfig(max_ratio=math.inf, gate="all")
CORRECT = torch.tensor([len(c) % 2 == 0 or c[0] == 1 for c in COMPLETIONS])
# Ratios of probabilities times log-probabilities are at most 1000 here, weighted by a probability;
# softmax, products and a sum over at most 15 of them, and their gradients.
EXACT = within(100, size=1000)


def entropies(logits):
    return torch.distributions.Categorical(logits=logits).entropy()


def term(config, logits, old_logits, correct_B=CORRECT):
    return positive_entropy(
        config, token_logp(logits), token_logp(old_logits), MASK, correct_B, token_entropy(logits)
    ).loss_B_T


def one_step(config, logits, old_logits):
    """Expectation of the term over one token sampled by the old policy, over the whole vocabulary."""
    size = len(logits)
    loss_B_T = positive_entropy(
        config,
        logits.log_softmax(0)[:, None],
        old_logits.log_softmax(0)[:, None],
        torch.ones(size, 1),
        torch.ones(size),
        entropies(logits).expand(size, 1),
    ).loss_B_T
    return (old_logits.softmax(0) * loss_B_T[:, 0]).sum()


# --- identities by enumeration -----------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(3))
def test_one_step_is_minus_the_entropy_in_value_and_gradient_for_any_old_policy(form, seed):
    rng = torch.Generator().manual_seed(seed)
    logits, old = 2 * torch.randn(2, 5, generator=rng, dtype=torch.float64)
    logits.requires_grad_()
    got = one_step(replace(OPEN, form=form), logits, old)
    assert_close(got, -entropies(logits), **EXACT)
    assert_close(grad(got, logits), grad(-entropies(logits), logits), **EXACT)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(3))
def test_sequence_with_a_constant_normaliser_is_minus_the_expected_sum_of_entropies(form, seed):
    logits, old = random_logits(seed), random_logits(seed + 100).detach()
    got = (probabilities(old) * masked_sum(term(replace(OPEN, form=form), logits, old))).sum()
    truth = -expected_over_states(old, entropies(logits))
    assert_close(got, truth, **EXACT)
    assert_close(grad(got, logits), grad(truth, logits), **EXACT)


def test_sequence_mean_is_biased_because_the_length_depends_on_the_token():
    """The paper's eq. 7 = eq. 8 needs a normaliser that is not random; 1/T is."""
    logits = random_logits(4)
    old = logits.detach()
    weights = probabilities(old) / MASK.sum(dim=1)
    sampled = (weights * masked_sum(term(OPEN, logits, old))).sum()
    exact = (weights * masked_sum(term(replace(OPEN, form="exact"), logits, old))).sum()
    assert (sampled - exact).abs() > 1e-3


@pytest.mark.parametrize("per_token", [False, True])
def test_the_plus_one_of_the_paper_form_is_minus_the_gradient_of_being_correct(per_token):
    """Paper minus detached = E[1(correct) sum_t grad log pi_t / n] = grad E[1(correct) / n] on policy.

    With n = 1 that is grad P(correct), with n = T it is grad E[1(correct) / T]; the term is minimised,
    so it lowers both.
    """
    logits = random_logits(5)
    old = logits.detach()
    n_B = MASK.sum(dim=1) if per_token else torch.ones(len(COMPLETIONS))
    weights = probabilities(old) / n_B
    paper = (weights * masked_sum(term(PAPER, logits, old))).sum()
    detached = (weights * masked_sum(term(replace(PAPER, form="detached"), logits, old))).sum()
    got = grad(paper, logits) - grad(detached, logits)
    truth = grad((probabilities(logits) * CORRECT / n_B).sum(), logits)
    assert truth.abs().max() > 0.01
    assert_close(got, truth, **EXACT)


def test_detaching_the_ratio_would_leave_no_entropy_signal():
    """The pitfall: E_old[rho grad log pi] = 0. The form called detached detaches the other factor."""
    logits, old = random_logits(6), random_logits(106).detach()
    ratio_B_T = (token_logp(logits).detach() - token_logp(old)).exp()
    pitfall = (probabilities(old) * masked_sum(ratio_B_T * token_logp(logits))).sum()
    assert_close(grad(pitfall, logits), torch.zeros_like(logits), **EXACT)
    kept = (
        probabilities(old) * masked_sum(term(replace(OPEN, form="detached"), logits, old))
    ).sum()
    assert grad(kept, logits).abs().max() > 0.01


@pytest.mark.parametrize("form", ["paper", "detached"])
def test_gradient_per_token_is_the_published_coefficient(form):
    """On log pi: rho (1 + log pi) for the paper (eq. 11), rho log pi without the +1."""
    logp = torch.tensor([[-0.1, -1.0, -2.5]], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([[-0.3, -1.0, -2.0]], dtype=torch.float64)
    loss = positive_entropy(
        replace(PAPER, form=form), logp, old, torch.ones(1, 3), torch.ones(1)
    ).loss_B_T
    rho, lead = (logp - old).detach().exp(), 1.0 if form == "paper" else 0.0
    assert_close(grad(loss.sum(), logp), rho * (lead + logp.detach()))


def test_coefficient_of_the_paper_form_is_zero_at_one_over_e():
    logp = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    loss = positive_entropy(PAPER, logp, logp.detach(), torch.ones(1, 1), torch.ones(1)).loss_B_T
    assert grad(loss.sum(), logp).item() == 0.0


@pytest.mark.parametrize("form", FORMS)
def test_one_step_of_descent_raises_the_entropy(form):
    logits = torch.tensor([3.0, 0.0, -1.0], dtype=torch.float64, requires_grad=True)
    loss = one_step(replace(OPEN, form=form), logits, logits.detach())
    moved = logits.detach() - 0.1 * grad(loss, logits)
    assert entropies(moved) > entropies(logits)


# --- gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_wrong_completions_contribute_nothing(form):
    logits = random_logits(7)
    loss_B_T = term(replace(PAPER, form=form), logits, logits.detach())
    assert (loss_B_T[~CORRECT] == 0).all()
    assert (loss_B_T[CORRECT & MASK.any(dim=1)] != 0).any(dim=1).all()
    nothing = term(replace(PAPER, form=form), logits, logits.detach(), torch.zeros_like(CORRECT))
    assert not nothing.any()
    assert not grad(nothing.sum(), logits).any()


def test_gate_all_is_gate_correct_with_everything_correct():
    logits = random_logits(8)
    everything = term(PAPER, logits, logits.detach(), torch.ones_like(CORRECT))
    assert torch.equal(term(OPEN, logits, logits.detach(), CORRECT), everything)


def test_gate_reads_accuracies_not_truthiness():
    """NaN (not scored), a negative reward and a format reward of 0.2 are all "true" to bool()."""
    correct_B = torch.tensor([1.0, math.nan, -0.5, 0.2, 0.0])
    logp = torch.full((5, 2), -1.0)
    loss = positive_entropy(
        PositiveEntropyConfig(), logp, logp, torch.ones(5, 2), correct_B
    ).loss_B_T
    assert loss[:, 0].tolist() == [-1.0, 0.0, 0.0, 0.0, 0.0]


# --- cap on the ratio --------------------------------------------------------------------------


def test_capped_value_and_capped_tokens_by_hand():
    """Ratios e^2, e^3 and 1 under a cap of e^2.5: only the second is held, at e^2.5 * -0.5."""
    config = PositiveEntropyConfig(max_ratio=math.exp(2.5))
    logp, old = torch.tensor([[-1.0, -0.5, -2.0]]), torch.tensor([[-3.0, -3.5, -2.0]])
    mask, correct = torch.ones(1, 3), torch.ones(1)
    found = positive_entropy(config, logp, old, mask, correct)
    assert_close(found.loss_B_T, torch.tensor([[-math.exp(2), -0.5 * math.exp(2.5), -2.0]]))
    assert found.statistics["cap_fraction"].tolist() == [[False, True, False]]
    wrong = positive_entropy(config, logp, old, mask, torch.zeros(1))
    assert not wrong.statistics["cap_fraction"].any()


@pytest.mark.parametrize(("form", "lead"), [("paper", 1.0), ("detached", 0.0)])
def test_capped_token_keeps_the_direction_of_its_gradient(form, lead):
    """A rare token (log pi = -3) grown 20-fold: the entropy still wants it likelier.

    clamp() would leave the gradient +10 of the paper form's second factor: the opposite direction.
    """
    config = PositiveEntropyConfig(form=form, max_ratio=10.0)
    logp = torch.tensor([[-3.0]], dtype=torch.float64, requires_grad=True)
    old = logp.detach() - math.log(20)
    loss = positive_entropy(config, logp, old, torch.ones(1, 1), torch.ones(1)).loss_B_T
    assert_close(grad(loss.sum(), logp), torch.tensor([[10 * (lead - 3.0)]], dtype=torch.float64))


def test_a_ratio_below_the_cap_is_untouched_and_there_is_no_cap_below():
    logp = torch.tensor([[-9.0]], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([[-0.5]], dtype=torch.float64)
    loss = positive_entropy(
        PositiveEntropyConfig(), logp, old, torch.ones(1, 1), torch.ones(1)
    ).loss_B_T
    assert_close(loss, logp * (logp - old).exp())


# --- robustness --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", ["paper", "detached"])
@pytest.mark.parametrize("max_ratio", [10.0, math.inf])
def test_value_and_gradient_are_finite_at_extreme_log_ratios(dtype, form, max_ratio):
    ratio = torch.tensor([[-1e4, -120.0, -30.0, 0.0, 30.0, 120.0, 1e4]], dtype=dtype)
    logp = ratio.clamp(max=0.0).requires_grad_()
    old = (-ratio).clamp(max=0.0)
    config = PositiveEntropyConfig(form=form, max_ratio=max_ratio)
    loss = positive_entropy(config, logp, old, torch.ones(1, 7), torch.ones(1)).loss_B_T
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss).all()
    assert torch.isfinite(grad(loss.sum(), logp)).all()


@FAST
@given(token_batches(), seeds)
def test_property_padding_may_hold_anything(batch, seed):
    logp, old, mask, correct = batch
    garbage = torch.tensor([math.nan, math.inf, -math.inf, 5.0], dtype=torch.float64)
    pick = torch.randint(4, logp.shape, generator=torch.Generator().manual_seed(seed))
    results = []
    for fill in (torch.zeros_like(logp), garbage[pick]):
        for form in FORMS:
            x = torch.where(mask, logp, fill).requires_grad_()
            config = PositiveEntropyConfig(form=form)
            loss = positive_entropy(
                config, x, torch.where(mask, old, fill), mask, correct, x
            ).loss_B_T
            total = sequence_mean(loss, mask) + token_sum(loss, mask, tokens=mask.sum())
            results.append((total, grad(total, x)))
    for clean, dirty in zip(results[:3], results[3:], strict=True):
        assert torch.equal(clean[0], dirty[0])
        assert torch.equal(clean[1], dirty[1])


def test_no_gradient_reaches_the_behaviour_policy():
    logits, old = random_logits(9), random_logits(10)
    assert not grad(masked_sum(term(OPEN, logits, old)).sum(), old).any()


@pytest.mark.parametrize("form", FORMS)
def test_rows_do_not_see_each_other(form):
    logits, old = random_logits(11), random_logits(12).detach()
    config = PositiveEntropyConfig(form=form)
    whole = term(config, logits, old)
    logp, old_logp, entropy = token_logp(logits), token_logp(old), token_entropy(logits)
    for i in range(len(COMPLETIONS)):
        row = slice(i, i + 1)
        alone = positive_entropy(
            config, logp[row], old_logp[row], MASK[row], CORRECT[row], entropy[row]
        ).loss_B_T
        assert_close(alone, whole[row], rtol=rounding(10), atol=0)


# --- refusals ----------------------------------------------------------------------------------


def test_exact_without_entropy_says_what_to_do():
    x = torch.zeros(1, 2)
    with refused(ConfigError, "exact", "paper", "detached"):
        positive_entropy(PositiveEntropyConfig(form="exact"), x, x, x, torch.ones(1))


def test_entropy_of_another_shape_is_refused_rather_than_broadcast():
    x = torch.zeros(2, 3)
    with refused(ShapeError, "entropy_B_T"):
        positive_entropy(
            PositiveEntropyConfig(form="exact"), x, x, x, torch.ones(2), torch.zeros(1, 3)
        )


def test_correct_of_another_length_is_refused():
    x = torch.zeros(2, 3)
    with refused(ShapeError, "correct_B"):
        positive_entropy(PositiveEntropyConfig(), x, x, x, torch.ones(3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("form", "papr"),
        ("gate", None),
        ("normalization", "mean"),
        ("max_ratio", 0.5),
        ("max_ratio", math.nan),
    ],
)
def test_bad_settings_are_refused(name, value):
    with refused(ConfigError, name, value):
        PositiveEntropyConfig(**{name: value})
