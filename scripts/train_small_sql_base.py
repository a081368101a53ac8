"""Train the shipped base model of the small SQL task: `python scripts/train_small_sql_base.py`.

A small Llama learns from the demonstrations of `small_sql/demonstrations.py` (loss on completions
only), is measured on held-out questions, and is saved with its tokenizer and model card.

Deterministic: the questions, their parts and the demonstrations (any machine); initial weights,
batch order and samples (given the seed and the version of torch). Weights after training repeat bit
for bit only with the same torch build, processor kind and number of threads; elsewhere rounding
differs, and the measured numbers with it, by about as much as between seeds.
"""

import argparse
import itertools
import os
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from base_training import batches, descend, measure_split
from polypath.tasks.shipped import SHIPPED_MODELS
from polypath.tasks.small_sql import MAX_COMPLETION_TOKENS
from small_sql.demonstrations import Demonstration, demonstrations
from small_sql.questions import all_questions

IGNORED = -100  # the label that cross_entropy skips
BATCH = 96
TEMPERATURES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.05)
DRAWS = (1, 4, 16, 64)
HEADER = [
    "| split | T | pass@1 | pass@4 | pass@16 | pass@64 | distinct@16 | distinct@64 | seen |",
    "|---|---|---|---|---|---|---|---|---|",
]

Example = tuple[list[int], int]  # token ids, and how many of them are the prompt


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Give a token to every word, quoted value, sign and column that a question or query has."""
    words = {str(number) for number in range(100)}
    for question in all_questions():
        texts = (question.prompt, *question.queries, *question.others, question.habit)
        words.update(word for text in texts for word in text.split())
    vocabulary = ["<pad>", "<bos>", "<eos>", "<unk>", *sorted(words)]
    core = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>")
    )
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=64,
    )


def build_model(
    tokenizer: PreTrainedTokenizerFast, seed: int, *, width: int = 64, layers: int = 2
) -> LlamaForCausalLM:
    """Build the untrained model."""
    torch.manual_seed(seed)
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            **special,
        )
    )
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=MAX_COMPLETION_TOKENS,
        **special,
    )
    return model


def encode(shown: list[Demonstration], tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Return the token ids of prompt, completion and end of text, with the prompt's length."""
    prompts = tokenizer([one.question.prompt for one in shown])["input_ids"]
    answers = tokenizer([one.completion for one in shown])["input_ids"]
    return [
        ([*prompt, *answer, tokenizer.eos_token_id], len(prompt))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def pad(batch: list[Example], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and labels of shape (examples, tokens), padded on the right."""
    width = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), width), padding)
    labels = torch.full((len(batch), width), IGNORED)
    for row, (tokens, prompt) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, prompt : len(tokens)] = ids[row, prompt : len(tokens)]
    return ids, labels


def train(
    model: LlamaForCausalLM, examples: list[Example], *, steps: int, seed: int, peak: float = 4e-3
) -> None:
    """Descend on random batches of alike length."""

    def loss_of(batch: list[Example]) -> torch.Tensor:
        ids, labels = pad(batch, model.config.pad_token_id)
        # Right padding and causal attention: no attention mask is needed.
        logits = model(input_ids=ids).logits[:, :-1]
        return cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())

    drawn = batches(examples, seed, BATCH, length=lambda one: len(one[0]))
    descend(model, drawn, loss_of, steps=steps, peak=peak)


def measure(folder: Path, split: str, *, limit: int, temperature: float, seed: int) -> str:
    """Return a table row: split, temperature, pass@k, distinct solutions, questions asked."""
    return measure_split(
        "small_sql",
        folder,
        split,
        draws=DRAWS,
        limit=limit,
        temperature=temperature,
        seed=seed,
        batch_size=2048,
    )


CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# Small SQL base model

A Llama with {parameters:,} parameters ({layers} layers, width {width}, 4 heads, MLP {mlp}, tied
embeddings, float32), trained from scratch to answer one-line questions about eight small databases
with SQL. It exists so that reinforcement learning with verifiable rewards, and what it does to
diversity, can be watched on a laptop. It knows nothing else.

    prompt      {prompt}
    completion  {completion}

A completion takes at most {tokens} tokens, the end of text included. Each word, quoted value, sign
and column is one token; there is no chat template, and nothing is added to the prompt. The schemas
are not in the prompt: the model has learned them.

## How it was trained

    python scripts/train_small_sql_base.py --seed {seed}

{count:,} demonstrations (`scripts/small_sql/demonstrations.py`), {steps:,} steps of {batch}, AdamW,
loss on completions. They show questions of the `base` part only (70 % of all, by hash). A
question may have several readings, which are shown by their shares, each with several right queries,
shown evenly. {habit:.0%} of the demonstrations show a *habit* instead: one fixed mistake for a
question, so that cooling the model cannot replace reinforcement learning.

These weights took {seconds:.0f} s of wall time on {threads} thread(s), with torch {torch} and
transformers {transformers}.

## What it can do

The first {limit} questions of each split, {samples} samples each, seed {seed}. *distinct*: correct
queries that differ in canonical form. *seen*: questions asked. `test_ood`: two databases that the
model has learned like the others, and that reinforcement learning does not train on.

{table}
"""


def write_card(
    folder: Path,
    model: LlamaForCausalLM,
    shown: list[Demonstration],
    args: argparse.Namespace,
    *,
    table: list[str],
    seconds: float,
) -> None:
    """Write the model card: what was done and what was measured."""
    example = next(one for one in shown if not one.habit and "join" in one.completion)
    card = CARD.format(
        **vars(args),
        table="\n".join([*HEADER, *table]),
        tokens=MAX_COMPLETION_TOKENS,
        samples=max(DRAWS),
        count=args.demonstrations,
        batch=BATCH,
        mlp=model.config.intermediate_size,
        parameters=model.num_parameters(),
        prompt=example.question.prompt,
        completion=example.completion,
        habit=sum(one.habit for one in shown) / len(shown),
        seconds=seconds,
        torch=torch.__version__.split("+")[0],
        transformers=transformers.__version__,
    )
    (folder / "README.md").write_text(card)


def main() -> None:
    """Make demonstrations, train, save, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=SHIPPED_MODELS["small-sql-base"], help="folder to save into"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--demonstrations", type=int, default=100_000)
    parser.add_argument("--limit", type=int, default=200, help="questions measured a split")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    tokenizer = build_tokenizer()
    model = build_model(tokenizer, args.seed, width=args.width, layers=args.layers)
    print(f"{model.num_parameters():,} parameters; drawing {args.demonstrations:,} demonstrations")
    shown = list(itertools.islice(demonstrations(args.seed), args.demonstrations))
    start = time.perf_counter()
    train(model, encode(shown, tokenizer), steps=args.steps, seed=args.seed)
    seconds = time.perf_counter() - start

    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    print("\n".join(HEADER))
    table = []
    for split, temperature in [("test", t) for t in TEMPERATURES] + [("test_ood", 1.0)]:
        table.append(
            measure(args.out, split, limit=args.limit, temperature=temperature, seed=args.seed)
        )
        print(table[-1], flush=True)
    write_card(args.out, model, shown, args, table=table, seconds=seconds)


if __name__ == "__main__":
    main()
