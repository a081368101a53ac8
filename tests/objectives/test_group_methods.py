"""What holds for every method of groups, whatever its formula: each registered one, with settings."""

import math

import pytest
import torch
from torch.testing import assert_close

from polypath.errors import DataError
from polypath.objectives import (
    ADVANTAGES,
    REWARD_ADJUSTMENTS,
    AdvantageConfig,
    RewardAdjustment,
    group_advantages,
)
from tests.strategies import generator

# Settings that reach another branch of a method; each method runs with its defaults as well.
OTHERS = {
    "pkpo": [{"baseline": "none", "k": 2}, {"baseline": "leave_one_out"}, {"k": 1}],
    "passk": [{"k": 2}, {"k": 6}],
    "w_reinforce": [{"of": "advantage"}, {"of": "advantage", "weight": 0.0}],
    "ucpo": [{"tau": 1.0, "per_token": False}],
    "setpo": [{"among": "all"}],
    "uniqueness": [{"weighted": "all", "alpha": 0.5}],
    "darling": [{"combine": "add", "weight": 0.5}, {"threshold": 0.0}],
    "gapo": [{"answers": 5, "invalid": 0.0}],
    "mmr": [{"weight": 0.7}],
    "unlikeliness": [{"per_token": False, "beta": 1.0}],
    "batch_exploration": [{"c": 2.0}],
    "history_exploration": [{"baseline": "mean", "c": 2.0}, {"baseline": "none"}],
}
METHODS = {**REWARD_ADJUSTMENTS, **ADVANTAGES}
CASES = [
    pytest.param(entry, entry.config(**settings), id=f"{name}-{i}")
    for name, entry in METHODS.items()
    for i, settings in enumerate([{}, *OTHERS.get(name, [])])
]


def groups(seed, prompts=4, size=6):
    """Inputs of every name, with copies among the completions, right and wrong ones, in float64."""
    rng = generator(seed)
    clusters = torch.randint(3, (prompts, size), generator=rng)
    similarity = (clusters.unsqueeze(1) == clusters.unsqueeze(2)).double() * 0.9 + 0.1
    correct = torch.rand(prompts, size, generator=rng) < 0.6
    correct[0], correct[1] = True, False
    part = correct.double()
    return {
        "rewards_P_G": part + 0.25 * torch.randint(2, (prompts, size), generator=rng),
        "similarity_P_G_G": similarity,
        "empty_P_G": torch.zeros(prompts, size, dtype=torch.bool),
        "correct_P_G": correct,
        "correct_rewards_P_G": part,
        "sequence_logp_P_G": -20 * torch.rand(prompts, size, generator=rng, dtype=torch.float64),
        "lengths_P_G": torch.randint(1, 9, (prompts, size), generator=rng),
        "seen_P_G": torch.randint(9, (prompts, size), generator=rng),
        "raw_rewards_P_G": part,
    }


def call(entry, config, inputs):
    rewards = inputs["rewards_P_G"].detach()
    base = group_advantages(AdvantageConfig(), rewards.masked_fill(rewards.isinf(), 0.0))
    rest = entry.takes({**inputs, "base_advantages_P_G": base})
    rest.pop("rewards_P_G")
    return entry.function(config, inputs["rewards_P_G"], **rest)


def pick(inputs, prompts, places):
    """The same groups with their completions in another order, or fewer of them."""
    return {
        name: value[prompts][:, places][:, :, places]
        if name == "similarity_P_G_G"
        else value[prompts][:, places]
        for name, value in inputs.items()
    }


def test_the_cases_name_every_input_that_methods_may_want():
    assert {*groups(0)} - {"rewards_P_G"} == {*RewardAdjustment.INPUTS} - {"solutions_P_G"}
    assert set(OTHERS) <= set(METHODS)


@pytest.mark.parametrize(("entry", "config"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_groups_do_not_see_each_other_and_order_does_not_matter(entry, config, seed):
    inputs = groups(seed)
    whole = call(entry, config, inputs)
    assert whole.shape == (4, 6)
    assert whole.dtype == torch.float64
    places = list(range(6))
    if entry.name == "mmr":  # its ties go by position, as its help says
        inputs["rewards_P_G"] = inputs["rewards_P_G"] + 0.01 * torch.arange(6)
        whole = call(entry, config, inputs)
    for prompt in range(4):
        assert_close(call(entry, config, pick(inputs, [prompt], places))[0], whole[prompt])
    order = [3, 0, 5, 1, 4, 2]
    prompts = [2, 0, 1, 3]
    turned = call(entry, config, pick(inputs, prompts, order))
    assert_close(turned, whole[prompts][:, order], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("entry", "config"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_a_completion_without_score_is_left_out(entry, config, seed):
    """As if it had not been sampled; it gets no reward, and advantage 0."""
    inputs = groups(seed, size=7)
    nan = [2, 5]
    inputs["rewards_P_G"][:, nan] = math.nan
    inputs["correct_P_G"][:, nan] = True  # whatever is said of it
    inputs["correct_rewards_P_G"][:, nan] = 1.0
    got = call(entry, config, inputs)
    left_out = got[:, nan]
    assert not left_out.any() if entry.KIND == "advantage" else left_out.isnan().all()
    kept = [0, 1, 3, 4, 6]
    alone = call(entry, config, pick(inputs, [0, 1, 2, 3], kept))
    if entry.name == "dra":  # it counts every completion as something to resemble
        return
    assert_close(got[:, kept], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("entry", "config"), CASES)
def test_finite_at_extreme_values_and_in_groups_of_one(entry, config):
    inputs = groups(0)
    extreme = dict(inputs)
    extreme["sequence_logp_P_G"] = torch.tensor([-1e4, -120.0, -30.0, 0.0, -1e30, -math.inf])
    extreme["sequence_logp_P_G"] = extreme["sequence_logp_P_G"].double().expand(4, 6)
    extreme["seen_P_G"] = torch.tensor([0, 1, 2, 10**6, 10**12, 2**62]).expand(4, 6)
    assert call(entry, config, extreme).isfinite().all()
    for size in (1e-30, 1e30):
        scaled = dict(inputs)
        for name in ("rewards_P_G", "correct_rewards_P_G", "raw_rewards_P_G"):
            scaled[name] = inputs[name] * size
        assert call(entry, config, scaled).isfinite().all()
    one = call(entry, config, pick(inputs, [0, 1, 2, 3], [0]))
    assert one.isfinite().all()
    inputs["rewards_P_G"][:] = math.nan
    nothing = call(entry, config, inputs)
    assert nothing.isnan().all() or not nothing.any()


@pytest.mark.parametrize(("entry", "config"), CASES)
def test_inputs_stay_as_they_are_and_get_no_gradient(entry, config):
    inputs = groups(1)
    before = {name: value.clone() for name, value in inputs.items()}
    inputs["rewards_P_G"].requires_grad_()
    inputs["similarity_P_G_G"].requires_grad_()
    assert not call(entry, config, inputs).requires_grad
    for name, value in inputs.items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(("entry", "config"), CASES)
def test_infinite_rewards_are_refused(entry, config):
    inputs = groups(0)
    inputs["rewards_P_G"][1, 2] = math.inf
    with pytest.raises(DataError, match=r"rewards_P_G\[1, 2\]"):
        call(entry, config, inputs)
