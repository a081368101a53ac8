"""polypath's settings in a verl configuration, ``+polypath.dra=true`` and the like; keys as on TRL."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from polypath.core.flat_settings import FlatSettings
from polypath.errors import ConfigError
from polypath.objectives import AdvantageConfig
from polypath.rehearsal.settings import AUTO

SECTION = "polypath"
VERL_EPS = 1e-6  # what verl's GRPO adds to the deviation


def read_settings(config: DictConfig) -> FlatSettings:
    """Read the section ``polypath`` of a verl configuration, and refuse what does not work on verl.

    Raises:
        ConfigError: a key is unknown, a value is out of range, or settings cannot be combined.
        MissingFileError: a file of a user's methods does not exist.
    """
    section = OmegaConf.select(config, SECTION)
    section = OmegaConf.create({}) if section is None else section
    if not isinstance(section, DictConfig):
        raise ConfigError(f"{SECTION} must hold settings, as +{SECTION}.dra=true, got {section!r}.")
    given: Any = OmegaConf.to_container(section, resolve=True)
    settings = FlatSettings.read({str(key): value for key, value in given.items()}, SECTION)
    settings.objectives.check_groups(int(config.actor_rollout_ref.rollout.n), "sum_then_normalize")
    _refuse_settings(settings)
    if settings.objectives.of_groups:
        _check_groups(config, settings)
    if settings.in_loss:
        _check_loss(config, settings)
    return settings


def compares_groups(config: DictConfig) -> bool:
    """Return whether verl's advantages are those of GRPO, which ours can replace."""
    algorithm = config.algorithm
    return str(algorithm.adv_estimator) == "grpo" and not algorithm.use_kl_in_reward


def verl_advantages(config: DictConfig) -> AdvantageConfig:
    """Return verl's own rule for GRPO, as the core computes it."""
    by_deviation = config.algorithm.get("norm_adv_by_std_in_grpo", True)
    return AdvantageConfig(scale="group" if by_deviation else "none", eps=VERL_EPS)


def _refuse_settings(settings: FlatSettings) -> None:
    _refuse(
        settings.run.average_weights_from is not None,
        "average_weights_from (also of the presets) works on TRL only. Set "
        f"+{SECTION}.average_weights_from=null",
    )
    _refuse(
        settings.run.kl_gradient is not None,
        "kl_gradient works on TRL only. On verl actor_rollout_ref.actor.kl_loss_type=k3+ has the gradient of "
        "the reverse KL, and k3 that of the forward KL",
    )
    _refuse(
        settings.run.skip_rows_without_gradient,
        "skip_rows_without_gradient works on TRL only. On verl algorithm.filter_groups.enable=true replaces "
        "groups of equal rewards",
    )
    _refuse(
        settings.run.dynamic_sampling_rounds > 0,
        "dynamic_sampling_rounds works on TRL only. On verl set algorithm.filter_groups.enable=true and "
        "algorithm.filter_groups.max_num_gen_batches",
    )
    _refuse(
        settings.run.shared_prefill,
        "shared_prefill works on TRL only: verl's rollout servers share prompts by themselves",
    )
    _refuse(
        settings.run.length_buckets > 1,
        "length_buckets works on TRL only. On verl actor_rollout_ref.model.use_remove_padding=true leaves "
        "all padding out",
    )
    _refuse(
        settings.rehearsal.folder == AUTO,
        "rehearsal_set=auto works with `polypath train` only. Make a set with `polypath presample` and name "
        "its folder",
    )


def _check_groups(config: DictConfig, settings: FlatSettings) -> None:
    algorithm = config.algorithm
    _refuse(
        settings.objectives.compare and settings.values["similarity"] == "policy",
        "similarity=policy needs the policy's hidden states, which verl does not return. Use ngram, "
        "answer or embedding",
    )
    _refuse(
        settings.objectives.counts and _several_turns(config),
        "advantage=history_exploration counts answers by the tokens of the prompt, and with "
        "actor_rollout_ref.rollout.multi_turn.enable=true these hold earlier turns. Set it to false",
    )
    _refuse(
        str(algorithm.adv_estimator) != "grpo",
        f"algorithm.adv_estimator={algorithm.adv_estimator} does not compare the completions of a group as "
        "GRPO does. Set algorithm.adv_estimator=grpo",
    )
    _refuse(
        bool(algorithm.use_kl_in_reward),
        "algorithm.use_kl_in_reward changes rewards token by token. Use actor_rollout_ref.actor.use_kl_loss "
        "with methods that work on groups",
    )


def _check_loss(config: DictConfig, settings: FlatSettings) -> None:
    actor = config.actor_rollout_ref.actor
    _refuse(
        settings.wants("policy_gradient_B_T"),
        "A term that works on the policy's own gradient, such as clip_cov, works on TRL only. verl has "
        "actor_rollout_ref.actor.policy_loss.loss_mode=clip_cov",
    )
    one_update = int(config.data.train_batch_size) <= int(actor.ppo_mini_batch_size)
    settings.objectives.check_updates(
        one_update and int(actor.ppo_epochs) == 1,
        "actor.ppo_epochs of 2 or more, or actor.ppo_mini_batch_size below data.train_batch_size",
    )
    _refuse(
        str(actor.strategy) not in ("fsdp", "fsdp2"),
        f"actor_rollout_ref.actor.strategy={actor.strategy}: terms of the loss and rehearsal need fsdp "
        "or fsdp2. Methods that work on groups, such as dra, run with every strategy",
    )
    owners = (actor, actor.get("fsdp_config", {}))
    _refuse(
        any(int(o.get("ulysses_sequence_parallel_size", 1) or 1) > 1 for o in owners),
        "ulysses_sequence_parallel_size above 1 was not tried with terms of the loss and rehearsal. Set "
        "it to 1",
    )
    _refuse(
        bool(config.get("distillation", {}).get("enabled", False)),
        "distillation has a loss of its own. Switch it off, or the terms of the loss and rehearsal",
    )
    _refuse(
        (settings.rehearsal.on or settings.bank.on) and bool(actor.shuffle),
        "actor_rollout_ref.actor.shuffle=true would mix rehearsal rows unevenly into the mini-batches. "
        "Set it to false",
    )
    _refuse(
        settings.bank.on and _several_turns(config),
        "bank=true replays completions as the model's own text, and with "
        "actor_rollout_ref.rollout.multi_turn.enable=true tools write into them. Set one of them to false",
    )


def _several_turns(config: DictConfig) -> bool:
    return bool(config.actor_rollout_ref.rollout.get("multi_turn", {}).get("enable", False))


def _refuse(wrong: bool, reason: str) -> None:
    if wrong:
        raise ConfigError(f"{reason}.")
