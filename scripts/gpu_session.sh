#!/usr/bin/env bash
# What a GPU has to show, in one command of at most 9 minutes, on a machine without a network. See docs/gpu.md.
#
#     bash scripts/gpu_session.sh [OUT]            # results go to OUT, runs/gpu by default
#     PYTHON=.venv/bin/python bash scripts/gpu_session.sh
#
# Run it again until it says that all is recorded: it continues where it was cut off. Variables:
#     MINUTES   at most for this run (9)
#     CARRIED   folder of wheels, whole or in pieces, made by scripts/carry_wheels.sh (carried)
#     MODELS    folder of models and checkpoints, 5 GB, not needed once all is recorded (OUT/models)
#     DEVICE    cpu tries everything at toy size without a GPU (cuda)
set -uo pipefail
started=$(date +%s)
cd "$(dirname "$0")/.."
out=${1:-runs/gpu}
python=${PYTHON:-python3}
carried=${CARRIED:-carried}
path=src

if [ -f "$carried/SHA256SUMS" ]; then
  joined=()
  for first in "$carried"/*.part-00; do
    whole=${first%.part-00}
    [ -f "$first" ] && [ ! -f "$whole" ] || continue
    cat "$whole".part-* > "$whole"
    joined+=("$whole")
  done
  if ! (cd "$carried" && sha256sum --check --quiet SHA256SUMS); then
    rm -f "${joined[@]}"
    echo "$carried is not complete yet. Copy the other pieces there and run the command again." >&2
    exit 2
  fi
  # Beside the machine's own packages, which stay as they are: torch, transformers, accelerate and others.
  [ -d "$carried/packages" ] || "$python" -m pip install --quiet --no-index --no-deps \
    --target "$carried/packages" "$carried"/*.whl || { rm -rf "$carried/packages"; exit 2; }
  path="$path:$carried/packages"
fi
export PYTHONPATH="$path${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
exec "$python" scripts/gpu_session.py "$out" --started "$started" --minutes "${MINUTES:-9}" \
  --models "${MODELS:-$out/models}" --device "${DEVICE:-cuda}"
