"""What the scripts that train the shipped bases share: drawing batches, descending, measuring."""

import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from transformers import LlamaForCausalLM

from polypath.report.prepared import Prepared
from polypath.report.settings import AnalysisSettings, choose_sizes
from polypath.rollouts.samples import load_samples
from polypath.sampling.run import sample_run
from polypath.sampling.settings import SamplingSettings
from polypath.tasks import get_task

WARM_UP, FLOOR = 50, 0.05  # steps; share of the peak at the end
SORTED = 16  # batches that are drawn together

Batch = TypeVar("Batch")
Example = TypeVar("Example")


def batches(
    examples: Sequence[Example], seed: int, size: int, *, length: Callable[[Example], int]
) -> Iterator[list[Example]]:
    """Yield random batches without end; those drawn together are sorted to waste little padding."""
    draw = torch.Generator().manual_seed(seed)
    while True:
        rows = torch.randint(len(examples), (size * SORTED,), generator=draw).tolist()
        rows.sort(key=lambda row: length(examples[row]))
        for number in torch.randperm(SORTED, generator=draw).tolist():
            yield [examples[row] for row in rows[number * size : (number + 1) * size]]


def descend(
    model: LlamaForCausalLM,
    drawn: Iterable[Batch],
    loss_of: Callable[[Batch], torch.Tensor],
    *,
    steps: int,
    peak: float,
    name: str = "step",
    every: int = 200,
) -> None:
    """AdamW with warm-up and a cosine down to 5 % of the peak; prints the mean loss now and then."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, (step + 1) / WARM_UP)
            * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * step / steps)) / 2)
        ),
    )
    start, recent = time.perf_counter(), []
    for step, batch in enumerate(itertools.islice(drawn, steps), start=1):
        loss = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        recent.append(loss.item())
        if step % every == 0 or step == steps:
            seconds, mean = time.perf_counter() - start, sum(recent) / len(recent)
            print(f"{name} {step:5d}/{steps}  loss {mean:.3f}  {seconds:.0f} s", flush=True)
            recent.clear()


def measure_split(
    task_name: str,
    folder: Path,
    split: str,
    *,
    draws: Sequence[int],
    limit: int,
    temperature: float,
    seed: int,
    batch_size: int,
) -> str:
    """Return a table row: split, temperature, pass@k, distinct solutions at the last two k, problems seen."""
    task, settings = get_task(task_name), AnalysisSettings(ks=tuple(draws))
    with tempfile.TemporaryDirectory() as out:
        sample_run(
            folder,
            task,
            out=out,
            split=split,
            num_samples=max(draws),
            settings=SamplingSettings(
                temperature=temperature,
                max_new_tokens=task.max_completion_length,
                batch_size=batch_size,
                seed=seed,
            ),
            limit=limit,
            device="cpu",
        )
        samples = load_samples(out)
    found = Prepared(samples, choose_sizes([samples], settings)[0], settings)
    passed, distinct = found.pass_at(draws), found.distinct_at(draws[-2:])
    cells = [f"{value:.3f}" for value in passed.mean(axis=0)]
    cells += [f"{value:.2f}" for value in distinct.mean(axis=0)]
    return f"| {split} | {temperature:g} | {' | '.join(cells)} | {samples.num_problems} |"
