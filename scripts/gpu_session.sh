#!/usr/bin/env bash
# The GPU's tests and benchmark, on a machine whose Python has a CUDA build of torch. See docs/gpu.md.
#
#     bash scripts/gpu_session.sh [OUT]            # results go to OUT, runs/gpu by default
#     PYTHON=.venv/bin/python bash scripts/gpu_session.sh
#
# Minutes at most: TEST_MINUTES (8) for the tests, BENCH_MINUTES (9) for the benchmark. Either is cut off
# there; what was measured by then is in OUT. The exit status is the tests', else the benchmark's.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-runs/gpu}
python=${PYTHON:-python3}
tests=$((${TEST_MINUTES:-8} * 60))
bench=$((${BENCH_MINUTES:-9} * 60))
mkdir -p "$out"
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1

"$python" - <<'CODE' || exit 1
import torch
if not torch.cuda.is_available():
    raise SystemExit(f"torch {torch.__version__} sees no GPU; install a CUDA build of it.")
print(torch.__version__, torch.version.cuda, torch.cuda.get_device_name(0))
CODE

timeout "$tests" "$python" -m pytest -m gpu tests/gpu -q -rs --durations=10 -p no:cacheprovider \
    -o junit_family=xunit1 --junitxml="$out/tests.xml" 2>&1 | tee "$out/tests.log"
tested=$?
timeout "$bench" "$python" benchmarks/gpu.py --budget $((bench - 20)) --out "$out/gpu.json" \
    2>&1 | tee "$out/gpu.log"
measured=$?
[ "$tested" -ne 0 ] && exit "$tested"
exit "$measured"
