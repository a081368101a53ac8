"""Keys of public GRPO recipes of 2025 that are no settings today, and what replaces each.

They come from older versions of TRL and transformers, from open-r1's script and from DRA-GRPO's. A plan
reports unknown keys without importing TRL, so nothing is imported here.
"""

from collections.abc import Iterable

from polypath.errors import ConfigError, unknown_name, unknown_names

RENAMED = {
    "torch_dtype": "dtype",
    "warmup_ratio": "warmup_steps",  # a value below 1 is a share
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
VARIABLES = {
    "wandb_project": "WANDB_PROJECT",
    "wandb_entity": "WANDB_ENTITY",
    "wandb_run_group": "WANDB_RUN_GROUP",
}
# What replaces the others -> their keys.
_GONE = {
    "is gone: TRL does not cut prompts": "max_prompt_length",
    "is gone: vllm_mode says where vLLM runs": "vllm_device",
    "is gone: an option of 'trl vllm-serve'": "vllm_dtype vllm_enforce_eager vllm_enable_prefix_caching",
    "is gone: a run resumes where it stopped; another output_dir starts anew": "overwrite_output_dir",
    "is gone: set the variable TENSORBOARD_LOGGING_DIR under env": "logging_dir",
    "is gone: transformers works without": "save_safetensors include_tokens_per_second past_index use_ipex "
    "half_precision_backend fp16_backend fp16_opt_level jit_mode_eval torchdynamo tpu_num_cores ray_scope "
    "use_mps_device mp_parameters adafactor group_by_length include_inputs_for_metrics",
    "is a setting of TRL's SFT": "max_seq_length max_length packing dataset_text_field dataset_num_proc "
    "dataset_kwargs preprocessing_num_workers",
    "is gone: the tokenizer is the model's": "tokenizer_name_or_path",
    "is the launcher's: accelerate launch --num_processes": "num_processes",
    "is DRA-GRPO's: dra: true": "SMI_reweighting",
    "is DRA-GRPO's: similarity: embedding and embedding_model": "extractor_name",
}
_OPEN_R1 = {
    "is open-r1's: run 'polypath eval' on the checkpoints": "callbacks benchmarks",
    "is open-r1's: see hub_strategy": "push_to_hub_revision overwrite_hub_revision",
    "is open-r1's: an option under reward_options here": "cosine_min_value_wrong cosine_max_value_wrong "
    "cosine_min_value_correct cosine_max_value_correct cosine_max_len repetition_n_grams "
    "repetition_max_penalty max_completion_len soft_punish_cache",
    "is open-r1's, for rewards that run programs: none here": "code_language code_eval_test_batch_size "
    "code_eval_scoring_mode parallel_code_exec_per_proc code_provider ioi_provider e2b_router_url "
    "morph_router_url",
    "is open-r1's: TRL's datasets": "dataset_mixture",
    "is open-r1's: set a variable under env": " ".join(VARIABLES),
}
OPEN_R1 = {key: told for told, keys in _OPEN_R1.items() for key in keys.split()}
GONE = {key: told for told, keys in _GONE.items() for key in keys.split()} | OPEN_R1


def fate(key: str) -> str:
    """Return what replaces a key, in a few words; empty if that is not known."""
    return f"is {RENAMED[key]} now" if key in RENAMED else GONE.get(key, "")


def check_keys(keys: Iterable[str], known: Iterable[str], source: object = None) -> None:
    """Check that there is a setting for every key.

    Args:
        keys: keys of a recipe, or given on the command line.
        known: every setting.
        source: the recipe; ``None`` for the command line.

    Raises:
        ConfigError: names every key that is not a setting, with its replacement or the nearest setting.
    """
    names = sorted(known)
    unknown = [key for key in keys if key not in names]
    kind = "option" if source is None else f"key in {source}:"
    if len(unknown) == 1 and not fate(unknown[0]):
        raise unknown_name(kind, unknown[0], names)
    if unknown:
        fix = f" Run: polypath train --config {source} --convert NEW.yaml" if source else ""
        several = (
            kind.replace("option", "options").replace("key in", "keys in", 1).removesuffix(":")
        )
        raise ConfigError(f"{unknown_names(several, unknown, names, fate)}{fix}")
