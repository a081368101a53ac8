"""What a pool of workers answers: order, deadlines, streams, callers that share it, settings."""

import asyncio
import os
import threading
import time

import pytest

from polypath.errors import ConfigError, DataError, MissingFileError, ShapeError
from polypath.verify.base import Status
from polypath.verify.pool import WorkerPool, default_workers, shared_pool
from tests.refusals import refused
from tests.verify.pools import ACTING, answers, statuses


def test_ten_thousand_items_keep_their_order_and_their_own_gold(pool):
    texts = [str(number) for number in range(10_000)]
    golds = [text if int(text) % 3 else "other" for text in texts]
    before = pool.counts[Status.GRADED]
    verdicts = pool.verify(texts, golds)
    assert answers(verdicts) == texts
    assert [verdict.correct for verdict in verdicts] == [bool(int(text) % 3) for text in texts]
    assert pool.counts[Status.GRADED] - before == 10_000


@pytest.mark.parametrize(
    ("completion", "status"),
    [
        ("sleep:9", "timeout"),
        ("c-loop", "timeout"),
        ("raise", "error"),
        ("exit", "error"),
        ("os-exit", "error"),
        ("memory", "error"),
        ("not-a-verdict", "error"),
        ("print", "graded"),
        ("read", "graded"),
    ],
)
def test_what_one_item_does_to_its_worker_is_its_own_affair(pool, completion, status):
    start = time.monotonic()
    verdicts = pool.verify(["a", "b", completion, "c", "d"], ["a", "x", completion, "c", "x"])
    assert statuses(verdicts) == ["graded", "graded", status, "graded", "graded"]
    assert [verdicts[i].correct for i in (0, 1, 3, 4)] == [True, False, True, False]
    # An item that sleeps has ten times the deadline by the clock; then another worker may start.
    assert time.monotonic() - start < 8.0


def test_a_python_level_timeout_does_not_cost_the_worker():
    with WorkerPool(ACTING, workers=1, deadline=0.1) as pool:
        first, late, last = pool.verify(["pid", "sleep:9", "pid"], [""] * 3)
    assert late.status is Status.TIMEOUT
    assert first.answer == last.answer


def test_the_deadline_is_per_item_not_per_batch():
    with WorkerPool(ACTING, workers=1, deadline=0.5) as pool:
        assert set(statuses(pool.verify(["work:0.2"] * 8, [""] * 8))) == {"graded"}


def test_the_deadline_counts_processor_time():
    with WorkerPool(ACTING, workers=1, deadline=0.3) as pool:
        texts = ["sleep:1", "work:1", "work:0.1"]  # one waits, as behind other programs; one works
        assert statuses(pool.verify(texts, [""] * 3)) == ["graded", "timeout", "graded"]


@pytest.mark.parametrize(
    "text",
    [
        "\ud800",
        "\udfff\ud800",
        "a\x00b",
        "\u200b\u202e",
        "９",
        "\U0001f600",
        "",
        "\r\n",
    ],
    ids=ascii,
)
def test_any_text_arrives_unchanged(pool, text):
    [verdict] = pool.verify([text], [text])
    assert (verdict.correct, verdict.answer) == (True, text)


def test_megabytes_in_both_directions_do_not_block(pool):
    texts = [letter * 2**20 for letter in "abcdefgh"] * 3
    verdicts = pool.verify(texts, texts)
    assert all(verdict.correct for verdict in verdicts)
    assert answers(verdicts) == texts


def test_nothing_to_verify_starts_nothing():
    with WorkerPool(ACTING, workers=2) as pool:
        assert pool.verify([], []) == []
        assert pool.worker_pids == []
        pool.verify(["a"], ["a"])
        assert len(pool.worker_pids) == 1


def test_threads_share_a_pool(pool):
    results = {}

    def work(name):
        texts = [f"{name}-{number}" for number in range(200)]
        results[name] = answers(pool.verify(texts, texts)) == texts

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(8), True)


def test_asyncio_tasks_share_a_pool(pool):
    async def work():
        calls = [asyncio.to_thread(pool.verify, [str(i), "x"], [str(i)] * 2) for i in range(20)]
        return await asyncio.gather(*calls)

    for number, verdicts in enumerate(asyncio.run(work())):
        assert [verdict.correct for verdict in verdicts] == [True, False]
        assert verdicts[0].answer == str(number)


@pytest.mark.parametrize(
    ("verifier", "options", "kind", "fact"),
    [
        ("tests.verify.verifiers:broken_verifier", {}, ConfigError, "ZeroDivisionError"),
        (
            "tests.verify.verifiers:fileless_verifier",
            {"path": "x.db"},
            MissingFileError,
            "x.db",
        ),
        ("tests.verify.verifiers:acting", {}, ConfigError, "'acting'"),
        ("tests.verify.nowhere:verifier", {}, ConfigError, "tests.verify.nowhere"),
        ("tests.verify.verifiers:not_callable", {}, ConfigError, "int"),
        ("tests.verify.verifiers:broken_verifier", {"a": 1}, ConfigError, "TypeError"),
    ],
)
def test_a_verifier_that_cannot_be_built_is_one_line_for_the_caller(verifier, options, kind, fact):
    with WorkerPool(verifier, options=options, workers=2) as pool:
        for _ in range(2):  # and is tried again, not remembered
            with refused(kind, fact):
                pool.verify(["a"] * 50, ["a"] * 50)


def test_options_reach_the_factory_and_workers_stay_free_of_torch():
    options = {"paths": ["a", "b"], "deep": {"x": 1.5, "none": None}}
    with WorkerPool(ACTING, options=options, workers=1) as pool:
        found = answers(pool.verify(["option", "modules", "environment:OMP_NUM_THREADS"], [""] * 3))
    assert found == [repr(options), "False", "1"]


def test_workers_inherit_no_keys(monkeypatch):
    keys = ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD"]
    for name in keys:
        monkeypatch.setenv(name, "SeCr3tV4lue99")
    monkeypatch.setenv("MY_DATABASE", "postgres://me:SeCr3tV4lue99@host/db")
    monkeypatch.setenv("MY_SETTING", "kept")
    asked = [f"environment:{name}" for name in [*keys, "MY_DATABASE", "MY_SETTING"]]
    with WorkerPool(ACTING, workers=1) as pool:
        found = pool.verify(asked, [""] * len(asked))
    assert statuses(found) == ["error"] * 5 + ["graded"]
    assert answers(found)[-1] == "kept"


def test_closing_ends_calls_that_wait():
    pool = WorkerPool(ACTING, workers=1, deadline=30.0)
    threading.Timer(0.5, pool.close).start()
    start = time.monotonic()
    with refused(ConfigError, "closed"):
        pool.verify(["sleep:20"] * 3, [""] * 3)
    assert time.monotonic() - start < 5.0
    with refused(ConfigError, "closed"):
        pool.verify(["a"], ["a"])


def test_shared_pools_are_one_per_arguments():
    first = shared_pool(ACTING, {"a": 1, "b": 2}, workers=1)
    assert shared_pool(ACTING, {"b": 2, "a": 1}, workers=1) is first
    assert shared_pool(ACTING, {"a": 1}, workers=1) is not first
    assert shared_pool(ACTING, {"a": 1, "b": 2}, workers=1, deadline=1.0) is not first
    first.close()
    assert shared_pool(ACTING, {"a": 1, "b": 2}, workers=1) is not first


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ({"verifier": "module"}, "module:factory"),
        ({"verifier": ":f"}, "module:factory"),
        ({"workers": 0}, "workers"),
        ({"deadline": 0.0}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"memory_bytes": 0}, "memory_bytes"),
        ({"options": {"a": object()}}, "JSON"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, fact):
    with refused(ConfigError, fact):
        WorkerPool(**{"verifier": ACTING, **arguments})


def test_batches_that_do_not_fit_are_refused(pool):
    with refused(ShapeError, 2, 1):
        pool.verify(["a", "b"], ["a"])
    with refused(DataError, "golds[1]", "int"):
        pool.verify(["a", "b"], ["a", 3])


def test_ranks_on_one_machine_share_its_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    assert default_workers() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert default_workers() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "100")
    assert default_workers() == 1
