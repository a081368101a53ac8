from typing import Any

import pytest
import torch

from polypath.errors import ConfigError
from polypath.sampling.completion import Completion
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
    options = {"num_samples": 4, "settings": SETTINGS, "problems": PROBLEMS, **options}
    problems = options.pop("problems")
    drawn = [c for batch in sample(*tiny, problems, **options) for c in batch]
    found = {(c.problem.problem_id, c.sample_id): c for c in drawn}
    assert len(found) == len(drawn)
    return found


def test_every_sample_is_drawn_once(tiny: Tiny) -> None:
    assert set(draw(tiny)) == {(p.problem_id, n) for p in PROBLEMS for n in range(4)}


def test_samples_do_not_depend_on_what_was_done_before(tiny: Tiny) -> None:
    whole = draw(tiny)
    done = {("p1", 0), ("p3", 2), ("p3", 3), *((p.problem_id, 1) for p in PROBLEMS)}
    rest = draw(tiny, done=done)
    assert set(rest) == set(whole) - done
    assert all(rest[key] == whole[key] for key in rest)


def test_samples_do_not_depend_on_batch_or_neighbours(tiny: Tiny) -> None:
    whole = draw(tiny)
    one_by_one = draw(tiny, settings=SamplingSettings(max_new_tokens=12, batch_size=1))
    assert whole == one_by_one
    alone = draw(tiny, problems=PROBLEMS[2:3], first_sample_id=2, num_samples=2)
    assert alone == {key: whole[key] for key in [("p3", 2), ("p3", 3)]}


def test_another_seed_gives_other_samples(tiny: Tiny) -> None:
    other = draw(tiny, settings=SamplingSettings(max_new_tokens=12, seed=1))
    assert sum(other[key] == value for key, value in draw(tiny).items()) < len(other) / 2


def test_a_completion_ends_with_its_first_end_token(tiny: Tiny) -> None:
    eos = tiny[1].eos_token_id
    found = draw(tiny, num_samples=16).values()
    assert {c.finish_reason for c in found} == {"stop", "length"}
    for c in found:
        if c.finish_reason == "stop":
            assert c.token_ids.index(eos) == len(c.token_ids) - 1
        else:
            assert eos not in c.token_ids
            assert len(c.token_ids) == 12
        assert c.text == tiny[1].decode(c.token_ids, skip_special_tokens=True)
        assert "<eos>" not in c.text


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


def test_drawn_tokens_follow_the_model(tiny: Tiny) -> None:
    model, tokenizer = tiny
    settings = SamplingSettings(max_new_tokens=1, temperature=0.7, batch_size=500)
    found = draw(tiny, problems=PROBLEMS[:1], num_samples=2000, settings=settings)
    tokens = torch.tensor([c.token_ids[0] for c in found.values()])
    text = PROBLEMS[0].prompt
    ids = tokenizer.apply_chat_template(text, add_generation_prompt=True, return_tensors="pt")
    logits = model(**ids).logits[0, -1]
    expected = (logits.double() / 0.7).softmax(-1)
    found_share = torch.bincount(tokens, minlength=len(expected)) / len(tokens)
    # Total variation of 2000 draws over ~36 tokens: about sqrt(36 / 2000) / 2 = 0.07.
    assert 0.5 * (found_share - expected).abs().sum() < 0.1


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


def test_too_little_context_is_an_error_naming_the_problem(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"'p4' has 13 prompt tokens; .* context of 128"):
        draw(tiny, problems=PROBLEMS[3:4], settings=SamplingSettings(max_new_tokens=120))


def test_two_problems_of_one_id_and_no_samples_are_refused(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match="same problem_id"):
        draw(tiny, problems=[PROBLEMS[0], PROBLEMS[0]])
    with pytest.raises(ConfigError, match="num_samples must be at least 1, got 0"):
        draw(tiny, num_samples=0)
