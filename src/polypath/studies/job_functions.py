"""The functions that the jobs of a study run in a worker process."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polypath.report.prepared import Prepared, ProblemValues
from polypath.report.settings import AnalysisSettings, choose_sizes
from polypath.rollouts.files import read_json, write_json
from polypath.rollouts.samples import load_samples
from polypath.studies.config import Evaluation, Presampling

EVALUATED = "evaluated.json"  # in a folder of samples, written last
COST = "cost.json"  # cost of a training or pre-sampling, in its folder
SURPRISAL = "surprisal"  # in it: problem -> summed nats and number of tokens
ENTROPY = "token_entropy"  # key of the measure
ENTROPY_SAMPLES = 4  # samples of each problem whose tokens are scored


@contextlib.contextmanager
def _costed(path: Path) -> Iterator[dict[str, Any]]:
    """Write the cost of the job in this block, and the added values. A resumed job has its last part."""
    started, cpu = time.monotonic(), time.process_time()
    more: dict[str, Any] = {}
    yield more
    seconds = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu}
    write_json(path, more | seconds)


def train(*, recipe: str, overrides: Sequence[str]) -> None:
    """Train one method with one seed, from its last checkpoint if it has one.

    Args:
        recipe: path of the YAML file.
        overrides: ``["--key", "value", ...]``; they override the file.
    """
    from polypath.train.config import load_recipe
    from polypath.train.run import run

    loaded = load_recipe(recipe, overrides)
    with _costed(Path(str(loaded.trainer.output_dir)) / COST):
        run(loaded)


def presample(
    *,
    model: str,
    task: str,
    task_options: Mapping[str, str],
    out: str,
    device: str | None,
    presampling: Presampling,
) -> None:
    """Make a rehearsal set from the base, or resume making it.

    Args:
        model: folder or name of the base.
        task: name or place of the task.
        task_options: options of the task.
        out: folder of the set.
        device: ``"cpu"``, or ``None`` for a GPU if there is one.
        presampling: its split, number of problems and settings.
    """
    from polypath.engines.trl import completion_logps
    from polypath.rehearsal.presample import presample as make
    from polypath.tasks import get_task

    with _costed(Path(out) / COST):
        make(
            model,
            get_task(task, task_options),
            out=out,
            split=presampling.split,
            limit=presampling.limit,
            completion_logps=completion_logps,
            settings=presampling.settings,
            device=device,
        )


def evaluate(
    *,
    model: str,
    task: str,
    task_options: Mapping[str, str],
    out: str,
    device: str | None,
    evaluation: Evaluation,
    batch_size: int,
    seed: int,
    tried: Mapping[str, str] | None = None,
) -> None:
    """Sample a model on a split into a run folder, or resume, and measure the entropy of the samples.

    With ``tried``, as in ``best_temperature``, it uses the best of these temperatures.

    Args:
        model: folder or name.
        task: name or place of the task.
        task_options: options of the task.
        out: run folder.
        device: ``"cpu"``, or ``None`` for a GPU if there is one.
        evaluation: split, number of problems and samples, and how they are drawn.
        batch_size: completions generated together, at least 1.
        seed: seed of the samples.
        tried: temperature, as text -> folder of samples at it; ``None`` for the evaluation's own.
    """
    from polypath.sampling.run import sample_run
    from polypath.sampling.settings import SamplingSettings
    from polypath.tasks import get_task

    with _costed(Path(out) / EVALUATED) as found:
        temperature = best_temperature(tried)[0] if tried else evaluation.temperature
        summary = sample_run(
            model,
            get_task(task, task_options),
            out=out,
            split=evaluation.split,
            num_samples=evaluation.samples,
            settings=SamplingSettings(
                temperature=temperature,
                top_p=evaluation.top_p,
                max_new_tokens=evaluation.max_completion_length,
                batch_size=batch_size,
                seed=seed,
            ),
            limit=evaluation.problems,
            greedy=evaluation.greedy,
            device=device,
        )
        known = (
            evaluation.top_p == 1
        )  # else tokens are drawn from another distribution than is scored
        found["model"], found["statuses"] = model, dict(summary.statuses)
        found[SURPRISAL] = (
            _surprisal(model, Path(out), temperature, batch_size, device) if known else {}
        )


def best_temperature(tried: Mapping[str, str]) -> tuple[float, dict[str, float]]:
    """Return the temperature with the highest pass@1 (the first of equal ones), and all their pass@1.

    Args:
        tried: temperature, as text -> folder of samples at it.
    """
    settings = AnalysisSettings(ks=(1,))
    accuracy = {}
    for temperature, folder in tried.items():
        samples = load_samples(folder)
        sizes, _ = choose_sizes([samples], settings)
        accuracy[temperature] = float(
            np.nanmean(Prepared(samples, sizes, settings).pass_at(sizes.ks))
        )
    return float(max(accuracy, key=lambda key: accuracy[key])), accuracy


def _surprisal(
    model: str, folder: Path, temperature: float, batch_size: int, device: str | None
) -> dict[str, tuple[float, int]]:
    r"""Return per problem the summed :math:`-\log p` of sampled tokens in nats, and their number.

    The tokens were drawn from p, so their mean is an unbiased estimate of the mean entropy of the
    next-token distribution over the positions of samples.
    """
    import torch

    from polypath.engines.trl import completion_logps
    from polypath.rollouts import RolloutStore, decode_prompt
    from polypath.rollouts.sources import SAMPLES_FOLDER
    from polypath.sampling.loading import load_model, resolve_device
    from polypath.sampling.prompts import tokenize_prompts
    from polypath.sampling.transformers import pad_token_id

    store = RolloutStore.open(folder / SAMPLES_FOLDER)
    rows = [
        row
        for batch in store.iter_batches(("problem_id", "sample_id", "prompt", "token_ids"))
        for row in batch.to_pylist()
        if row["sample_id"] < ENTROPY_SAMPLES and row["token_ids"]
    ]
    network, tokenizer = load_model(model, dtype=torch.float32, device=resolve_device(device))
    scored = completion_logps(
        network,
        tokenize_prompts(tokenizer, [decode_prompt(row["prompt"]) for row in rows]),
        [row["token_ids"] for row in rows],
        temperature=temperature,
        pad_token_id=pad_token_id(network, tokenizer),
        batch_size=min(batch_size, 512),
    )
    found: dict[str, tuple[float, int]] = {}
    for row, logps in zip(rows, scored, strict=True):
        total, number = found.get(row["problem_id"], (0.0, 0))
        found[row["problem_id"]] = (total - float(logps.sum()), number + len(logps))
    return found


def entropy_values(folder: Path, shared: Sequence[str]) -> ProblemValues:
    """Return the entropy per token of samples on these problems, as their job measured it.

    Args:
        folder: run folder of the samples.
        shared: ids of the N problems.
    """
    surprisal = read_json(folder / EVALUATED, "what an evaluation wrote").get(SURPRISAL, {})
    pairs = np.array([surprisal.get(p, (math.nan, math.nan)) for p in shared], dtype=np.float64)
    return ProblemValues(
        key=ENTROPY,
        label="entropy (nats per token)",
        group="solutions",
        higher_is="more diverse",
        top_N=pairs[:, 0],
        bottom_N=pairs[:, 1],
    )
