"""From settings to the table, the verdicts and the picture."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console

from polypath.metrics.bootstrap import bootstrap_mean, paired_difference
from polypath.metrics.pass_at_k import pass_at_k
from polypath.metrics.solutions import distinct_solutions_at_k
from polypath.report.quickstart import Curve, Row, TrainingCurve, draw, print_tables
from polypath.studies.evaluation import Evaluation
from polypath.studies.jobs import run_jobs
from polypath.studies.quickstart.plan import (
    METHODS,
    SPLITS,
    UPDATES_PER_ROUND,
    QuickstartSettings,
    label,
    plan,
)
from polypath.train.callbacks import read_log

KS = (1, 4, 16, 64)


def quickstart(settings: QuickstartSettings, *, console: Console | None = None) -> list[Row]:
    """Train and evaluate what is missing, print the tables, and draw the picture.

    Interrupted, it goes on where it was. Everything lies in ``settings.out``; the picture is
    ``quickstart.png`` in it.

    Returns:
        The rows of the table, base first.

    Raises:
        JobFailed: a job failed; what was done stays done.
    """
    console = console or Console()
    if not console.is_terminal:  # a log file has no 80 columns to keep to
        console = Console(width=120)
    started = time.monotonic()
    console.print(
        f"Training {len(settings.methods)} small models from the shipped base, {settings.steps} rounds "
        f"of 512 completions each, {settings.workers} at a time. Everything goes to {settings.out}."
    )
    timings = run_jobs(
        plan(settings),
        workers=settings.workers,
        log=settings.out / "workers.log",
        timings=settings.out / f"seconds-steps={settings.steps}-seed={settings.seed}.json",
        console=console,
    )
    evaluations = _load(settings)
    rows = [
        _row(name, split, evaluations[name, split], timings)
        for split in SPLITS
        for name in _names(settings)
    ]
    print_tables(console, rows, SPLITS)
    for line in verdicts(evaluations, settings):
        console.print(line, soft_wrap=True, highlight=False)
    picture = settings.out / "quickstart.png"
    draw(
        [_curve(name, evaluations[name, "test"]) for name in _names(settings)],
        [_training_curve(settings, name) for name in settings.methods],
        picture,
    )
    console.print(f"Picture: {picture} ({time.monotonic() - started:.0f} s in all)")
    return rows


def _names(settings: QuickstartSettings) -> list[str]:
    return ["base", "base_cooled", *settings.methods]


def _load(settings: QuickstartSettings) -> dict[tuple[str, str], Evaluation]:
    found = {}
    for split in SPLITS:
        for name in _names(settings):
            cooled = name == "base_cooled"
            path = settings.evaluation_file(
                "base" if cooled else name, split, temperature="best" if cooled else "1"
            )
            found[name, split] = Evaluation.load(path)
    return found


def _row(name: str, split: str, samples: Evaluation, timings: Mapping[str, float]) -> Row:
    values_N_C = np.column_stack(
        [
            pass_at_k(samples.correct_N_S, KS),
            distinct_solutions_at_k(samples.solutions_N_S, samples.correct_N_S, [max(KS)]),
        ]
    )
    interval = bootstrap_mean(values_N_C, seed=0)
    return Row(
        method=label(name),
        split=split,
        ks=KS,
        estimate=tuple(interval.estimate.tolist()),
        low=tuple(interval.low.tolist()),
        high=tuple(interval.high.tolist()),
        entropy=samples.entropy,
        seconds=timings.get(f"train {label(name)}", float("nan")),
    )


def _curve(name: str, samples: Evaluation) -> Curve:
    num_samples = samples.correct_N_S.shape[1]
    ks = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= num_samples]
    interval = bootstrap_mean(pass_at_k(samples.correct_N_S, ks), seed=0)
    return Curve(
        label=label(name),
        ks=tuple(ks),
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
    )


def _training_curve(settings: QuickstartSettings, name: str) -> TrainingCurve:
    lines = [
        line
        for line in read_log(settings.train_folder(name) / "log.jsonl")
        if "diversity/accuracy" in line
    ]

    def column(key: str) -> tuple[float, ...]:
        return tuple(float(line.get(key) or "nan") for line in lines)

    return TrainingCurve(
        label=METHODS[name].label,
        rounds=tuple(line["step"] / UPDATES_PER_ROUND for line in lines),
        accuracy=column("diversity/accuracy"),
        entropy=column("entropy"),
        distinct=column("diversity/distinct_correct"),
    )


def verdicts(
    evaluations: Mapping[tuple[str, str], Evaluation], settings: QuickstartSettings
) -> list[str]:
    """Return what the held-out problems say, each with its paired 95 % interval."""
    lines = ["", "On held-out problems, paired by problem (95 % interval over problems):"]
    pairs = [("grpo", "base_cooled"), ("grpo", "base")]
    pairs += [(name, "grpo") for name in settings.methods if name != "grpo"]
    for name, other in pairs:
        a, b = evaluations[name, "test"], evaluations[other, "test"]
        change = paired_difference(
            pass_at_k(a.correct_N_S, [1, 64]), pass_at_k(b.correct_N_S, [1, 64]), seed=0
        )
        distinct = paired_difference(
            distinct_solutions_at_k(a.solutions_N_S, a.correct_N_S, [64])[:, 0],
            distinct_solutions_at_k(b.solutions_N_S, b.correct_N_S, [64])[:, 0],
            seed=0,
        )
        parts = [
            f"{what} {_signed(estimate)} [{_signed(low)}, {_signed(high)}]"
            for what, estimate, low, high in (
                ("pass@1", change.estimate[0], change.low[0], change.high[0]),
                ("pass@64", change.estimate[1], change.low[1], change.high[1]),
                ("distinct", distinct.estimate, distinct.low, distinct.high),
            )
        ]
        lines.append(f"  {label(name)} against {label(other)}: {', '.join(parts)}")
    return lines


def _signed(value: Any) -> str:
    return f"{float(value):+.3f}"
