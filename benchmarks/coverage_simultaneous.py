"""How often simultaneous bands, ranks and the interval of a crossing hold the truth, by simulation.

Methods with seeds draw 64 samples of each problem. Prints the table of docs/statistics.md.

    python benchmarks/coverage_simultaneous.py             # some minutes on one core
    python benchmarks/coverage_simultaneous.py --sets 200  # quicker, rougher
"""

import argparse

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from polypath.metrics import (
    find_crossing,
    paired_difference,
    pass_at_k_from_counts,
    rank_means,
    seed_difference,
    simultaneous_band,
)

FloatArray = npt.NDArray[np.float64]

SAMPLES, RESAMPLES, METHODS = 64, 1000, 8
KS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
POPULATION = 200_000
SETTINGS = ((100, 1, 0.0), (300, 1, 0.0), (300, 3, 0.1), (300, 5, 0.1), (300, 5, 0.5))


def drawn_rates(rng: np.random.Generator, size: int) -> FloatArray:
    """Return chances of a correct sample: right in a third, some hardly ever."""
    return np.clip(rng.beta(0.4, 0.8, size), 1e-6, 1 - 1e-6)


def trained(rate: FloatArray) -> FloatArray:
    """Return the rates of a sharper model: right more often, and never on an eighth of the problems."""
    return np.where(rate * 1e6 % 1 < 0.125, 1e-9, rate**0.6)


def with_seeds(rng: np.random.Generator, rate: FloatArray, seeds: int, sd: float) -> FloatArray:
    """Return the rates of each seed. With one seed there is no difference between seeds."""
    if seeds == 1:
        return rate[None]
    shift = rng.normal(0, sd, (seeds, 1)) + rng.normal(0, 0.3, (seeds, len(rate)))
    return np.asarray(expit(logit(rate) + shift))


def curves(rng: np.random.Generator, rate_R_N: FloatArray) -> FloatArray:
    """Return pass@k of drawn samples, ``(R, N, K)``."""
    correct = rng.binomial(SAMPLES, rate_R_N)
    found = pass_at_k_from_counts(np.full(correct.size, SAMPLES), correct.ravel(), KS)
    return found.reshape(*correct.shape, len(KS))


def true_curve(rng: np.random.Generator, seeds: int, sd: float, *, sharper: bool) -> FloatArray:
    """Return the mean pass@k of all problems and seeds that could be drawn."""
    rate = drawn_rates(rng, POPULATION)
    rate = trained(rate) if sharper else rate
    if seeds > 1:  # another shift for each problem: the mean over seeds
        rate = expit(logit(rate) + rng.normal(0, np.hypot(sd, 0.3), len(rate)))
    return np.array([(1 - (1 - rate) ** k).mean() for k in KS])


def held(seeds: int, problems: int, sd: float, sets: int) -> dict[str, float]:
    """Return the shares of data sets in which each interval holds the truth."""
    rng = np.random.default_rng([problems, seeds, round(10 * sd)])
    truth, sharp = (true_curve(rng, seeds, sd, sharper=sharper) for sharper in (False, True))
    gap = sharp - truth
    at = int(np.flatnonzero(np.diff(np.sign(gap)))[0])
    share = gap[at] / (gap[at] - gap[at + 1])
    crosses = float(np.exp(np.interp(at + share, np.arange(len(KS)), np.log(KS))))
    counts = dict.fromkeys(("curve", "difference", "pointwise", "crossing", "ranks"), 0)
    for number in range(sets):
        rate = drawn_rates(rng, problems)
        base = curves(rng, with_seeds(rng, rate, seeds, sd))
        run = curves(rng, with_seeds(rng, trained(rate), seeds, sd))
        options = {"num_resamples": RESAMPLES, "seed": number}
        one, two = simultaneous_band(base, **options), simultaneous_band(run, base, **options)
        if seeds == 1:
            each = paired_difference(run[0], base[0], **options)
            estimate, low, high = each.estimate, each.low, each.high
        else:
            singles = [seed_difference(run[..., k], base[..., k]) for k in range(len(KS))]
            estimate, low, high = np.array([(d.estimate, d.low, d.high) for d in singles]).T
        found = find_crossing(KS, estimate, low, high)
        counts["curve"] += bool(((one.low <= truth) & (truth <= one.high)).all())
        counts["difference"] += bool(((two.low <= gap) & (gap <= two.high)).all())
        counts["pointwise"] += bool(((low <= gap) & (gap <= high)).all())
        counts["crossing"] += bool(found.low <= crosses <= found.high)
        equal = [curves(rng, with_seeds(rng, rate, seeds, sd))[..., 0] for _ in range(METHODS)]
        ranks = rank_means(equal, **options)
        counts["ranks"] += bool(
            (ranks.best_rank == 1).all() and (ranks.worst_rank == METHODS).all()
        )
    return {name: count / sets for name, count in counts.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000, help="data sets per row")
    sets = parser.parse_args().sets
    print(f"{sets} data sets per row, {RESAMPLES} resamples each.\n")
    names = ("band of a curve", "band of a difference", "pointwise", "crossing", "ranks")
    print(f"| problems | seeds | seed sd (logits) | {' | '.join(names)} |")
    print("|---" * 8 + "|")
    for problems, seeds, sd in SETTINGS:
        row = " | ".join(f"{share:.3f}" for share in held(seeds, problems, sd, sets).values())
        print(f"| {problems} | {seeds} | {sd if seeds > 1 else '–'} | {row} |", flush=True)
