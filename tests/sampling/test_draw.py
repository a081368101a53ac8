import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from polypath.sampling.draw import StreamSampler, uniforms
from polypath.sampling.settings import SamplingSettings

CPU = torch.device("cpu")


def draw(logits: torch.Tensor, count: int, **options: float) -> np.ndarray:
    """Draw the first token of ``count`` samples from one row of logits."""
    sampler = StreamSampler(
        [("p", n) for n in range(count)],
        prompt_length=0,
        settings=SamplingSettings(max_new_tokens=1, **options),  # type: ignore[arg-type]
        device=CPU,
    )
    empty = torch.zeros(count, 0, dtype=torch.long)
    return sampler(empty, logits.expand(count, -1)).argmax(dim=-1).numpy()


def stream(seed: int, problem_id: str, sample_id: int, count: int) -> np.ndarray:
    return uniforms(seed, [(problem_id, sample_id)], count)[0]


def test_a_stream_is_philox_keyed_by_a_hash() -> None:
    """Stored samples are made again by it, so its numbers must never change."""
    keys = [("p", 0), ("p", 1), ("q é", 12)]
    for key, numbers in zip(keys, uniforms(3, keys, 9), strict=True):
        text = f"3\0{key[0]}\0{key[1]}".encode()
        digest = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")
        raw = np.random.Philox(key=digest).random_raw(9)
        assert (numbers == (raw >> np.uint64(11)) * 2.0**-53).all()
    assert stream(0, "p", 0, 1)[0] == 0.09831919641761988


def test_a_stream_is_a_function_of_seed_problem_and_sample() -> None:
    first = stream(0, "p", 0, 8)
    assert (stream(0, "p", 0, 8) == first).all()
    for other in ((1, "p", 0), (0, "q", 0), (0, "p", 1)):
        assert (stream(*other, 8) != first).all()


def test_a_stream_does_not_depend_on_its_neighbours() -> None:
    together = uniforms(0, [("q", 5), ("p", 1), ("p", 0)], 7)
    assert (together[2] == stream(0, "p", 0, 7)).all()
    assert uniforms(0, [], 7).shape == (0, 7)


def test_a_longer_stream_starts_with_the_shorter() -> None:
    assert (stream(3, "p", 1, 100)[:7] == stream(3, "p", 1, 7)).all()


def test_ids_that_run_together_do_not_share_a_stream() -> None:
    assert (stream(0, "p1", 1, 4) != stream(0, "p", 11, 4)).all()


def test_streams_are_uniform_along_and_across_samples() -> None:
    along = stream(0, "p", 0, 20_000)
    across = uniforms(0, [(f"p{n}", n % 8) for n in range(20_000)], 1)[:, 0]
    for numbers in (along, across):
        assert stats.kstest(numbers, "uniform").pvalue > 1e-3
        assert numbers.min() >= 0
        assert numbers.max() < 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_follow_the_softmax_at_the_temperature(temperature: float) -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -torch.inf])
    tokens = draw(logits, 20_000, temperature=temperature)
    expected = (logits.double() / temperature).softmax(dim=-1).numpy()
    counts = np.bincount(tokens, minlength=5)
    assert counts[4] == 0
    result = stats.chisquare(counts[:4], expected[:4] * len(tokens))
    assert result.pvalue > 1e-3


def test_temperature_zero_takes_the_likeliest() -> None:
    assert set(draw(torch.tensor([0.0, 0.2, 0.1]), 50, temperature=0.0)) == {1}


def test_top_k_and_top_p_keep_what_transformers_keeps() -> None:
    logits = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()
    assert set(draw(logits, 500, top_k=2)) == {0, 1}
    assert set(draw(logits, 500, top_p=0.8)) == {0, 1, 2}
    assert set(draw(logits, 500)) == {0, 1, 2, 3}


@given(
    st.lists(st.floats(-30, 30) | st.just(float("-inf")), min_size=2, max_size=40),
    st.integers(0, 1000),
)
@settings(max_examples=60)
def test_a_token_of_probability_zero_is_never_drawn(values: list[float], sample: int) -> None:
    values = [*values, 0.0, float("-inf")]
    logits = torch.tensor(values)
    sampler = StreamSampler(
        [("p", sample)], prompt_length=0, settings=SamplingSettings(max_new_tokens=1), device=CPU
    )
    for uniform in (None, 0.0, 1 - 2.0**-53):
        if uniform is not None:
            sampler._uniform_B_T[:] = uniform
        scores = sampler(torch.zeros(1, 0, dtype=torch.long), logits[None])
        token = int(scores.argmax())
        assert scores[0, token] == 0
        assert torch.isneginf(scores[0]).sum() == len(values) - 1
        assert logits[token] > -torch.inf
