"""Small runs written down by hand, and larger ones drawn from known rates."""

from collections.abc import Mapping, Sequence

import numpy as np

from polypath.report.model import Metric, RunAnalysis
from polypath.report.settings import AnalysisSettings
from polypath.rollouts.samples import Samples

FAST = AnalysisSettings(num_resamples=500)


def run_of(
    correct: Mapping[str, Sequence[int | None]],
    *,
    name: str = "run",
    answers: Mapping[str, Sequence[str | None]] | None = None,
    texts: Mapping[str, Sequence[str]] | None = None,
    greedy: Mapping[str, bool | None] | None = None,
) -> Samples:
    """Problem -> verdicts of its samples; answers are their places, unless given."""
    ids = tuple(correct)
    answers = answers or {n: [str(i) for i in range(len(row))] for n, row in correct.items()}
    texts = texts or {n: [f"{n} is {a}" for a in row] for n, row in answers.items()}
    return Samples(
        name=name,
        problem_ids=ids,
        prompts=(None,) * len(ids),
        golds=(None,) * len(ids),
        completions=tuple(tuple(texts[n]) for n in ids),
        correct=tuple(tuple(None if c is None else bool(c) for c in correct[n]) for n in ids),
        answers=tuple(tuple(answers[n]) for n in ids),
        greedy_correct=None if greedy is None else tuple(greedy[n] for n in ids),
    )


def drawn(
    rates_N: Sequence[float], *, num_samples: int = 8, name: str = "run", seed: int = 0
) -> Samples:
    """Samples that are correct with each problem's own chance, with one of four answers."""
    rng = np.random.default_rng(seed)
    correct, answers, texts = {}, {}, {}
    for n, rate in enumerate(rates_N):
        picks = rng.integers(0, 4, size=num_samples)
        correct[f"q{n}"] = (rng.random(num_samples) < rate).tolist()
        answers[f"q{n}"] = [str(pick) for pick in picks]
        texts[f"q{n}"] = [
            f"so x = {pick} + {n}, step {rng.integers(9)} of {rng.integers(9)}" for pick in picks
        ]
    return run_of(correct, name=name, answers=answers, texts=texts)


def value(run: RunAnalysis, key: str) -> Metric:
    metric = run.metric(key)
    assert metric is not None, f"no {key} in {[m.key for m in run.metrics]}"
    return metric


def rates(num_problems: int, shift: float = 0.0) -> list[float]:
    rng = np.random.default_rng(7)
    return np.clip(rng.beta(0.5, 0.8, num_problems) + shift, 0, 1).tolist()
