"""Keys of public GRPO recipes of 2025 that no setting has today, and what became of each.

Of older versions of TRL and transformers, of open-r1's script and of DRA-GRPO's. Nothing is imported: the
plan and the run both tell of unknown keys, and the plan does so without TRL.
"""

from collections.abc import Iterable

from polypath.errors import ConfigError, unknown_name, unknown_names

RENAMED = {
    "torch_dtype": "dtype",
    "warmup_ratio": "warmup_steps",  # below 1 it is a share
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "push_to_hub_token": "hub_token",
    "push_to_hub_model_id": "hub_model_id",
    "hub_model_revision": "hub_revision",
    "vllm_max_model_len": "vllm_max_model_length",
    "vllm_guided_decoding_regex": "vllm_structured_outputs_regex",
    "wandb_log_unique_prompts": "log_unique_prompts",
    "use_liger_loss": "use_liger_kernel",
    "dataset_id_or_path": "dataset_name",
    "dataset_splits": "dataset_train_split",
    "dataset_configs": "dataset_config",
}

_PROMPTS = "TRL does not cut prompts"
_SERVER = "an option of 'trl vllm-serve'"
_ALWAYS = "transformers always does so"
_GONE = "transformers has no such setting"
_SFT = "a setting of TRL's SFT"
_EVAL = "the script's: run 'polypath eval' on the checkpoints"
DROPPED = {
    "max_prompt_length": _PROMPTS,
    "vllm_device": "vllm_mode says where vLLM runs",
    "vllm_dtype": _SERVER,
    "vllm_enforce_eager": _SERVER,
    "vllm_enable_prefix_caching": _SERVER,
    "vllm_kv_cache_dtype": _SERVER,
    "overwrite_output_dir": "a run goes on where it stopped, another output_dir starts anew",
    "logging_dir": "set the variable TENSORBOARD_LOGGING_DIR under env",
    "save_safetensors": _ALWAYS,
    "include_tokens_per_second": "see include_num_input_tokens_seen",
    "group_by_length": "GRPO draws its own order",
    **dict.fromkeys(
        ("half_precision_backend", "fp16_backend", "fp16_opt_level", "past_index"), _GONE
    ),
    **dict.fromkeys(("use_ipex", "jit_mode_eval", "torchdynamo", "tpu_num_cores"), _GONE),
    **dict.fromkeys(("ray_scope", "use_mps_device", "mp_parameters", "adafactor"), _GONE),
    "include_inputs_for_metrics": _GONE,
    **dict.fromkeys(("max_seq_length", "max_length", "packing", "dataset_text_field"), _SFT),
    **dict.fromkeys(("dataset_num_proc", "preprocessing_num_workers", "dataset_kwargs"), _SFT),
    "tokenizer_name_or_path": "the tokenizer is the model's",
    "remote_gen_model_url": "use vllm_server_host",
    "callbacks": _EVAL,
    "benchmarks": _EVAL,
    "push_to_hub_revision": _EVAL,
    "overwrite_hub_revision": "the script's; the hub keeps every revision",
}

# Options of one reward of open-r1's script; polypath has them in `reward_options`.
REWARD_KEYS = (
    "cosine_min_value_wrong",
    "cosine_max_value_wrong",
    "cosine_min_value_correct",
    "cosine_max_value_correct",
    "cosine_max_len",
    "repetition_n_grams",
    "repetition_max_penalty",
    "max_completion_len",
    "soft_punish_cache",
)
SANDBOX_KEYS = (
    "code_language",
    "code_eval_test_batch_size",
    "code_eval_scoring_mode",
    "parallel_code_exec_per_proc",
    "code_provider",
    "ioi_provider",
    "e2b_router_url",
    "morph_router_url",
)
ENVIRONMENT_KEYS = {
    "wandb_project": "WANDB_PROJECT",
    "wandb_entity": "WANDB_ENTITY",
    "wandb_run_group": "WANDB_RUN_GROUP",
}
SCRIPTS = {
    **dict.fromkeys(REWARD_KEYS, "open-r1's: an option under reward_options here"),
    **dict.fromkeys(SANDBOX_KEYS, "open-r1's, for rewards that run programs: not here"),
    **{
        key: f"open-r1's: set the variable {name} under env"
        for key, name in ENVIRONMENT_KEYS.items()
    },
    "dataset_mixture": "open-r1's: TRL's datasets",
    "num_processes": "the launcher's: accelerate launch --num_processes",
    "SMI_reweighting": "DRA-GRPO's: dra: true",
    "extractor_name": "DRA-GRPO's: similarity: embedding and embedding_model",
}


def fate(key: str, known: Iterable[str]) -> str:
    """Return what became of a key, in a few words; empty where that is not known."""
    if RENAMED.get(key) in set(known):
        return f"is {RENAMED[key]} now"
    if key in DROPPED:
        return f"is gone: {DROPPED[key]}"
    return f"is {SCRIPTS[key]}" if key in SCRIPTS else ""


def check_keys(keys: Iterable[str], known: Iterable[str], source: object = None) -> None:
    """Check that there is a setting for every key.

    Args:
        keys: of a recipe, or given on the command line.
        known: every setting.
        source: the recipe; ``None`` for the command line.

    Raises:
        ConfigError: naming every key that is none, with what became of it or the nearest setting.
    """
    names = sorted(known)
    unknown = [key for key in keys if key not in names]
    kind, place = ("option", "") if source is None else ("key", f" in {source}")
    fates = {key: fate(key, names) for key in unknown}
    if len(unknown) == 1 and not any(fates.values()):
        raise unknown_name(f"{kind}{place}{':' * bool(place)}", unknown[0], names)
    if unknown:
        error = unknown_names(f"{kind}s{place}", unknown, names, fates.__getitem__)
        convertible = source is not None and any(fates.values())
        fix = f" Run: polypath train --config {source} --convert NEW.yaml" if convertible else ""
        raise ConfigError(f"{error}{fix}")
