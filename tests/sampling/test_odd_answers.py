"""Answers no server should give: each is that request's error, and no good answer is lost."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polypath.errors import ConfigError
from polypath.rollouts.schema import Rollout, to_table
from polypath.sampling import http
from polypath.sampling.completion import Completion
from polypath.sampling.http import ServerError
from polypath.sampling.openai import sample
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings, ServerSettings
from polypath.tasks.base import Problem
from tests.sampling.server import Behaviour, serving

SETTINGS = SamplingSettings(max_new_tokens=7, batch_size=64)
PROBLEMS = [Problem(problem_id=f"p{n}", prompt=f"solve {n} =", gold=str(n)) for n in range(6)]
GOOD = {"text": "fine", "finish_reason": "stop"}


def answer(*choices: Any, **more: Any) -> str:
    return json.dumps({"choices": list(choices), **more})


ODD = {
    "lone surrogate": answer({**GOOD, "text": "half \ud83d"}),
    "surrogate in a chat": answer({"message": {"content": "\udc00"}}),
    "choice null": answer(None),
    "choice text": answer("hello"),
    "choice list": answer([GOOD]),
    "choice empty": answer({}),
    "message text": answer({"message": "hello"}),
    "content number": answer({"message": {"content": 3}}),
    "content parts": answer({"message": {"content": [{"type": "text", "text": "x"}]}}),
    "text object": answer({"text": {"a": 1}}),
    "text true": answer({"text": True}),
    "choices object": json.dumps({"choices": {"0": GOOD}}),
    "choices number": json.dumps({"choices": 7}),
    "no choices": json.dumps({"error": {"message": "overloaded"}}),
    "usage list": answer(GOOD, usage=[3]),
    "tokens 2^80": answer(GOOD, usage={"completion_tokens": 2**80}),
    "tokens negative": answer(GOOD, usage={"completion_tokens": -1}),
    "tokens fraction": answer(GOOD, usage={"completion_tokens": 1.5}),
    "tokens text": answer(GOOD, usage={"completion_tokens": "3"}),
    "tokens true": answer(GOOD, usage={"completion_tokens": True}),
    "tokens NaN": '{"choices": [{"text": "a"}], "usage": {"completion_tokens": NaN}}',
    "digits": '{"choices": [{"text": "a"}], "usage": {"completion_tokens": ' + "9" * 5000 + "}}",
    "nested lists": "[" * 200_000,
    "nested objects": '{"choices":' * 100_000 + "1" + "}" * 100_000,
    "nested choice": '{"choices": [' + "[" * 900 + "]" * 900 + "]}",
    "null": "null",
    "nothing": "",
}


def draw(
    url: str, problems: list[Problem] = PROBLEMS, num_samples: int = 1, **server: Any
) -> Iterator[Completion]:
    quick = {"first_wait": 0.001, "longest_wait": 0.002, "retries": 2, **server}
    asked = ServerSettings(base_url=url, model="m", **quick)
    request = DrawRequest(problems=problems, num_samples=num_samples, settings=SETTINGS)
    for batch in sample(asked, request):
        yield from batch


def rows(found: list[Completion]) -> int:
    """Store the completions as rows, as a run does."""
    made = [
        Rollout(
            **{
                "problem_id": c.problem.problem_id,
                "sample_id": c.sample_id,
                "prompt": "",
                "gold": "",
            },
            **{"completion": c.text, "n_tokens": c.n_tokens, "finish_reason": c.finish_reason},
            **{"status": "graded", "reward": 0.0, "correct": False, "answer": None},
        )
        for c in found
    ]
    return int(to_table(made).num_rows)


@pytest.mark.filterwarnings("ignore:.*does not serve")
@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_asked_for_again_and_then_that_request_s_error(name: str) -> None:
    behaviour = Behaviour(
        fault=lambda _, body: (200, {}, ODD[name]) if "solve 0" in body["prompt"] else None
    )
    found: list[Completion] = []
    with serving(behaviour) as url:
        with pytest.raises(ServerError, match=r"^1 requests.*'p0'.* 3 times") as caught:
            found.extend(draw(url, concurrency=1))
        assert {c.problem.problem_id for c in found} == {p.problem_id for p in PROBLEMS[1:]}
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
        behaviour.fault = lambda number, _: (200, {}, ODD[name]) if number == 8 else None
        found += draw(url, PROBLEMS[:1])
    assert rows(found) == len(PROBLEMS)


@pytest.mark.parametrize(
    "logprobs", [None, [], "x", {"token_logprobs": [float("nan"), "x"]}, 2**80]
)
def test_what_is_not_read_may_be_odd(logprobs: Any) -> None:
    odd = {**GOOD, "logprobs": logprobs, "index": "?", "finish_reason": ["stop"]}
    behaviour = Behaviour(fault=lambda *_: (200, {}, answer(odd, model=[], usage={"x": -1})))
    with serving(behaviour) as url:
        found = list(draw(url))
    assert {c.text for c in found} == {"fine"}
    assert {(c.finish_reason, c.n_tokens) for c in found} == {(None, None)}


@pytest.mark.filterwarnings("ignore:.*does not serve")
def test_good_choices_beside_odd_ones_are_kept_and_the_rest_asked_for_again() -> None:
    texts = [{"text": "a"}, None, {"text": "b"}, {"text": "\ud800"}, {"text": "c"}]
    behaviour = Behaviour(
        fault=lambda number, _: (200, {}, answer(*texts)) if number == 0 else None
    )
    with serving(behaviour) as url:
        found = list(draw(url, PROBLEMS[:1], num_samples=5))
    assert [c.text for c in sorted(found, key=lambda c: c.sample_id)][::2] == ["a", "b", "c"]
    assert rows(found) == 5
    assert [body["n"] for body in behaviour.requests] == [5, 1, 1]


@pytest.mark.filterwarnings("ignore:.*does not serve")
@pytest.mark.parametrize("fault", ["drip head", "drip body", "disconnect", "half"])
def test_a_server_that_does_not_end_is_given_up_in_time(fault: str) -> None:
    behaviour = Behaviour(fault=lambda _, body: fault if "solve 0" in body["prompt"] else None)
    found: list[Completion] = []
    started = time.monotonic()
    with serving(behaviour) as url, pytest.raises(ServerError, match=r"'p0'.* 2 times"):
        found.extend(draw(url, timeout=0.2, retries=1, concurrency=1))
    assert time.monotonic() - started < 2
    assert rows(found) == len(PROBLEMS) - 1


@pytest.mark.filterwarnings("ignore:.*does not serve")
def test_an_answer_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 100_000)
    large = answer({"text": "x" * 200_000})
    behaviour = Behaviour(
        fault=lambda _, body: (200, {}, large) if "solve 0" in body["prompt"] else None
    )
    found: list[Completion] = []
    with serving(behaviour) as url, pytest.raises(ServerError, match="'p0'"):
        found.extend(draw(url))
    assert rows(found) == len(PROBLEMS) - 1


def test_a_server_of_odd_answers_alone_is_given_up() -> None:
    many = [Problem(problem_id=str(n), prompt=f"{n}", gold="") for n in range(300)]
    behaviour = Behaviour(fault=lambda *_: (200, {}, "null"))
    with serving(behaviour) as url, pytest.raises(ServerError, match="requests failed"):
        list(draw(url, many, concurrency=2, retries=0))
    assert 90 < len(behaviour.requests) < 110


@pytest.mark.filterwarnings("ignore:.*does not serve")
@pytest.mark.parametrize(
    "wait", ["nan", "-1", "inf", "1e999", "9" * 5000, "tomorrow", "Mon, 01 Jan"]
)
def test_an_odd_wait_is_no_traceback(wait: str) -> None:
    behaviour = Behaviour(
        fault=lambda number, _: (503, {"Retry-After": wait}, "") if not number else None
    )
    with serving(behaviour) as url, suppress(ServerError):  # for ever is longer than its patience
        assert len(list(draw(url, PROBLEMS[:1]))) == 1
    assert len(behaviour.requests) == (1 if wait in ("inf", "1e999", "9" * 5000) else 2)


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8000", "http://[::1", "http://h:port/v1", "http://h/v1\n", "http://h/a b"),
        *(
            "http://h/v1#x",
            "ftp://h/v1",
            "http://",
            "http://h:99999/",
            "http://me:pw@h/v1",
            "http://h\x1b",
        ),
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        ServerSettings(base_url=url, model="m")


SECRET = "qwertzuiop12"


@pytest.mark.parametrize(
    "url",
    [
        *(
            f"http://me:{SECRET}@h/v1",
            f"me:{SECRET}@h/v1",
            f"http://h/v1?x={SECRET}",
            f"//me:{SECRET}@h",
        ),
        *(
            f"http:/me:{SECRET}@h/v1",
            f"http://h/v1#{SECRET}",
            f"ftp://{SECRET}@h",
            f"http://[me:{SECRET}@h",
        ),
    ],
)
def test_a_refused_address_is_shown_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ServerSettings(base_url=url, model="m")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "key", [f"{SECRET}\r\nX: y", f"a\x00{SECRET}", f"{SECRET}é", f"{SECRET}\x1b[m"]
)
def test_a_key_that_is_no_header_is_refused_unseen(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "\x00" in key:
        key = key.replace("\x00", "\x01")  # no variable holds a zero
    monkeypatch.setenv("MY_VARIABLE", key)
    with pytest.raises(ConfigError, match="MY_VARIABLE") as caught:
        ServerSettings(base_url="http://h/v1", model="m", api_key_env="MY_VARIABLE")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("fault", [(400, {}), (503, {}), (302, {})])
@pytest.mark.parametrize("before", [0, 260, 290, 295, 299, 99_990])
def test_no_part_of_a_key_is_shown(
    fault: Any, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    text = "." * before if before < 1000 else " " * before
    behaviour = Behaviour(fault=lambda *_: (*fault, f"{text}{SECRET}"))
    said: list[str] = []
    server = {"first_wait": 0.001, "longest_wait": 0.002, "retries": 1}
    with serving(behaviour) as url:
        asked = ServerSettings(base_url=url, model="m", **server)
        request = DrawRequest(problems=PROBLEMS[:1], num_samples=1, settings=SETTINGS)
        one = sample(asked, request, say=said.append)
        with pytest.raises(ServerError) as caught:
            next(one)
    assert SECRET[:3] not in f"{caught.value!r} {said}"


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "text": JSON,
        "message": JSON | st.fixed_dictionaries({"content": JSON}),
        "finish_reason": JSON,
        "logprobs": JSON,
    },
)
ANSWER = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE | JSON, max_size=3) | JSON},
    optional={"usage": st.fixed_dictionaries({"completion_tokens": JSON}) | JSON},
)
BODY = st.one_of(ANSWER.map(json.dumps), JSON.map(json.dumps), st.text()).map(
    lambda text: text.encode(errors="surrogatepass").decode(errors="replace")
)


@pytest.mark.filterwarnings("ignore:The server gave")
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=6)
@given(st.lists(BODY, min_size=1, max_size=20), st.integers(1, 3), st.integers(1, 4))
def test_any_answers_lose_no_good_one(bodies: list[str], num_samples: int, workers: int) -> None:
    odd = {f"odd {n}": body for n, body in enumerate(bodies)}
    asked = [name for n in range(len(odd)) for name in (f"odd {n}", f"good {n}")]
    problems = [Problem(problem_id=name, prompt=name, gold="") for name in asked]
    found: list[Completion] = []

    def fault(_: int, body: dict[str, Any]) -> Any:
        return (200, {}, odd[body["prompt"]]) if body["prompt"] in odd else None

    with serving(Behaviour(fault=fault)) as url, suppress(ServerError):
        found.extend(draw(url, problems, num_samples, concurrency=workers, retries=0))
    good = [c for c in found if c.problem.problem_id.startswith("good")]
    assert len(good) == len(odd) * num_samples
    assert rows(found) == len({(c.problem.problem_id, c.sample_id) for c in found})
