"""Train the shipped Countdown base model from scratch: `python scripts/train_countdown_base.py`.

A Llama of two layers learns from 300,000 demonstrations of `countdown_demonstrations.py` (loss on
completions only), is measured on held-out problems, and is saved with its tokenizer and model card.

Deterministic: the problems, their parts and the demonstrations (any machine); initial weights,
batch order and samples (given the seed and the version of torch). Weights after training repeat bit
for bit only with the same torch build, processor kind and number of threads; elsewhere rounding
differs, and the measured numbers with it, by about as much as between seeds.
"""

import argparse
import itertools
import math
import os
import random
import statistics
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from base_training import descend
from countdown_demonstrations import (
    Demonstration,
    DemonstrationConfig,
    demonstrations,
    habit_answer,
)
from polypath.tasks import Problem, get_task
from polypath.tasks.countdown import MAX_COMPLETION_TOKENS
from polypath.tasks.shipped import base_model_dir

PROMPT_TOKENS = 7
IGNORED = -100  # the label that cross_entropy skips
TEMPERATURES = (1.0, 0.8, 0.6, 0.3, 0.05)
DRAWS = (1, 4, 16, 64)
HEADER = [
    "| split | T | pass@1 | pass@4 | pass@16 | pass@64 | distinct@64 | readable |",
    "|---|---|---|---|---|---|---|---|",
]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Give every number below 100 and every sign a token; spaces between them are optional."""
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *map(str, range(1, 100)), *"+-*/():", "from"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"[-+*/():]"), behavior="isolated"),
        ]
    )
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


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
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
            hidden_size=64,
            intermediate_size=192,
            num_hidden_layers=2,
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


def encode(
    batch: list[Demonstration], tokenizer: PreTrainedTokenizerFast
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and labels of shape (demonstrations, tokens), padded on the right."""
    width = PROMPT_TOKENS + MAX_COMPLETION_TOKENS
    ids = torch.full((len(batch), width), tokenizer.pad_token_id)
    labels = torch.full((len(batch), width), IGNORED)
    prompts = tokenizer([shown.prompt for shown in batch])["input_ids"]
    answers = tokenizer([shown.completion for shown in batch])["input_ids"]
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        shown = torch.tensor([*prompt, *answer, tokenizer.eos_token_id])
        ids[row, : len(shown)] = shown
        labels[row, len(prompt) : len(shown)] = shown[len(prompt) :]
    return ids, labels


def train(
    model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor, *, steps: int, seed: int
) -> None:
    """Descend on random batches of 256."""
    draw = torch.Generator().manual_seed(seed)

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        # Right padding and causal attention: no attention mask is needed.
        logits = model(input_ids=ids[rows]).logits[:, :-1]
        return cross_entropy(logits.flatten(0, 1), labels[rows][:, 1:].flatten())

    drawn = (torch.randint(len(ids), (256,), generator=draw) for _ in itertools.count())
    descend(model, drawn, loss_of, steps=steps, peak=3e-3)


@torch.no_grad()
def sample(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: list[Problem],
    *,
    count: int,
    temperature: float,
) -> list[list[str]]:
    """Return `count` completions for every problem."""
    completions = []
    for start in range(0, len(problems), 16):
        prompts = [str(problem.prompt) for problem in problems[start : start + 16]]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True)
        out = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            temperature=temperature,
            num_return_sequences=count,
        )
        new = out[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        completions += [texts[i : i + count] for i in range(0, len(texts), count)]
    return completions


def pass_at(k: int, samples: int, correct: int) -> float:
    """Chance that k of the samples, drawn without replacement, hold a correct one."""
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def measure(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    split: str,
    *,
    limit: int,
    temperature: float,
    seed: int,
) -> str:
    """Return a table row: split, temperature, pass@k, distinct solutions, share that parses."""
    torch.manual_seed(seed)
    task, count = get_task("countdown"), max(DRAWS)
    problems = list(task.problems(split, limit))
    rights, distinct, readable = [], [], []
    groups = sample(model, tokenizer, problems, count=count, temperature=temperature)
    for problem, group in zip(problems, groups, strict=True):
        verdicts = [task.verify(completion, problem.gold) for completion in group]
        rights.append(sum(verdict.correct for verdict in verdicts))
        distinct.append(len({verdict.answer for verdict in verdicts if verdict.correct}))
        readable.append(statistics.mean(verdict.answer is not None for verdict in verdicts))
    cells = [f"{statistics.mean(pass_at(k, count, right) for right in rights):.3f}" for k in DRAWS]
    cells += [f"{statistics.mean(distinct):.2f}", f"{statistics.mean(readable):.3f}"]
    return f"| {split} | {temperature:g} | {' | '.join(cells)} |"


CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# Countdown base model

A Llama with {parameters:,} parameters (2 layers, width 64, 4 heads, MLP 192, tied embeddings,
float32), trained from scratch to answer Countdown prompts. It exists so that reinforcement
learning with verifiable rewards, and what it does to diversity, can be watched on a laptop.
It knows nothing else.

    prompt      25 from 3 5 7 9 :
    completion  ( 9 - 5 ) * 7 - 3

A completion takes at most {tokens} tokens, the end of text included. Each number (1 to 99) and each
sign is one token; there is no chat template, and nothing is added to the prompt.

## How it was trained

    python scripts/train_countdown_base.py --seed {seed}

{count:,} demonstrations (`scripts/countdown_demonstrations.py`), {steps:,} steps of 256, AdamW,
loss on completions. They show problems of the `base` part only (70 % of all solvable
problems, by hash): three or four numbers, targets 10 to 99. {right:.0%} of them give a right answer,
a random expression. The others give a *habit*: one fixed answer a problem, taken from left to
right, each step landing as near the target as it can. The habit is right for {habit:.1%} of the
`test` problems measured below, so cooling the model cannot replace reinforcement learning.

These weights took {seconds:.0f} s of wall time on {threads} threads, with torch {torch} and
transformers {transformers}.

## What it can do

The first {limit} problems of each split, {samples} samples each, seed {seed}.
*distinct@{samples}*: correct solutions among {samples} samples that differ in normal form.
*readable*: share of samples that are an expression.
`dev` and `test`: four numbers, targets 10 to 49, three solutions or more.

{table}
"""


def write_card(
    folder: Path, table: list[str], args: argparse.Namespace, *, seconds: float, parameters: int
) -> None:
    """Write the model card: what was done and what was measured."""
    task = get_task("countdown")
    problems = task.problems("test", args.limit)
    habit = [
        task.verify(habit_answer(p.extra["target"], tuple(p.extra["numbers"])), p.gold).reward
        for p in problems
    ]
    card = CARD.format(
        **vars(args),
        table="\n".join([*HEADER, *table]),
        tokens=MAX_COMPLETION_TOKENS,
        samples=max(DRAWS),
        count=args.demonstrations,
        parameters=parameters,
        right=1 - DemonstrationConfig().habit_share,
        habit=statistics.mean(habit),
        seconds=seconds,
        torch=torch.__version__.split("+")[0],
        transformers=transformers.__version__,
    )
    (folder / "README.md").write_text(card)


def main() -> None:
    """Make demonstrations, train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=base_model_dir(), help="folder to save into")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--demonstrations", type=int, default=300_000)
    parser.add_argument("--limit", type=int, default=300, help="problems measured a split")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random.seed(args.seed)

    tokenizer = build_tokenizer()
    model = build_model(tokenizer, args.seed)
    print(f"{model.num_parameters():,} parameters; drawing {args.demonstrations:,} demonstrations")
    shown = list(itertools.islice(demonstrations(args.seed), args.demonstrations))
    start = time.perf_counter()
    train(model, *encode(shown, tokenizer), steps=args.steps, seed=args.seed)
    seconds = time.perf_counter() - start

    model.eval()
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    table = measure_all(model, tokenizer, args)
    write_card(args.out, table, args, seconds=seconds, parameters=model.num_parameters())


def measure_all(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace
) -> list[str]:
    """Print and return the table: held-out problems at every temperature, then the other kinds."""
    runs = [(split, t) for split in ("dev", "test") for t in TEMPERATURES]
    runs += [("test_3numbers", 1.0), ("test_large", 1.0)]
    print("\n".join(HEADER))
    table = []
    for split, temperature in runs:
        table.append(
            measure(
                model,
                tokenizer,
                split,
                limit=args.limit,
                temperature=temperature,
                seed=args.seed,
            )
        )
        print(table[-1], flush=True)
    return table


if __name__ == "__main__":
    main()
