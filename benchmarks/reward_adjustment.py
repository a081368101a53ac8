"""What reward adjustment costs by itself: from features to advantages, for many groups at once.

P prompts with G completions each; D is the width of the embeddings, or the tokens of a completion. The
reference, in turns with the rest, is the bare product of all pairs (``torch.bmm`` of P x G x D float32
with itself), which no cosine similarity can be below. One thread, process time.

    python benchmarks/reward_adjustment.py --out benchmarks/results/reward_adjustment.json
    python benchmarks/reward_adjustment.py --shrink 16 --repeats 1   # a try
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from machine import environment
from results_file import at_most, finish, in_turns, parser, ratio, spread

from polypath.objectives import AdvantageConfig, DRAConfig, adjust_rewards, group_advantages
from polypath.objectives.dra import MUTUAL_INFORMATION
from polypath.similarity import Completions, get_similarity
from polypath.similarity.cosine import cosine_matrix, unit_rows


class Shape(NamedTuple):
    P: int
    G: int
    D: int


LARGEST = Shape(512, 64, 1024)
OTHERS = (("answer", LARGEST), ("ngram", Shape(512, 64, 300)))
SHAPES = (Shape(8, 8, 384), Shape(64, 16, 384), Shape(512, 16, 1024), LARGEST)
SWEEPS = {
    "P": [Shape(p, 64, 1024) for p in (32, 64, 128, 256, 512)],
    "G": [Shape(64, g, 1024) for g in (16, 32, 64, 128, 256)],
    "D": [Shape(128, 64, d) for d in (128, 256, 512, 1024, 2048)],
}
# What the largest term of the operation count grows as; smaller terms make measured growth slower.
EXPECTED = {
    "graph_cut": {"P": 1, "G": 2, "D": 1},
    "facility_location": {"P": 1, "G": 2, "D": 1},
    "log_det": {"P": 1, "G": 3, "D": 1},
}
BAR_SECONDS = 1.0


def embeddings(shape: Shape) -> torch.Tensor:
    """Vectors with a common direction, as sentences of one topic have: cosines near 1/2."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape.P * shape.G, shape.D, generator=generator) + 1


def token_ids(shape: Shape) -> list[list[int]]:
    """Tokens by Zipf's law, every group a text of its own with a tenth of the words replaced."""
    rng = np.random.default_rng(0)
    base = rng.zipf(1.3, size=(shape.P, 1, shape.D)) % 5000
    other = rng.zipf(1.3, size=(shape.P, shape.G, shape.D)) % 5000
    replaced = rng.random((shape.P, shape.G, shape.D)) < 0.1
    rows = np.where(replaced, other, base).reshape(-1, shape.D)
    result: list[list[int]] = rows.tolist()
    return result


def completions(shape: Shape, ids: list[list[int]]) -> Completions:
    texts = [""] * (shape.P * shape.G)
    return Completions(
        texts=texts, token_ids=ids, solutions=[str(i % 7) for i in range(len(texts))]
    )


def adjust(kind: str, rewards: torch.Tensor, similarity: torch.Tensor) -> torch.Tensor:
    config = DRAConfig(mutual_information=kind)  # type: ignore[arg-type]  # checked inside
    return group_advantages(AdvantageConfig(), adjust_rewards(config, rewards, similarity))


def stages(name: str, shape: Shape, repeats: int, *, copied: bool = False) -> dict[str, Any]:
    """Time features, matrix and each adjustment of one similarity, in turns with the reference."""
    features_of, matrix_of, product = steps_of(name, shape, copied)
    features = features_of()
    similarity = matrix_of(features)
    rewards = torch.rand(shape.P, shape.G, generator=torch.Generator().manual_seed(1))
    calls: dict[str, Callable[[], Any]] = {
        "reference": product,
        "features": features_of,
        "matrix": lambda: matrix_of(features),
        **{
            kind: lambda kind=kind: adjust(kind, rewards, similarity) for kind in MUTUAL_INFORMATION
        },
    }
    for call in calls.values():  # warm
        call()
    times = dict(zip(calls, in_turns(list(calls.values()), repeats), strict=True))
    row: dict[str, Any] = {"similarity": name, **shape._asdict(), "copied": copied}
    row |= {f"{stage}_seconds": spread(taken) for stage, taken in times.items()}
    for kind in MUTUAL_INFORMATION:
        whole = np.sum([times["features"], times["matrix"], times[kind]], axis=0)
        row[f"{kind}_whole_seconds"] = spread(whole)
        row[f"{kind}_whole_ratio"] = ratio(whole, times["reference"])
    return row


def steps_of(
    name: str, shape: Shape, copied: bool
) -> tuple[Callable[[], Any], Callable[[Any], torch.Tensor], Callable[[], Any]]:
    """Return what makes features, what makes the matrix from them, and the bare product."""
    vectors = copies(shape) if copied else embeddings(shape)
    blocks = vectors.reshape(shape.P, shape.G, shape.D)

    def product() -> torch.Tensor:
        return torch.bmm(blocks, blocks.mT)

    if name == "cosine":
        nothing_empty = [False] * len(vectors)
        return (
            lambda: unit_rows(vectors, nothing_empty, "x"),
            lambda features: cosine_matrix(features, shape.G),
            product,
        )
    measure = get_similarity(name)
    ids = token_ids(shape) if name == "ngram" else [[1]] * shape.P * shape.G
    rows = completions(shape, ids)
    return (
        lambda: measure.features(rows),
        lambda features: measure.matrix(features, shape.G),
        product,
    )


def copies(shape: Shape) -> torch.Tensor:
    """Every completion three times more, so that log_det has eigenvalues to raise."""
    vectors = embeddings(shape).reshape(shape.P, shape.G, shape.D)
    vectors = vectors[:, : shape.G // 4].repeat(1, 4, 1).reshape(-1, shape.D)
    return vectors * (torch.rand(len(vectors), 1, generator=torch.Generator().manual_seed(2)) + 0.5)


def slope(sizes: list[int], seconds: list[float]) -> float:
    """Return the exponent of a power law, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def exponents(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return growth with each size: of the whole, of the adjustment alone, of its last doubling."""
    found = []
    for kind in MUTUAL_INFORMATION:
        for axis in SWEEPS:
            swept = [row for row in rows if row.get("sweep") == axis]
            sizes = [row[axis] for row in swept]
            whole = [row[f"{kind}_whole_seconds"][1] for row in swept]
            alone = [row[f"{kind}_seconds"][1] for row in swept]
            found.append(
                {
                    "exponent": kind,
                    "size": axis,
                    "operations": EXPECTED[kind][axis],
                    "whole": slope(sizes, whole),
                    "whole_last": slope(sizes[-2:], whole[-2:]),
                    "adjustment": slope(sizes, alone),
                    "adjustment_last": slope(sizes[-2:], alone[-2:]),
                }
            )
    return found


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--repeats", type=int, default=7)
    made.add_argument("--shrink", type=int, default=1, help="divide P and D by this")
    options = made.parse_args()
    machine = environment("torch", "numpy", "scipy")
    torch.set_num_threads(1)

    def small(shape: Shape) -> Shape:
        return Shape(max(2, shape.P // options.shrink), shape.G, max(8, shape.D // options.shrink))

    rows = [stages("cosine", small(shape), options.repeats) for shape in SHAPES]
    rows += [stages("cosine", small(LARGEST), options.repeats, copied=True)]
    rows += [stages(name, small(shape), options.repeats) for name, shape in OTHERS]
    bars = [
        at_most(
            f"{row['similarity']}, {row['P']} x {row['G']} x {row['D']}, {kind}"
            + (", every completion copied" if row["copied"] else "")
            + ": seconds",
            row[f"{kind}_whole_seconds"][1],
            BAR_SECONDS,
        )
        for row in rows
        if row["similarity"] == "cosine" and (row["P"], row["G"], row["D"]) == small(LARGEST)
        for kind in MUTUAL_INFORMATION
    ]
    for axis, shapes in SWEEPS.items():
        rows += [
            {"sweep": axis, **stages("cosine", small(shape), options.repeats)} for shape in shapes
        ]
    finish(
        options.out,
        benchmark="reward_adjustment",
        environment=machine,
        settings={"repeats": options.repeats, "shrink": options.shrink},
        rows=rows + exponents(rows),
        bars=bars,
    )


if __name__ == "__main__":
    main()
