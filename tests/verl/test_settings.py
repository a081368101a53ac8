"""polypath's settings in a verl configuration: read, checked and refused before anything starts."""

import pytest

pytest.importorskip("verl", reason="verl has an environment of its own: make test-verl")

from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from verl.trainer.ppo.v1.trainer_base import get_trainer_cls

from polypath.engines.verl import DiversityPPOTrainer
from polypath.engines.verl.settings import compares_groups, read_settings
from polypath.errors import ConfigError

GRPO = "algorithm.adv_estimator=grpo"


def config(*overrides: str) -> DictConfig:
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", [GRPO, "actor_rollout_ref.rollout.n=4", *overrides])


def test_without_the_section_all_is_off() -> None:
    settings = read_settings(config())
    assert not settings.in_loss
    assert settings.objectives.of_groups == ()


def test_keys_are_those_of_the_other_engine() -> None:
    given = (
        "+polypath.dra=true",
        "+polypath.positive_entropy_coef=0.01",
        "+polypath.dra_strength=2",
    )
    settings = read_settings(config(*given))
    assert [method.entry.name for method in settings.objectives.of_groups] == ["dra"]
    assert settings.objectives.of_groups[0].config.strength == 2
    assert [term.coef for term in settings.objectives.terms] == [0.01]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["+polypath.drra=true"], "dra"),
        (["+polypath=3"], "polypath"),
        (["+polypath.preset=balanced"], "average_weights_from"),
        (["+polypath.kl_gradient=reverse"], "kl_loss_type"),
        (["+polypath.rehearsal_set=auto"], "presample"),
        (["+polypath.skip_rows_without_gradient=true"], "filter_groups"),
        (["+polypath.dynamic_sampling_rounds=2"], "max_num_gen_batches"),
        (["+polypath.shared_prefill=true"], "rollout servers"),
        (["+polypath.length_buckets=2"], "use_remove_padding"),
        (["+polypath.dra=true", "+polypath.similarity=policy"], "similarity"),
        (["+polypath.dra=true", "algorithm.adv_estimator=gae"], "adv_estimator"),
        (["+polypath.dra=true", "algorithm.use_kl_in_reward=true"], "use_kl_in_reward"),
        (["+polypath.dra=true", "actor_rollout_ref.rollout.n=1"], "completions"),
        (["+polypath.positive_entropy_coef=1", "model_engine=megatron"], "strategy"),
        (
            [
                "+polypath.positive_entropy_coef=1",
                "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=2",
            ],
            "ulysses",
        ),
        (["+polypath.rehearsal_set=x", "actor_rollout_ref.actor.shuffle=true"], "shuffle"),
        (["+polypath.bank=true", "actor_rollout_ref.actor.shuffle=true"], "shuffle"),
        (["+polypath.bank=true", "actor_rollout_ref.rollout.multi_turn.enable=true"], "multi_turn"),
        (["+polypath.positive_entropy_coef=1", "distillation.enabled=true"], "distillation"),
        (["+polypath.clip_cov_coef=1"], "loss_mode=clip_cov"),
        (["+polypath.kl_cov_coef=1", "data.train_batch_size=256"], "ppo_epochs"),
        (
            [
                "+polypath.advantage=history_exploration",
                "actor_rollout_ref.rollout.multi_turn.enable=true",
            ],
            "multi_turn",
        ),
        (["+polypath.advantage=pkpo", "+polypath.pkpo_k=5"], "pkpo"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_does_not_work_is_one_line(given: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as error:
        read_settings(config(*given))
    assert "\n" not in str(error.value)


def test_kl_cov_needs_several_updates_of_a_batch() -> None:
    for several in ("actor_rollout_ref.actor.ppo_epochs=2", "data.train_batch_size=1024"):
        given = ("+polypath.kl_cov_coef=1", "data.train_batch_size=256", several)
        (term,) = read_settings(config(*given)).objectives.terms
        assert term.entry.name == "kl_cov"


@pytest.mark.parametrize(
    ("override", "compares"),
    [
        (GRPO, True),
        ("algorithm.adv_estimator=gae", False),
        ("algorithm.use_kl_in_reward=true", False),
    ],
)
def test_only_grpo_can_leave_out_what_nobody_scored(override: str, compares: bool) -> None:
    assert compares_groups(config(override)) is compares


def test_verl_finds_the_trainer_and_others_refuse_the_settings() -> None:
    assert get_trainer_cls("polypath_sync") is DiversityPPOTrainer
    for mode in ("sync", "colocate_async", "separate_async"):
        with pytest.raises(ConfigError, match="polypath_sync"):
            get_trainer_cls(mode)(config("+polypath.dra=true"))
