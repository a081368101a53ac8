"""The client against a real HTTP server, good and bad."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError
from polypath.rollouts import RolloutStore
from polypath.rollouts.key_index import KeyIndex
from polypath.sampling.collect import collect_from, draw_verified
from polypath.sampling.completion import Completion
from polypath.sampling.http import ServerError
from polypath.sampling.openai import sample
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings, ServerSettings
from polypath.tasks.base import Problem
from tests.rehearsal.adder import Addition
from tests.rollouts.rows import manifest
from tests.sampling.server import Behaviour, serving

KEY = "sk-very-secret-0123456789"
SETTINGS = SamplingSettings(temperature=0.8, top_p=0.9, max_new_tokens=7, batch_size=5, seed=3)
PLAIN = [Problem(problem_id=f"p{n}", prompt=f"solve {n} =", gold=str(n)) for n in range(4)]
CHAT = [
    Problem(problem_id="c", prompt=[{"role": "user", "content": "hello"}], gold="1"),
]
Draw = Callable[..., list[Completion]]


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def draw(behaviour: Behaviour, said: list[str]) -> Iterator[Draw]:
    with serving(behaviour) as url:

        def run(problems: list[Problem] = PLAIN, **options: Any) -> list[Completion]:
            names = ServerSettings.__dataclass_fields__
            server = {name: options.pop(name) for name in list(options) if name in names}
            server = {
                **{"base_url": url, "model": "m", "first_wait": 0.01, "longest_wait": 0.05},
                **server,
            }
            options = {"problems": problems, "num_samples": 6, "settings": SETTINGS, **options}
            batches = sample(ServerSettings(**server), DrawRequest(**options), say=said.append)
            return [c for batch in batches for c in batch]

        yield run


def keys(found: list[Completion]) -> list[tuple[str, int]]:
    return sorted((c.problem.problem_id, c.sample_id) for c in found)


ALL = sorted((p.problem_id, n) for p in PLAIN for n in range(6))


def test_every_sample_comes_once_with_its_text(draw: Draw, behaviour: Behaviour) -> None:
    found = draw(choices_per_request=4)
    assert keys(found) == ALL
    assert len({c.text for c in found}) == len(ALL)
    assert all(c.text.startswith(str(c.problem.prompt)) for c in found)
    assert {c.finish_reason for c in found} == {"stop", "length"}
    assert all(c.token_ids == () for c in found)
    body = behaviour.requests[0]
    assert {k: body[k] for k in ("model", "temperature", "top_p", "max_tokens")} == {
        **{"model": "m", "temperature": 0.8, "top_p": 0.9, "max_tokens": 7},
    }
    assert "top_k" not in body
    assert set(behaviour.paths) == {"/v1/completions"}
    assert len({b["seed"] for b in behaviour.requests}) == 8, "equal seeds would repeat samples"


def test_what_is_done_is_not_asked_for(draw: Draw, behaviour: Behaviour) -> None:
    done = {("p0", n) for n in range(6)} | {("p1", 2), ("p3", 5)}
    assert keys(draw(done=KeyIndex(done))) == sorted(set(ALL) - done)
    assert sum(b["n"] for b in behaviour.requests) == len(ALL) - len(done)


def test_chat_prompts_go_to_the_chat_endpoint(draw: Draw, behaviour: Behaviour) -> None:
    found = draw(CHAT, num_samples=2)
    assert [c.text.split()[0] for c in found] == ["hello", "hello"]
    assert behaviour.paths == ["/v1/chat/completions"]
    assert behaviour.requests[0]["messages"] == CHAT[0].prompt


def test_plain_prompts_go_there_as_a_message_on_request(draw: Draw, behaviour: Behaviour) -> None:
    draw(PLAIN[:1], chat=True, num_samples=1)
    assert behaviour.paths == ["/v1/chat/completions"]
    assert behaviour.requests[0]["messages"] == [{"role": "user", "content": "solve 0 ="}]


def test_the_number_of_tokens_is_kept_where_it_is_known(draw: Draw) -> None:
    assert draw(PLAIN[:1], num_samples=1)[0].n_tokens == 3
    assert [c.n_tokens for c in draw(PLAIN[:1], num_samples=2)] == [None, None]


def test_a_server_that_ignores_n_is_asked_one_by_one_and_named_once(
    draw: Draw, behaviour: Behaviour, said: list[str]
) -> None:
    behaviour.most_choices = 1
    found = draw(concurrency=2)
    assert keys(found) == ALL
    assert len({c.text for c in found}) == len(ALL)
    assert len(said) == 1
    assert "n=6" in said[0]
    assert len(behaviour.requests) == 24, "after the first answers n is not tried again"


def test_a_server_that_refuses_n_is_asked_one_by_one(
    draw: Draw, behaviour: Behaviour, said: list[str]
) -> None:
    behaviour.fault = lambda _, body: (400, {}, '{"error": "n"}') if body["n"] > 1 else None
    assert keys(draw(concurrency=1)) == ALL
    assert len(said) == 1
    assert "n=6" in said[0]
    assert len(behaviour.requests) == 25


FAULTS: dict[str, Any] = {
    "429": (429, {}, "{}"),
    "500": (500, {}, "oops"),
    "503": (503, {}, ""),
    "disconnect": "disconnect",
    "half": "half",
    "garbage": "garbage",
}


@pytest.mark.parametrize("name", FAULTS)
def test_passing_faults_cost_nothing(
    draw: Draw, behaviour: Behaviour, said: list[str], name: str
) -> None:
    behaviour.fault = lambda number, _: FAULTS[name] if number % 3 != 2 else None
    assert keys(draw(retries=9, concurrency=3)) == ALL
    assert len(said) == 1
    assert "127.0.0.1" in said[0]


def test_a_slow_server_is_given_up_and_asked_again(draw: Draw, behaviour: Behaviour) -> None:
    behaviour.fault = lambda number, _: time.sleep(0.5) if number == 0 else None
    started = time.monotonic()
    assert keys(draw(PLAIN[:1], timeout=0.1)) == ALL[:6]
    assert time.monotonic() - started < 0.45


def test_waits_grow_and_differ(draw: Draw, behaviour: Behaviour) -> None:
    behaviour.fault = lambda number, _: FAULTS["500"] if number < 4 else None
    random.seed(0)  # its first shares are 0.92, 0.88, 0.71 and 0.63
    draw(PLAIN[:1], first_wait=0.05, longest_wait=1.0)
    waits = [b - a for a, b in zip(behaviour.times[:-1], behaviour.times[1:], strict=True)]
    for attempt, wait in enumerate(waits):
        assert 0.5 * 0.05 * 2**attempt <= wait < 0.05 * 2**attempt + 0.1
    assert waits[0] / 0.05 > waits[3] / 0.4 + 0.15, "the last is cut more than the first"


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_s_own_wait_is_honoured_by_every_thread(
    draw: Draw, behaviour: Behaviour, form: str
) -> None:
    wait = "0.4"
    if form == "date":  # dates have whole seconds, so "in two" means one at least
        wait = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    behaviour.fault = lambda number, _: (429, {"Retry-After": wait}, "") if number == 0 else None
    assert keys(draw(concurrency=1, longest_wait=0.3)) == ALL
    assert behaviour.times[1] - behaviour.times[0] >= (0.4 if form == "seconds" else 0.9)


def test_a_wait_beyond_all_patience_is_an_error(draw: Draw, behaviour: Behaviour) -> None:
    behaviour.fault = lambda *_: (429, {"Retry-After": "3600"}, '{"error": {"message": "quota"}}')
    with pytest.raises(ServerError, match=r"429.*quota"):
        draw(PLAIN[:1])


def test_a_server_that_stays_down_ends_the_run_with_what_came(
    behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.fault = lambda number, _: FAULTS["503"] if number >= 2 else None
    task = Addition()
    with (
        serving(behaviour) as url,
        RolloutStore.create_or_open(tmp_path, manifest()) as store,
    ):
        server = ServerSettings(
            **{"base_url": url, "model": "m", "concurrency": 1, "retries": 2},
            **{"first_wait": 0.001, "longest_wait": 0.002},
        )
        draw = partial(sample, server, say=lambda _: None)
        rows_of = partial(draw_verified, draw, task.verify_batch)
        problems = task.problems("train", 5)
        request = DrawRequest(problems=problems, num_samples=3, settings=SETTINGS)
        with pytest.raises(ServerError, match=r"'0\+2'.* 3 times"):
            collect_from(rows_of, store, request)
        assert len(store.keys()) == 6
        assert len(behaviour.requests) == 5, "the other problems are not tried"
        behaviour.fault = lambda *_: None
        assert collect_from(rows_of, store, request) == 9
        rows = [r for b in store.iter_batches() for r in b.to_pylist()]
    assert len(rows) == 15
    assert all(r["token_ids"] is None and r["n_tokens"] is None for r in rows)


def test_a_refused_prompt_does_not_stop_the_others(behaviour: Behaviour) -> None:
    refusal = (400, {}, '{"error": {"message": "prompt too long"}}')
    behaviour.fault = lambda _, body: refusal if "solve 1" in body["prompt"] else None
    found: list[Completion] = []

    def read_all(url: str) -> None:
        server = ServerSettings(base_url=url, model="m")
        for batch in sample(server, DrawRequest(problems=PLAIN, num_samples=6, settings=SETTINGS)):
            found.extend(batch)

    with serving(behaviour) as url, pytest.raises(ServerError) as caught:
        read_all(url)
    assert keys(found) == [key for key in ALL if key[0] != "p1"]
    assert "1 requests failed, first for problem 'p1'" in str(caught.value)
    assert "status 400: prompt too long" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_more_requests_are_under_way_than_allowed(draw: Draw, behaviour: Behaviour) -> None:
    behaviour.delay = 0.02
    draw(concurrency=3, choices_per_request=1)
    assert behaviour.most_under_way == 3


def test_the_key_is_sent_and_shown_nowhere(
    draw: Draw, behaviour: Behaviour, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY + "\n")
    draw(PLAIN[:1], api_key_env="MY_KEY")
    assert behaviour.headers[0]["Authorization"] == f"Bearer {KEY}"
    behaviour.fault = lambda *_: (401, {}, json.dumps({"error": {"message": f"bad key {KEY}"}}))
    with pytest.raises(ServerError, match="401") as caught:
        draw(PLAIN[:1], api_key_env="MY_KEY")
    server = ServerSettings(base_url="http://h/v1", model="m", api_key_env="MY_KEY")
    seen = [str(caught.value), repr(caught.value), repr(server), repr(vars(server)), *said]
    assert KEY not in " ".join(seen)
    assert "MY_KEY, which is sent" in str(caught.value)


def test_without_the_variable_no_key_is_sent(
    draw: Draw, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    draw(PLAIN[:1])
    assert "Authorization" not in behaviour.headers[0]
    behaviour.fault = lambda *_: (401, {}, "")
    with pytest.raises(ServerError, match="OPENAI_API_KEY"):
        draw(PLAIN, concurrency=1)
    assert len(behaviour.requests) == 2, "one refusal of access is enough for all"


def test_a_redirect_is_not_followed(
    draw: Draw, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    behaviour.fault = lambda number, _: (
        (302, {"Location": "/v1/elsewhere"}, "") if not number else None
    )
    with pytest.raises(ServerError, match="302"):
        draw(PLAIN[:1], num_samples=1)
    assert len(behaviour.requests) == 1


def test_answers_without_choices_are_an_error(draw: Draw, behaviour: Behaviour) -> None:
    behaviour.fault = lambda *_: "empty"
    with pytest.raises(ServerError, match="choices"):
        draw(PLAIN[:1], num_samples=1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"base_url": "localhost:8000"}, "base_url must be like"),
        ({"base_url": f"http://me:{KEY}@host/v1"}, "must not hold a password"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0.0}, "timeout"),
        ({"retries": -1}, "retries"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        ServerSettings(**{"base_url": "http://h/v1", "model": "m", **change})
    assert KEY not in str(caught.value)


def test_leaving_early_stops_the_workers(behaviour: Behaviour) -> None:
    behaviour.delay = 0.02
    with serving(behaviour) as url:
        server = ServerSettings(base_url=url, model="m", concurrency=1, choices_per_request=1)
        batches = sample(server, DrawRequest(problems=PLAIN, num_samples=50, settings=SETTINGS))
        next(batches)
        batches.close()
        time.sleep(0.1)
        seen = len(behaviour.requests)
        time.sleep(0.1)
        assert len(behaviour.requests) == seen < 20


def test_the_client_needs_no_torch() -> None:
    code = "import sys, polypath.sampling.openai; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
