"""What only this backend does; ``test_backends.py`` has what all do."""

from typing import Any

from polypath.sampling.completion import Completion
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings
from polypath.sampling.transformers import end_token_ids, pad_token_id, sample
from polypath.tasks.base import Problem

Tiny = tuple[Any, Any]
PROBLEMS = [
    Problem(
        problem_id=f"p{n}",
        prompt=[{"role": "user", "content": f"solve {n} + 1"}] if n % 2 else "solve 1 + " * n + "=",
        gold=str(n),
    )
    for n in range(1, 6)
]
SETTINGS = SamplingSettings(max_new_tokens=12, batch_size=6)


def draw(tiny: Tiny, **options: Any) -> dict[tuple[str, int], Completion]:
    asked = {"num_samples": 4, "settings": SETTINGS, "problems": PROBLEMS, **options}
    drawn = [c for batch in sample(*tiny, DrawRequest(**asked)) for c in batch]
    found = {(c.problem.problem_id, c.sample_id): c for c in drawn}
    assert len(found) == len(drawn)
    return found


def test_the_model_s_own_sampling_options_do_not_act(tiny: Tiny) -> None:
    model, _ = tiny
    whole = draw(tiny)
    own = model.generation_config
    before = (own.repetition_penalty, own.top_k, own.temperature)
    own.repetition_penalty, own.top_k, own.temperature = 5.0, 1, 0.1
    try:
        assert draw(tiny) == whole
        assert model.generation_config is own
    finally:
        own.repetition_penalty, own.top_k, own.temperature = before


def test_training_mode_is_left_as_it_was(tiny: Tiny) -> None:
    model, _ = tiny
    model.train()
    try:
        draw(tiny, num_samples=1)
        assert model.training
    finally:
        model.eval()


def test_an_extra_end_token_of_the_model_ends_completions_too(tiny: Tiny) -> None:
    model, tokenizer = tiny
    own = model.generation_config.eos_token_id
    extra = tokenizer.convert_tokens_to_ids("=")
    model.generation_config.eos_token_id = [own, extra]
    try:
        assert end_token_ids(*tiny) == [own, extra]
        found = draw(tiny, num_samples=8).values()
    finally:
        model.generation_config.eos_token_id = own
    assert any(c.token_ids[-1] == extra for c in found)
    assert all(extra not in c.token_ids[:-1] for c in found)


def test_the_end_token_stands_in_for_a_missing_padding_token(tiny: Tiny) -> None:
    model, tokenizer = tiny
    assert pad_token_id(model, tokenizer) == tokenizer.convert_tokens_to_ids("<pad>")
    pad = tokenizer.pad_token
    whole = draw(tiny)
    tokenizer.pad_token = None
    try:
        assert pad_token_id(model, tokenizer) == tokenizer.eos_token_id
        assert draw(tiny) == whole
    finally:
        tokenizer.pad_token = pad
