"""The registries: what an engine can be asked for, and that a default setting of each works."""

import inspect

import torch

from polypath.objectives import (
    CONFIGS,
    DIVERGENCES,
    ON_POLICY_KL,
    POLICY_TERMS,
    REWARD_ADJUSTMENTS,
    DivergenceConfig,
    divergence,
)


def test_reward_adjustments_take_config_rewards_and_similarity():
    for name, function in REWARD_ADJUSTMENTS.items():
        assert list(inspect.signature(function).parameters)[:3] == [
            "config",
            "rewards_P_G",
            "similarity_P_G_G",
        ]
        got = function(CONFIGS[name](), torch.tensor([[1.0, 0.0]]), torch.eye(2)[None])
        assert got.tolist() == [[1.0, 0.0]]


def test_policy_terms_take_config_log_probabilities_mask_and_correctness():
    for name, function in POLICY_TERMS.items():
        assert list(inspect.signature(function).parameters)[:5] == [
            "config",
            "logp_B_T",
            "behaviour_logp_B_T",
            "mask_B_T",
            "correct_B",
        ]
        logp = torch.tensor([[-2.0, -3.0]])
        got = function(CONFIGS[name](), logp, logp, torch.tensor([[1, 0]]), torch.tensor([True]))
        assert got.tolist() == [[-2.0, 0.0]]


def test_divergences_are_chosen_by_name_and_on_policy_penalties_take_two_log_probabilities():
    for name in DIVERGENCES:
        assert divergence(DivergenceConfig(name=name), torch.zeros(1, 2)).tolist() == [[0.0, 0.0]]
    for penalty in ON_POLICY_KL.values():
        assert penalty(torch.zeros(1, 2), torch.zeros(1, 2)).tolist() == [[0.0, 0.0]]


def test_every_registered_objective_has_its_settings():
    assert set(REWARD_ADJUSTMENTS) | set(POLICY_TERMS) <= set(CONFIGS)
    for config in CONFIGS.values():
        assert config() == config()
