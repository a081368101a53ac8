#!/usr/bin/env bash
# Check a release: build, twine, the wheel without and with TRL in empty environments outside the
# repository, a quickstart of 3 steps there, and the site where `make docs` exists.
#
#     scripts/release_check.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

[ -z "$(git status --porcelain)" ] || echo "Note: files are changed that no commit holds; they are checked as they are."
scripts/check_wheel.sh "$python" "$work/dist"

"$python" -m venv "$work/venv"
torch=$(grep '^torch==' constraints.txt) # an open range pulls several GB of GPU libraries
"$work/venv/bin/pip" install --quiet "$(echo "$work"/dist/*.whl)[trl]" "$torch"
mkdir "$work/empty"
cd "$work/empty"
"$work/venv/bin/polypath" quickstart --steps 3 --methods grpo,dra --problems 16 --samples 64 --out quickstart \
  >log 2>&1 || { tail -20 log; exit 1; }
test -s quickstart/overview.png
cd "$root"
if grep -q '^docs:' Makefile; then
  make docs
else
  echo "Note: there is no 'make docs' yet; the site was not built."
fi
echo "$("$work/venv/bin/polypath" --version) can be released."
