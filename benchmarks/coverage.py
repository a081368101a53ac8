"""How often the 95 % intervals hold the truth, by simulation from known rates.

Every problem gets a chance of a correct sample drawn from a Beta distribution; samples are drawn from
it; the interval of the mean, and of the paired difference to a changed model, either holds the
true value or does not. Prints the tables of docs/statistics.md.

    python benchmarks/coverage.py             # everything, some minutes on one core
    python benchmarks/coverage.py --sets 500  # quicker, rougher
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from polypath.metrics import (
    bootstrap_mean,
    effective_problems,
    paired_difference,
    pass_at_k_from_counts,
    seed_difference,
)

FloatArray = npt.NDArray[np.float64]

PROBLEMS = (20, 100, 500)
SAMPLES = (8, 64)
KS = (1, 4, 8)
RATES = {"mixed": (0.3, 0.6), "even": (1.0, 1.0), "hard": (0.3, 2.0), "nearly solved": (2.0, 0.3)}
RESAMPLES = 2000
BATCH = 500  # data sets that share one set of resamples


def changed(rate: FloatArray, better: npt.NDArray[np.bool_] | bool) -> FloatArray:
    """Rates of the other model: half of the problems got easier, half a little harder."""
    return np.where(better, rate**0.6, rate**1.2)


def pass_rate(rate: FloatArray, k: int) -> FloatArray:
    return 1 - (1 - rate) ** k


def truths(a: float, b: float, k: int) -> tuple[float, float]:
    """True pass@k, and true difference of the changed model, by the quantiles of the rates."""
    rate = beta.ppf((np.arange(400_000) + 0.5) / 400_000, a, b)
    after = (pass_rate(changed(rate, True), k) + pass_rate(changed(rate, False), k)) / 2
    return float(pass_rate(rate, k).mean()), float((after - pass_rate(rate, k)).mean())


def estimates(rng: np.random.Generator, rate: FloatArray, samples: int) -> FloatArray:
    """pass@k of samples drawn at these rates, ``(N, D, K)``."""
    correct = rng.binomial(samples, rate)
    found = pass_at_k_from_counts(np.full(correct.size, samples), correct.ravel(), KS)
    return found.reshape(*correct.shape, len(KS))


def cell(a: float, b: float, problems: int, samples: int, sets: int) -> dict[str, FloatArray]:
    """Shares of data sets, by k, for one setting."""
    truth = np.array([truths(a, b, k) for k in KS])
    found: dict[str, list[FloatArray]] = {}
    for batch in range(max(1, sets // BATCH)):
        rng = np.random.default_rng([batch, problems, samples, round(10 * a)])
        rate = rng.beta(a, b, size=(problems, BATCH))
        base = estimates(rng, rate, samples)
        after = estimates(rng, changed(rate, rng.random(rate.shape) < 0.5), samples)
        again = estimates(rng, rate, samples)
        mean = bootstrap_mean(base, num_resamples=RESAMPLES, seed=batch)
        change = paired_difference(after, base, num_resamples=RESAMPLES, seed=batch)
        null = paired_difference(again, base, num_resamples=RESAMPLES, seed=batch)
        parts: dict[str, npt.NDArray[Any]] = {
            "mean": (mean.low <= truth[:, 0] + 1e-9) & (mean.high >= truth[:, 0] - 1e-9),
            "difference": (change.low <= truth[:, 1]) & (change.high >= truth[:, 1]),
            "false alarms": null.p_value < 0.05,
            "effective": effective_problems(base),
            "effective difference": effective_problems(after - base),
        }
        for name, values in parts.items():
            found.setdefault(name, []).append(
                np.median(values, axis=0) if "eff" in name else values.mean(axis=0)
            )
    return {name: np.mean(values, axis=0) for name, values in found.items()}


def print_coverage(sets: int) -> None:
    print(f"{sets} data sets per row, {RESAMPLES} resamples each.\n")
    print("| rates | problems | samples | k | true pass@k | effective | pass@k held |", end="")
    print(" true difference | effective | difference held | false alarms |")
    print("|---" * 11 + "|")
    for name, (a, b) in RATES.items():
        for problems in PROBLEMS:
            for samples in SAMPLES:
                got = cell(a, b, problems, samples, sets)
                for i, k in enumerate(KS):
                    true_mean, true_change = truths(a, b, k)
                    print(
                        f"| {name} | {problems} | {samples} | {k} | {true_mean:.3f} "
                        f"| {got['effective'][i]:.0f} | {got['mean'][i]:.3f} | {true_change:+.3f} "
                        f"| {got['effective difference'][i]:.0f} | {got['difference'][i]:.3f} "
                        f"| {got['false alarms'][i]:.3f} |",
                        flush=True,
                    )


def resampled_both(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile interval from resampling seeds of each method and problems at the same time."""
    seeds, problems = a.shape
    drawn = rng.multinomial(problems, [1 / problems] * problems, size=RESAMPLES) / problems
    means = []
    for values in (a, b):
        times = rng.multinomial(seeds, [1 / seeds] * seeds, size=RESAMPLES) / seeds
        means.append(((times @ values) * drawn).sum(axis=1))
    low, high = np.quantile(means[0] - means[1], [0.025, 0.975])
    return float(low), float(high)


def print_seeds(sets: int) -> None:
    """Two equally good methods, whose seeds differ: the true difference is 0."""
    by: dict[str, Callable[[FloatArray, FloatArray, np.random.Generator], tuple[float, float]]] = {
        "seed_difference": lambda a, b, _: (seed_difference(a, b).low, seed_difference(a, b).high),
        "problems and seeds resampled": resampled_both,
        "problems only": lambda a, b, _: _problems_only(a, b),
    }
    print(f"\n{sets} data sets per row. 100 problems, 16 samples, pass@1, rates Beta(0.3, 0.6).\n")
    print("| seeds per method | seed sd (logits) | " + " | ".join(by) + " |\n" + "|---" * 5 + "|")
    for seeds in (2, 3, 5):
        for spread in (0.1, 0.5):
            rng = np.random.default_rng([seeds, round(10 * spread)])
            held = dict.fromkeys(by, 0)
            for _ in range(sets):
                rate = np.clip(rng.beta(0.3, 0.6, size=100), 1e-6, 1 - 1e-6)
                logit = np.log(rate / (1 - rate))
                # A seed moves all problems, and each problem a little on its own.
                shift = rng.normal(0, spread, (2, seeds, 1)) + rng.normal(0, 0.3, (2, seeds, 100))
                values = rng.binomial(16, 1 / (1 + np.exp(-logit - shift))) / 16
                for name, interval in by.items():
                    low, high = interval(values[0], values[1], rng)
                    held[name] += low <= 0 <= high
            row = " | ".join(f"{count / sets:.3f}" for count in held.values())
            print(f"| {seeds} | {spread} | {row} |", flush=True)


def _problems_only(a: FloatArray, b: FloatArray) -> tuple[float, float]:
    got = paired_difference(a.mean(axis=0), b.mean(axis=0), num_resamples=RESAMPLES)
    return float(got.low), float(got.high)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=4000, help="data sets per row")
    sets = parser.parse_args().sets
    print_coverage(sets)
    print_seeds(min(sets, 2000))
