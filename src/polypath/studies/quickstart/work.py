"""The quickstart's jobs, as they run in a worker process."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from polypath.rollouts.files import write_json

TASK = "countdown"
# The trial's finding: at 6 of 8 too few Countdown problems count as mastered by a base this weak.
PRESAMPLE_K, PRESAMPLE_THRESHOLD = 8, 3
COOLING_SAMPLES = 32


def train(*, recipe: str, overrides: Mapping[str, str]) -> None:
    """Train one method, from its last checkpoint if it has one."""
    from polypath.train.config import load_recipe
    from polypath.train.run import run

    arguments = [text for key, value in overrides.items() for text in (f"--{key}", value)]
    run(load_recipe(recipe, arguments))


def presample(*, out: str, seed: int) -> None:
    """Make the rehearsal set from the base."""
    from polypath.engines.trl import completion_logps
    from polypath.rehearsal import PresampleSettings
    from polypath.rehearsal.presample import presample as make
    from polypath.tasks import get_task
    from polypath.train.run import resolve_model

    make(
        resolve_model("countdown-base"),
        get_task(TASK),
        out=out,
        completion_logps=completion_logps,
        split="train",
        settings=PresampleSettings(
            k=PRESAMPLE_K,
            threshold=PRESAMPLE_THRESHOLD,
            batch_size=2048,
            precision="float32",
            seed=seed,
        ),
    )


def cool_base(*, temperatures: Sequence[float], num_problems: int, seed: int, out: str) -> None:
    """Measure the base's accuracy at each temperature on dev problems, and write it."""
    from polypath.studies.evaluation import evaluate
    from polypath.train.run import resolve_model

    accuracy = {}
    for temperature in temperatures:
        samples = evaluate(
            resolve_model("countdown-base"),
            task=TASK,
            split="dev",
            num_problems=num_problems,
            num_samples=COOLING_SAMPLES,
            temperature=temperature,
            seed=seed,
        )
        accuracy[str(temperature)] = float(samples.correct_N_S.mean())
    best = max(accuracy, key=lambda key: accuracy[key])
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"best": float(best), "pass@1 on dev": accuracy})


def evaluate_splits(
    *,
    model: str,
    temperature_from: str,
    splits: Mapping[str, tuple[str, int, int]],
    seed: int,
) -> None:
    """Sample one model on every split.

    Args:
        model: folder or name.
        temperature_from: file of ``cool_base``; empty is temperature 1.
        splits: for each split where its samples go, and how many problems and samples.
        seed: of the samples.
    """
    from polypath.studies.evaluation import evaluate
    from polypath.train.run import resolve_model

    temperature = 1.0
    if temperature_from:
        temperature = float(json.loads(Path(temperature_from).read_text())["best"])
    for split, (path, num_problems, num_samples) in splits.items():
        evaluate(
            resolve_model(model),
            task=TASK,
            split=split,
            num_problems=num_problems,
            num_samples=num_samples,
            temperature=temperature,
            seed=seed,
        ).save(Path(path))
