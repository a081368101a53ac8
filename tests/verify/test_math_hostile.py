import os
import time

import psutil
import pytest

from polypath.verify.base import Status
from polypath.verify.pool import WorkerPool
from polypath.verify.protocol import MOST_WAITING
from tests.verify.hostile import HOSTILE_MATH

pytest.importorskip("math_verify")

DEADLINE = 1.0
MEMORY = 2**30
ORDINARY = [(rf"Hence \boxed{{{number}}}.", str(number)) for number in range(20)] + [
    (r"\boxed{\frac{x^2}{2} + 1}", r"1 + \frac{1}{2} x^2"),
    (r"\boxed{\{3, 1\}}", r"\{1, 3\}"),
]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """One run of the whole corpus, item by item to time each, in an empty directory."""
    directory = tmp_path_factory.mktemp("empty")
    before = os.getcwd()
    os.chdir(directory)
    found, seconds, peak = {}, {}, 0
    try:
        with WorkerPool(
            "polypath.verify.math:math_verifier", workers=2, deadline=DEADLINE, memory_bytes=MEMORY
        ) as pool:
            pool.verify(["7"] * 8, ["7"] * 8)
            names = list(HOSTILE_MATH)

            def one(name):
                start = time.monotonic()
                [found[name]] = pool.verify([HOSTILE_MATH[name]], ["7"])
                seconds[name] = time.monotonic() - start

            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(2) as threads:
                work = [threads.submit(one, name) for name in names]
                while not all(task.done() for task in work):
                    peak = max([peak, *map(memory, pool.worker_pids)])
                    time.sleep(0.02)
            for task in work:
                task.result()
            ordinary = pool.verify(*zip(*ORDINARY, strict=True))
    finally:
        os.chdir(before)
    return {
        "found": found,
        "seconds": seconds,
        "peak": peak,
        "ordinary": ordinary,
        "files": os.listdir(directory),
    }


def memory(pid):
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def test_the_corpus_is_large():
    assert len(HOSTILE_MATH) >= 80


@pytest.mark.parametrize("name", HOSTILE_MATH)
def test_a_hostile_answer_gets_a_verdict_in_time_and_no_reward(verdicts, name):
    verdict = verdicts["found"][name]
    assert verdict.reward == 0.0
    # The deadline is of processor time; on a busy machine the clock runs further.
    assert verdicts["seconds"][name] <= DEADLINE * MOST_WAITING + 2.0
    if verdict.status is not Status.GRADED:
        assert verdict.answer is None
    assert verdict.answer is None or len(verdict.answer) <= 160


def test_hostile_answers_leave_the_pool_right(verdicts):
    assert all(verdict.correct for verdict in verdicts["ordinary"])


def test_hostile_answers_write_nothing(verdicts):
    assert verdicts["files"] == []


def test_hostile_answers_stay_within_the_memory_limit(verdicts):
    assert 0 < verdicts["peak"] < MEMORY + 300 * 2**20
