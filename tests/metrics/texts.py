"""Texts for the agreement tests: random, hand-written, and real ones where the data set is at hand."""

import json
from pathlib import Path

import numpy as np
import pytest

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "math"

SOLUTIONS = [
    r"First, $48/2 = 24$ clips were sold in May. Then $48 + 24 = 72$. The answer is \boxed{72}.",
    "In April she sold 48 clips, and half as many in May: 48 / 2 = 24. Altogether 48 + 24 = 72.",
    "She sold 48 clips, then half of it. Half of 48 is 24. The sum of 48 and 24 is 72.",
    "48 48 48 48",
    "",
    "Don't add: 48 x 1.5 = 72.",
]


def random_group(seed: int) -> list[list[str]]:
    """Draw 2 to 6 texts of up to 14 words out of at most 7, some empty, some copies."""
    rng = np.random.default_rng(seed)
    vocabulary = rng.integers(1, 8)
    rows = [
        [f"w{word}" for word in rng.integers(0, vocabulary, size=rng.integers(0, 15))]
        for _ in range(rng.integers(2, 7))
    ]
    if rng.random() < 0.3:
        rows[0] = list(rows[1])
    return rows


def real_solutions(name: str, number: int) -> list[str]:
    """Read the first solutions of a data set, or skip the test where it is not at hand."""
    path = REAL / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(
            f"the data set {name} is not at hand (looked for shared/data/math beside the repository)"
        )
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(next(lines)) for _ in range(number)]
    return [row.get("solution") or row["answer"] for row in rows]
