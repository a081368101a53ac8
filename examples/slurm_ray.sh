#!/bin/bash
# polypath on a Ray cluster that lives as long as this Slurm job. Submit it in a folder that all nodes share:
#
#     sbatch --nodes 4 slurm_ray.sh study study.yaml --gpus-per-job 1 --out /shared/runs/study
#     sbatch --nodes 2 slurm_ray.sh sample --model MODEL --task math500 --backend vllm --out /shared/runs/base
#
# Put into the queue again after it was cut off, it goes on where it was.
#SBATCH --job-name=polypath
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
set -euo pipefail

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$first" hostname -I | awk '{print $1}')
address="$address:$((20000 + SLURM_JOB_ID % 10000))"   # a port of this job's own
export RAY_USAGE_STATS_ENABLED=0
# Nobody else on these machines may use the cluster. Ray keeps the token in the home folder, which nodes share.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null

# Starts Ray on every node, runs the command on the first once all have joined, and stops Ray. Ray sees all CPUs
# of a node, also those of other jobs: --num-cpus says which are ours. GPUs it takes from Slurm.
srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --include-dashboard=false \
    -- python -m polypath "$@" --ray "$address"
