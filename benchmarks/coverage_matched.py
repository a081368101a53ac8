"""How often the 95 % interval of a matched difference holds the truth, by simulation.

A reference is trained from a base through checkpoints that raise pass@1 and sharpen it: easy problems
gain more than hard ones. A method ends somewhere between, or beyond. Each seed of a training moves all
problems, more at later checkpoints, and each problem a little on its own. The truth is the matched
difference of the means over very many problems and seeds. Prints the table of docs/statistics.md.

    python benchmarks/coverage_matched.py             # some minutes on one core
    python benchmarks/coverage_matched.py --sets 200  # quicker, rougher
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from polypath.metrics import matched_difference, pass_at_k_from_counts, seed_difference

FloatArray = npt.NDArray[np.float64]

SAMPLES, K = 32, 16
RESAMPLES = 2000
OWN = 0.3  # what a seed does to each problem by itself, in logits
# Factor and shift of the base's logits: the base, then checkpoints.
RISING = ((1.0, 0.0), (1.05, 0.6), (1.15, 1.2), (1.3, 1.8), (1.5, 2.4))
FLAT_END = ((1.0, 0.0), (1.1, 0.7), (1.3, 1.2), (1.5, 1.3), (1.8, 1.45))
METHODS = {
    "early": (RISING, (1.0, 0.3)),
    "late": (RISING, (1.1, 1.5)),
    "at a checkpoint": (RISING, (1.15, 1.2)),
    "on a flat end": (FLAT_END, (1.1, 0.95)),
    "at its end": (RISING, (1.5, 2.4)),
    "above": (RISING, (1.2, 2.8)),
}


@dataclass(frozen=True)
class World:
    """What data sets are drawn from."""

    curve: tuple[tuple[float, float], ...]
    method: tuple[float, float]
    spread: float

    def rates(
        self, rng: np.random.Generator, problems: int, seeds: int, *, apart: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """Chances of a right sample, method ``(S, N)`` and reference ``(S, C, N)``.

        ``apart`` gives each problem a seed of its own, for the same means with less noise.
        """
        base_N = logit(np.clip(rng.beta(0.5, 1.0, size=problems), 1e-4, 1 - 1e-4))
        moved_2_R_N = rng.normal(0, self.spread, size=(2, seeds, problems if apart else 1))
        moved_2_R_N = moved_2_R_N + rng.normal(0, OWN, size=(2, seeds, problems))
        # The base has no seeds; the checkpoints of a run are moved alike, the later the more.
        grown = np.linspace(0, 1, len(self.curve))
        reference = [
            expit(factor * base_N + shift + share * moved_2_R_N[1])
            for (factor, shift), share in zip(self.curve, grown, strict=True)
        ]
        return expit(self.method[0] * base_N + self.method[1] + moved_2_R_N[0]), np.stack(
            reference, axis=1
        )

    def truth(self) -> tuple[float, str]:
        """The matched difference of 3 million problems, and where it lies."""
        method, reference = self.rates(np.random.default_rng(0), 3_000_000, 1, apart=True)
        p, q = reference[0].mean(axis=1), (1 - (1 - reference[0]) ** K).mean(axis=1)
        m, y = float(method.mean()), float((1 - (1 - method) ** K).mean())
        reached = np.flatnonzero(p >= m)
        if not reached.size:
            return y - float(q[p.argmax()]), "above"
        c = int(reached[0])
        share = (m - p[c - 1]) / (p[c] - p[c - 1])
        return y - float((1 - share) * q[c - 1] + share * q[c]), f"{c - 1 + share:.2f}"

    def data_sets(
        self, rng: np.random.Generator, problems: int, seeds: int, number: int
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Measured pass@1 and pass@16, method ``(2, S, N)`` and reference ``(2, S, C, N)``."""
        for _ in range(number):
            method, reference = self.rates(rng, problems, seeds)
            base = rng.binomial(SAMPLES, reference[0, 0])
            counts = rng.binomial(SAMPLES, reference)
            counts[:, 0] = base  # sampled once, for all seeds
            yield measured(rng.binomial(SAMPLES, method)), measured(counts)


def measured(counts: npt.NDArray[np.int64]) -> FloatArray:
    found = pass_at_k_from_counts(np.full(counts.size, SAMPLES), counts.ravel(), [1, K])
    return np.moveaxis(found.reshape(*counts.shape, 2), -1, 0)


def intervals(method: FloatArray, reference: FloatArray, seed: int) -> dict[str, FloatArray]:
    """The interval, and three that are simpler: of matched_difference's match, ``[low, high]``."""
    found = matched_difference(
        method[0], method[1], reference[0], reference[1], num_resamples=RESAMPLES, seed=seed
    )
    place = found.step  # without steps: between 0 and the last checkpoint
    left = min(int(place), reference.shape[2] - 2)
    share = place - left
    stopped = (1 - share) * reference[:, :, left] + share * reference[:, :, left + 1]
    rise = (reference[:, :, left + 1] - reference[:, :, left]).mean(axis=(1, 2))
    slope = 0.0 if found.outside or not rise[0] else rise[1] / rise[0]
    linear = seed_difference(method[1] - slope * method[0], stopped[1] - slope * stopped[0])
    held = seed_difference(method[1], stopped[1])
    fixed = matched_difference(
        *(v.mean(axis=0, keepdims=True) for v in (*method, *reference)),
        num_resamples=RESAMPLES,
        seed=seed,
    )
    return {
        "matched_difference": np.array([found.low, found.high]),
        "linear approximation": np.array([linear.low, linear.high]),
        "match held fixed": np.array([held.low, held.high]),
        "problems only": np.array([fixed.low, fixed.high]),
        "outside": np.array([bool(found.outside), found.outside_share]),
    }


def print_table(sets: int, ends: Sequence[str]) -> None:
    names = ["matched_difference", "linear approximation", "match held fixed", "problems only"]
    print(f"{sets} data sets per row, {RESAMPLES} resamples each.\n")
    print("| method ends | checkpoint | seeds | seed sd | problems | true difference |", end="")
    print(" half width | " + " | ".join(names) + " | outside |\n" + "|---" * 12 + "|")
    for name in ends:
        curve, method = METHODS[name]
        for seeds, spread, problems in SETTINGS:
            world = World(curve, method, spread)
            truth, place = world.truth()
            rng = np.random.default_rng([seeds, round(100 * spread), problems])
            sets_of = world.data_sets(rng, problems, seeds, sets)
            got = [intervals(*data, seed=i % 20) for i, data in enumerate(sets_of)]
            held = {n: np.mean([g[n][0] <= truth <= g[n][1] for g in got]) for n in names}
            half = np.median([np.diff(g["matched_difference"])[0] / 2 for g in got])
            outside = np.mean([g["outside"][0] for g in got])
            print(
                f"| {name} | {place} | {seeds} | {spread} | {problems} | {truth:+.3f} | {half:.3f} | "
                + " | ".join(f"{held[n]:.3f}" for n in names)
                + f" | {outside:.2f} |",
                flush=True,
            )


SETTINGS = (
    (1, 0.0, 300),
    (2, 0.1, 300),
    (3, 0.1, 300),
    (5, 0.1, 100),
    (5, 0.1, 300),
    (5, 0.3, 300),
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000, help="data sets per row")
    parser.add_argument("--ends", nargs="+", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    print_table(arguments.sets, arguments.ends)
