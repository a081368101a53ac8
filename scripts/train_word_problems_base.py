"""Train the shipped base model of the word problems: `python scripts/train_word_problems_base.py`.

A byte-level BPE tokenizer is trained on the demonstrations of `word_problem_demonstrations.py`. A small
Llama first learns to calculate from drills, then to solve problems from the demonstrations (loss on
results and completions only). It is measured on held-out problems and saved with its tokenizer, chat
template and model card.

Deterministic: the problems, their parts, the demonstrations and the tokenizer (any machine); initial
weights, batch order and samples (given the seed and the version of torch). Weights after training
repeat bit for bit only with the same torch build, processor kind and number of threads; elsewhere
rounding differs, and the measured numbers with it, by about as much as between seeds.
"""

import argparse
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from base_training import batches, descend, measure_split
from polypath.tasks.shipped import SHIPPED_MODELS
from polypath.tasks.word_problems import MAX_COMPLETION_TOKENS
from polypath.tasks.word_problems.writing import LARGEST
from word_problem_demonstrations import Demonstration, demonstrations, drills

VOCABULARY = 1024
LONGEST = 160  # tokens of a prompt with its completion
TOKENIZER_TEXTS = 5_000  # demonstrations that the tokenizer is trained on
IGNORED = -100  # the label that cross_entropy skips
BATCH = 32
DRILLS_A_ROW, DRILL_BATCH = 12, 16
TEMPERATURES = (1.0, 0.6, 0.3, 0.05)
DRAWS = (1, 4, 16, 64)
SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
HEADER = [
    "| split | T | pass@1 | pass@4 | pass@16 | pass@64 | ways@16 | ways@64 | seen |",
    "|---|---|---|---|---|---|---|---|---|",
]

Example = tuple[list[int], list[int]]  # token ids and their labels


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Train byte-level BPE on demonstrations; every number up to ``LARGEST`` becomes a token."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(_corpus(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=LONGEST,
        chat_template=TEMPLATE,
    )


def _corpus(seed: int) -> Iterator[str]:
    for one in itertools.islice(demonstrations(seed), TOKENIZER_TEXTS):
        yield one.problem.text
        yield one.completion
    # As often as common words: rare numbers would be split into their digits.
    yield from (
        " ".join(["", *map(str, range(1, LARGEST + 1))]) for _ in range(TOKENIZER_TEXTS // 10)
    )


def build_model(
    tokenizer: PreTrainedTokenizerFast, seed: int, *, width: int = 128, layers: int = 4
) -> LlamaForCausalLM:
    """Build the untrained model."""
    torch.manual_seed(seed)
    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
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
            max_position_embeddings=LONGEST,
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
    """Return prompt, completion and end of text, with labels for the completion and the end."""
    texts = {one.problem.text for one in shown}
    prompts = {text: _chat(text, tokenizer) for text in sorted(texts)}
    answers = tokenizer([one.completion for one in shown])["input_ids"]
    examples = []
    for one, answer in zip(shown, answers, strict=True):
        prompt, target = prompts[one.problem.text], [*answer, tokenizer.eos_token_id]
        examples.append((prompt + target, [IGNORED] * len(prompt) + target))
    return examples


def _chat(text: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    messages = [{"role": "user", "content": text}]
    return list(
        tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]
    )


def drill_examples(seed: int, count: int, tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Return rows of drills, with labels for the results only."""
    equals = tokenizer.convert_tokens_to_ids("Ġ=")
    drawn = drills(seed)
    rows = [
        "".join(f" {drill}." for drill in itertools.islice(drawn, DRILLS_A_ROW))
        for _ in range(count)
    ]
    examples = []
    for ids in tokenizer(rows)["input_ids"]:
        labels = [IGNORED] + [
            after if before == equals else IGNORED for before, after in itertools.pairwise(ids)
        ]
        examples.append((ids, labels))
    return examples


def pad(batch: list[Example], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and labels of shape (examples, tokens), padded on the right."""
    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [padding] * (width - len(ids)) for ids, _ in batch])
    labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in batch])
    return ids, labels


def train(
    model: LlamaForCausalLM,
    examples: list[Example],
    *,
    size: int,
    steps: int,
    peak: float,
    seed: int,
    name: str,
) -> None:
    """Descend on random batches of alike length."""

    def loss_of(batch: list[Example]) -> torch.Tensor:
        ids, labels = pad(batch, model.config.pad_token_id)
        # Right padding and causal attention: no attention mask is needed. Only the labelled places go
        # through the output layer.
        kept = labels[:, 1:] != IGNORED
        hidden = model.model(input_ids=ids).last_hidden_state[:, :-1][kept]
        return cross_entropy(model.lm_head(hidden), labels[:, 1:][kept])

    drawn = batches(examples, seed, size, length=lambda one: len(one[0]))
    descend(model, drawn, loss_of, steps=steps, peak=peak, name=name, every=50)


def measure(folder: Path, split: str, *, limit: int, temperature: float, seed: int) -> str:
    """Return a table row: split, temperature, pass@k, distinct ways, problems seen."""
    return measure_split(
        "word_problems",
        folder,
        split,
        draws=DRAWS,
        limit=limit,
        temperature=temperature,
        seed=seed,
        batch_size=1024,
    )


CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# Word problem base model

A Llama with {parameters:,} parameters ({layers} layers, width {width}, 4 heads, MLP {mlp}, tied
embeddings, float32), trained from scratch to solve word problems of two to four steps. It exists so that
reinforcement learning with verifiable rewards, and what it does to diversity, can be watched on a laptop.
It knows nothing else.

    user       {prompt}
    assistant  {completion}

The tokenizer is byte-level BPE with {vocabulary:,} tokens, trained on the same texts. A number up to
{largest} that follows a space is one token. There is a chat template. A completion takes at most
{tokens} tokens, the end of text included.

## How it was trained

    python scripts/train_word_problems_base.py --seed {seed}

First {drill_steps:,} steps of {drill_batch} rows of {drills_a_row} calculations, loss on results. Then
{count:,} demonstrations (`scripts/word_problem_demonstrations.py`) in cycles of {steps_of_cycles} steps of
{batch}, AdamW, loss on completions. They show problems of the `base` part only (70 % of all, by hash). A
problem's ways are shown evenly, each in several wordings. {habit:.0%} of the demonstrations show a
*habit* instead: one fixed misconception for a kind of problem, with a wrong answer. So a lower
temperature cannot replace reinforcement learning.

These weights took {seconds:.0f} s of wall time on {threads} thread(s), with torch {torch} and
transformers {transformers}.

## What it can do

The first {limit} problems of each split, {samples} samples each, seed {seed}. *ways*: different ways
among the correct samples. *seen*: problems. `test_more_steps`: kinds of problems that need a further step.
`test_new_stories`: one story of each kind. The model has learned these like the others, and
reinforcement learning does not train on them.

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
    example = next(one for one in shown if not one.habit and one.problem.told.kind == "rate")
    card = CARD.format(
        **vars(args),
        table="\n".join([*HEADER, *table]),
        tokens=MAX_COMPLETION_TOKENS,
        largest=LARGEST,
        vocabulary=model.config.vocab_size,
        samples=max(DRAWS),
        count=len(args.steps) * args.demonstrations,
        steps_of_cycles=" and ".join(map(str, args.steps)),
        batch=BATCH,
        drill_batch=DRILL_BATCH,
        drills_a_row=DRILLS_A_ROW,
        mlp=model.config.intermediate_size,
        parameters=model.num_parameters(),
        prompt=example.problem.text,
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
        "--out", type=Path, default=SHIPPED_MODELS["word-problems-base"], help="folder to save into"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drill-steps", type=int, default=400)
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[1000, 1700, 1700, 2000], help="one a cycle"
    )
    parser.add_argument(
        "--peaks", type=float, nargs="+", default=[2e-3, 3e-3, 3e-3, 3e-3], help="learning rates"
    )
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--demonstrations", type=int, default=32_000, help="of a cycle")
    parser.add_argument("--limit", type=int, default=60, help="problems measured a split")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    tokenizer = build_tokenizer(args.seed)
    model = build_model(tokenizer, args.seed, width=args.width, layers=args.layers)
    print(f"{model.num_parameters():,} parameters; drawing {args.demonstrations:,} demonstrations")
    start = time.perf_counter()
    rows = drill_examples(args.seed, args.drill_steps * DRILL_BATCH, tokenizer)
    train(
        model,
        rows,
        size=DRILL_BATCH,
        steps=args.drill_steps,
        peak=2e-3,
        seed=args.seed,
        name="drills",
    )
    for cycle, (steps, peak) in enumerate(zip(args.steps, args.peaks, strict=True)):
        # New demonstrations, and a learning rate that rises and falls anew.
        shown = list(itertools.islice(demonstrations(args.seed + cycle), args.demonstrations))
        train(
            model,
            encode(shown, tokenizer),
            size=BATCH,
            steps=steps,
            peak=peak,
            seed=args.seed + cycle,
            name=f"cycle {cycle + 1}",
        )
    seconds = time.perf_counter() - start

    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    write_card(args.out, model, shown, args, table=measure_all(args), seconds=seconds)


def measure_all(args: argparse.Namespace) -> list[str]:
    """Print and return the table: held-out problems at every temperature, then the other splits."""
    print("\n".join(HEADER))
    table = []
    runs = [("test", t) for t in TEMPERATURES]
    for split, temperature in [*runs, ("test_more_steps", 1.0), ("test_new_stories", 1.0)]:
        table.append(
            measure(args.out, split, limit=args.limit, temperature=temperature, seed=args.seed)
        )
        print(table[-1], flush=True)
    return table


if __name__ == "__main__":
    main()
