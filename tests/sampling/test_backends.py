"""What every backend does alike: the same tests on transformers, vLLM and a server.

vLLM is a stand-in, and where it is installed the real engine, too."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from polypath.errors import ConfigError
from polypath.rollouts.key_index import Key, KeyIndex
from polypath.rollouts.locks import Part
from polypath.sampling import transformers
from polypath.sampling.collect import Draw
from polypath.sampling.completion import Completion
from polypath.sampling.loading import load_model
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings, ServerSettings, VllmSettings
from polypath.tasks.base import Problem
from tests.sampling.server import Behaviour, serving
from tests.tiny import save_tiny_model

PROBLEMS = [
    Problem(
        problem_id=f"p{n}",
        prompt=[{"role": "user", "content": f"solve {n} + 1"}] if n % 2 else "solve 1 + " * n + "=",
        gold=str(n),
    )
    for n in range(1, 6)
]
SETTINGS = SamplingSettings(max_new_tokens=12, batch_size=6)
ALL = {(p.problem_id, n) for p in PROBLEMS for n in range(4)}


@dataclass
class Drawing:
    """A backend to be tested."""

    sample: Draw
    tokenizer: Any = None
    model: Any = None

    def batches(self, done: Iterable[Key] = (), **asked: Any) -> list[list[Completion]]:
        asked = {"problems": PROBLEMS, "num_samples": 4, "settings": SETTINGS, **asked}
        return list(self.sample(DrawRequest(done=KeyIndex(done), **asked)))

    def __call__(self, **asked: Any) -> dict[Key, Completion]:
        drawn = [c for batch in self.batches(**asked) for c in batch]
        found = {(c.problem.problem_id, c.sample_id): c for c in drawn}
        assert len(found) == len(drawn), "a sample came twice"
        return found


@pytest.fixture(scope="module", params=["transformers", "real vllm", "vllm", "server"])
def backend(
    request: pytest.FixtureRequest,
    tiny: tuple[Any, Any],
    tiny_model_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Drawing]:
    if request.param == "transformers":
        yield Drawing(partial(transformers.sample, *tiny), tiny[1], tiny[0])
    elif request.param == "real vllm":
        request.getfixturevalue("real_vllm")
        folder = tmp_path_factory.mktemp("tiny")
        save_tiny_model(folder, hidden=64)  # the engine knows heads of 32 numbers, not of 16
        loaded = load_model(folder, dtype=torch.float32, device=torch.device("cpu"))
        yield from vllm_backend(folder, *loaded)
    elif request.param == "vllm":
        request.getfixturevalue("vllm_stand_in")
        yield from vllm_backend(tiny_model_dir, *tiny)
    else:
        from polypath.sampling.openai import sample

        with serving(Behaviour()) as url:
            settings = ServerSettings(base_url=url, model="m", choices_per_request=3)
            yield Drawing(partial(sample, settings))


def vllm_backend(folder: Path, model: Any, tokenizer: Any) -> Iterator[Drawing]:
    from polypath.sampling.vllm import open_engine, sample

    ends = transformers.end_token_ids(model, tokenizer)
    settings = VllmSettings(dtype="float32", gpu_memory_utilization=0.3, enforce_eager=True)
    with open_engine(folder, settings, end_ids=ends) as engine:
        yield Drawing(partial(sample, engine, tokenizer), tokenizer, model)


@pytest.fixture
def seeded(backend: Drawing) -> Drawing:
    """Return a backend that draws tokens here, from seeds."""
    if backend.model is None:
        pytest.skip("a server draws as it likes, and tells no tokens")
    return backend


def test_every_sample_is_drawn_once(backend: Drawing) -> None:
    assert set(backend()) == ALL


def test_batches_are_no_larger_than_asked(backend: Drawing) -> None:
    sizes = [len(batch) for batch in backend.batches()]
    assert sum(sizes) == 20
    # A server answers several samples at once, and an answer is not taken apart.
    assert max(sizes) == 6 or (backend.model is None and max(sizes) < 6 + 3)


def test_what_is_done_is_left_out_and_numbers_start_where_told(backend: Drawing) -> None:
    done = {("p1", 0), ("p3", 2), ("p3", 3), *((p.problem_id, 1) for p in PROBLEMS)}
    assert set(backend(done=done)) == ALL - done
    later = backend(first_sample_id=7, num_samples=2)
    assert set(later) == {(p.problem_id, n) for p in PROBLEMS for n in (7, 8)}
    assert backend(done=ALL) == {}


@pytest.mark.parametrize("of", [2, 3, 7])
@pytest.mark.parametrize("done", [frozenset(), frozenset({("p1", 0), ("p5", 3)})])
def test_parts_share_all_samples_whatever_is_done(
    backend: Drawing, of: int, done: frozenset[Key]
) -> None:
    parts = [set(backend(part=Part(rank, of), done=done)) for rank in range(of)]
    assert set().union(*parts) == ALL - done
    assert all(not a & b for a, b in itertools.combinations(parts, 2))
    whole = [set(backend(part=Part(rank, of))) - done for rank in range(of)]
    assert parts == whole, "whose a sample is may not depend on what is done"


def test_two_problems_of_one_id_and_no_samples_are_refused(backend: Drawing) -> None:
    with pytest.raises(ConfigError, match="problem_id"):
        backend(problems=[PROBLEMS[0], PROBLEMS[0]])
    with pytest.raises(ConfigError, match=r"num_samples.*0"):
        backend(num_samples=0)


def test_problem_and_gold_are_those_asked(backend: Drawing) -> None:
    found = backend()
    assert {c.problem.problem_id: c.problem for c in found.values()} == {
        p.problem_id: p for p in PROBLEMS
    }


def test_samples_do_not_depend_on_what_was_done_or_on_the_part(seeded: Drawing) -> None:
    whole = seeded()
    done = {("p1", 0), ("p3", 2), ("p3", 3), *((p.problem_id, 1) for p in PROBLEMS)}
    rest = seeded(done=done)
    assert rest == {key: whole[key] for key in whole.keys() - done}
    parts = [seeded(part=Part(rank, 3)) for rank in range(3)]
    assert parts[0] | parts[1] | parts[2] == whole


def test_samples_do_not_depend_on_batch_or_neighbours(seeded: Drawing) -> None:
    whole = seeded()
    assert seeded(settings=SamplingSettings(max_new_tokens=12, batch_size=1)) == whole
    alone = seeded(problems=PROBLEMS[2:3], first_sample_id=2, num_samples=2)
    assert alone == {key: whole[key] for key in [("p3", 2), ("p3", 3)]}


def test_another_seed_gives_other_samples(seeded: Drawing) -> None:
    other = seeded(settings=SamplingSettings(max_new_tokens=12, seed=1))
    assert sum(other[key] == value for key, value in seeded().items()) < len(other) / 2


def test_the_samples_of_a_problem_differ(seeded: Drawing) -> None:
    found = seeded(problems=PROBLEMS[:1], num_samples=16)
    assert len({c.token_ids for c in found.values()}) > 8


def test_a_completion_ends_with_its_first_end_token(seeded: Drawing) -> None:
    eos = seeded.tokenizer.eos_token_id
    found = seeded(num_samples=16).values()
    assert {c.finish_reason for c in found} == {"stop", "length"}
    for c in found:
        if c.finish_reason == "stop":
            assert c.token_ids.index(eos) == len(c.token_ids) - 1
        else:
            assert eos not in c.token_ids
            assert len(c.token_ids) == 12
        assert c.n_tokens == len(c.token_ids)
        assert c.text == seeded.tokenizer.decode(c.token_ids, skip_special_tokens=True)
        assert "<eos>" not in c.text


@pytest.mark.parametrize(
    ("changes", "least", "most"),
    [({}, 0, 1), ({"top_k": 3}, 0, 1), ({"top_p": 0.6}, 0, 1), ({"temperature": 0.0}, 1, 1)],
)
def test_drawn_tokens_follow_the_model(
    seeded: Drawing, changes: dict[str, Any], least: float, most: float
) -> None:
    settings = SamplingSettings(
        **{"max_new_tokens": 1, "temperature": 0.7, "batch_size": 500, **changes}
    )
    found = seeded(problems=PROBLEMS[:1], num_samples=1000, settings=settings)
    tokens = torch.tensor([c.token_ids[0] for c in found.values()])
    text = PROBLEMS[0].prompt
    ids = seeded.tokenizer.apply_chat_template(
        text, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    logits = seeded.model(**ids).logits[0, -1].double()
    expected = (logits / (settings.temperature or 1e-6)).softmax(-1)
    if settings.top_k:
        expected[expected < expected.sort().values[-settings.top_k]] = 0
    if settings.top_p < 1:
        order = expected.argsort(descending=True)
        before = expected[order].cumsum(0) - expected[order]
        expected[order[before >= settings.top_p]] = 0
    expected /= expected.sum()
    found_share = torch.bincount(tokens, minlength=len(expected)) / len(tokens)
    # Total variation of 1000 draws over ~36 tokens: about sqrt(36 / 1000) / 2 = 0.09.
    assert 0.5 * (found_share - expected).abs().sum() < 0.13
    assert least <= found_share.max() <= most
    assert (found_share[expected == 0] == 0).all()


def test_too_little_context_is_an_error_naming_the_problem(seeded: Drawing) -> None:
    with pytest.raises(ConfigError, match=r"'p4'.*13.*128"):
        seeded(problems=PROBLEMS[3:4], settings=SamplingSettings(max_new_tokens=120))
