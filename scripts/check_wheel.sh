#!/usr/bin/env bash
# Build sdist and wheel, install the wheel without extras, and use it in an empty folder.
#
#     scripts/check_wheel.sh [PYTHON] [DIST]      # DIST keeps what was built
set -euo pipefail
dist=${2:+$(realpath -m "$2")}
cd "$(dirname "$0")/.."
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dist=${dist:-$work/dist}

"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet build twine 2>"$work/pip.log" || { cat "$work/pip.log"; exit 1; }
"$work/build/bin/python" -m build --outdir "$dist" . >"$work/build.log" 2>&1 || {
  tail -20 "$work/build.log"
  exit 1
}
"$work/build/bin/twine" check --strict "$dist"/*
tar -tzf "$dist"/*.tar.gz >"$work/files"
for file in CHANGELOG.md CITATION.cff SECURITY.md tests/conftest.py docs/methods.md \
  src/polypath/assets/recipes/dra_grpo/dra_grpo.yaml; do
  grep -q "/$file\$" "$work/files" || { echo "the sdist lacks $file"; exit 1; }
done

"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "$dist"/*.whl
mkdir "$work/empty"
cd "$work/empty"
polypath=$work/venv/bin/polypath
for run in base trained; do
  for problem in a b c d; do
    for sample in 0 1 2 3; do
      echo "{\"problem_id\": \"$problem\", \"sample_id\": $sample, \"completion\": \"$run $sample\", \"correct\": $((sample % 2))}"
    done
  done | sed 's/"correct": 0/"correct": false/; s/"correct": 1/"correct": true/' >"$run.jsonl"
done
for command in "--version" "methods" "tasks" "recipes" "recipes dra_grpo --to ." "diversity base.jsonl" \
  "compare base.jsonl trained.jsonl" "report base.jsonl trained.jsonl --out page.html"; do
  # shellcheck disable=SC2086 # words of a command
  "$polypath" $command >out 2>&1 || { echo "polypath $command failed:"; tail -5 out; exit 1; }
done
test -s page.html
for command in "train --output_dir x" "sample --model countdown-base --out x" "quickstart --out x"; do
  code=0
  # shellcheck disable=SC2086
  "$polypath" $command >out 2>&1 || code=$?
  [ "$code" = 2 ] && tail -1 out | grep -q "polypath\[trl\]" && ! grep -q Traceback out || {
    echo "polypath $command should name the extra:"
    tail -5 out
    exit 1
  }
done
echo "$("$polypath" --version): sdist and wheel are whole, and the wheel works without extras on $("$python" --version)"
