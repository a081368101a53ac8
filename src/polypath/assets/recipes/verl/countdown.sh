#!/usr/bin/env bash
# Train the Countdown base with verl's main_ppo on CPU cores, 8 steps, and print the curves. About 75 seconds.
#
#   recipes/verl/countdown.sh [FOLDER] [overrides of verl, such as +polypath.dra=true]
#
# Needs an environment with polypath[verl]. On GPUs leave out what is under "on_cpus_only".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mkdir -p "${1:-runs/verl-countdown}" && cd "${1:-runs/verl-countdown}" && pwd)
[ $# -gt 0 ] && shift
workers=${WORKERS:-1}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
if [ -z "${RAY_TMPDIR:-}" ]; then  # a cluster of its own, whatever runs here
  RAY_TMPDIR=$(mktemp -d /tmp/verl-XXXXXX)
  export RAY_TMPDIR
  trap 'rm -rf "$RAY_TMPDIR"' EXIT
fi
# Ray starts its workers through a shell, without quotes: a path with a space goes through a link.
environment=$(python -c "import sys; print(sys.prefix)")
if [[ "$environment" == *" "* ]]; then
  mkdir -p "$RAY_TMPDIR" && ln -sfn "$environment" "$RAY_TMPDIR/environment"
  PATH=$RAY_TMPDIR/environment/bin:$PATH
fi
export RAY_DEDUP_LOGS=0 PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH} PYTHONWARNINGS=ignore::UserWarning:verl
[ -f "$folder/train.parquet" ] || python "$here/make_data.py" "$folder"

# The plug-in. verl imports it in every process.
export VERL_USE_EXTERNAL_MODULES=${PLATFORM-cpu_platform,}polypath.engines.verl
polypath=(
  trainer.v1.trainer_mode=polypath_sync
  reward.custom_reward_function.path=pkg://polypath.engines.verl.reward
  reward.custom_reward_function.name=compute_score
)
on_cpus_only=(
  trainer.device=cpu +ray_kwargs.ray_init.num_gpus="$workers" ray_kwargs.ray_init.num_cpus=16
  +ray_kwargs.ray_init.address=local +ray_kwargs.ray_init.include_dashboard=False
  trainer.v1.sampler.custom_sampler.path="$here/sorted_sampler.py"
  trainer.v1.sampler.custom_sampler.name=SortedReplayBuffer
  actor_rollout_ref.rollout.name=hf actor_rollout_ref.rollout.dtype=float32
  actor_rollout_ref.rollout.free_cache_engine=False +actor_rollout_ref.rollout.enable_sleep_mode=False
  +actor_rollout_ref.model.override_config.attn_implementation=sdpa
  actor_rollout_ref.actor.use_torch_compile=False actor_rollout_ref.actor.fsdp_config.use_torch_compile=False
  +actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=fp32
  +actor_rollout_ref.actor.fsdp_config.mixed_precision.reduce_dtype=fp32
  actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=16
)
export VERL_PLATFORM=cpu VERL_ENGINE_DEVICE=cuda RAY_worker_niceness=0

export VERL_FILE_LOGGER_PATH=${VERL_FILE_LOGGER_PATH:-$folder/log.jsonl}
cd "$folder"
python -m verl.trainer.main_ppo \
  "${polypath[@]}" "${on_cpus_only[@]}" \
  algorithm.adv_estimator=grpo \
  data.train_files="$folder/train.parquet" data.val_files="$folder/dev.parquet" \
  data.train_batch_size=8 data.max_prompt_length=16 data.max_response_length=16 data.dataloader_num_workers=0 \
  actor_rollout_ref.model.path="$folder/model" actor_rollout_ref.model.enable_gradient_checkpointing=False \
  actor_rollout_ref.actor.strategy=fsdp2 actor_rollout_ref.actor.optim.lr=1e-4 \
  actor_rollout_ref.actor.ppo_mini_batch_size=8 actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8 \
  actor_rollout_ref.rollout.n=8 actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16 actor_rollout_ref.rollout.agent.num_workers=1 \
  reward.num_workers=1 transfer_queue.backend.SimpleStorage.num_data_storage_units=1 \
  trainer.nnodes=1 trainer.n_gpus_per_node="$workers" trainer.logger='[console,file]' \
  trainer.val_before_train=False trainer.test_freq=-1 trainer.save_freq=-1 trainer.resume_mode=disable \
  trainer.default_local_dir="$folder/checkpoints" trainer.total_training_steps=8 "$@"
python "$here/curves.py" "$VERL_FILE_LOGGER_PATH"
