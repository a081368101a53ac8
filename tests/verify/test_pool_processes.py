"""Worker processes come and go: forks, kills, parents that end, and what is left of them."""

import contextlib
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from polypath.errors import PolypathError
from polypath.verify.pool import WorkerPool
from tests.refusals import refused
from tests.verify.pools import ACTING, answers, gone, statuses, wait_until


def test_a_forked_child_has_workers_of_its_own_and_leaves_the_parents_alone(pool):
    parents = set(filter(None, answers(pool.verify(["pid"] * 40, [""] * 40))))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            found = answers(pool.verify(["pid", "a"], ["", "a"]))
            os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    assert status == 0
    own_pid, text = json.loads(os.read(read, 1000))
    os.close(read)
    assert text == "a"
    assert own_pid not in parents
    assert wait_until(lambda: gone(int(own_pid)))
    assert set(answers(pool.verify(["pid"] * 40, [""] * 40))) & parents


def test_a_fork_while_another_thread_verifies_does_not_hang(pool):
    thread = threading.Thread(target=pool.verify, args=(["sleep:0.5"] * 4, [""] * 4))
    thread.start()
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        code = 9
        with contextlib.suppress(BaseException):
            code = 0 if pool.verify(["a"], ["a"])[0].correct else 8
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()


def in_daemon(queue):
    with WorkerPool(ACTING, workers=1) as own:
        queue.put(answers(own.verify(["a"], ["a"])))


def test_it_works_inside_a_daemonic_process():
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=in_daemon, args=(queue,), daemon=True)
    process.start()
    assert queue.get(timeout=30) == ["a"]
    process.join(10)
    assert process.exitcode == 0


PARENT = """
    import signal, sys, threading
    # Python leaves Ctrl-C ignored where it was at the start: in a shell's background job.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from polypath.verify.pool import WorkerPool, shared_pool
    pool = shared_pool("tests.verify.verifiers:acting_verifier", workers=2, deadline=30.0)
    print(*[v.answer for v in pool.verify(["pid", "sleep:0.3", "pid"], [""] * 3)][::2], flush=True)
    {then}
"""


def start_parent(then):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT).format(then=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=os.getcwd(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize(
    "then", ["pool.verify(['sleep:20'] * 4, [''] * 4)", "pool.verify(['c-loop'], [''])"]
)
def test_workers_go_when_their_parent_is_killed(then):
    parent = start_parent(then)
    workers = {int(pid) for pid in parent.stdout.readline().split()}
    time.sleep(0.3)
    assert workers
    assert not any(gone(pid) for pid in workers)
    parent.kill()
    parent.communicate()
    assert wait_until(lambda: all(gone(pid) for pid in workers))


def test_workers_go_when_their_parent_ends_without_closing():
    parent = start_parent("pass")
    out, err = parent.communicate(timeout=30)
    assert (parent.returncode, err) == (0, "")
    assert wait_until(lambda: all(gone(int(pid)) for pid in out.split()))


def test_ctrl_c_ends_the_call_and_leaves_no_worker():
    parent = start_parent("pool.verify(['sleep:20'] * 4, [''] * 4)")
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    time.sleep(0.3)
    start = time.monotonic()
    parent.send_signal(signal.SIGINT)
    _, err = parent.communicate(timeout=15)
    assert time.monotonic() - start < 5.0
    assert "KeyboardInterrupt" in err
    assert wait_until(lambda: all(gone(pid) for pid in workers))


def test_a_worker_killed_from_outside_costs_only_the_item_at_hand():
    with WorkerPool(ACTING, workers=1, deadline=5.0) as pool:
        pool.verify(["a"], ["a"])
        [pid] = pool.worker_pids
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        killer.start()
        texts = ["a", "sleep:0.9", *"bcdefghijk"]
        verdicts = pool.verify(texts, texts)
        killer.join()
    assert statuses(verdicts) == ["graded", "error"] + ["graded"] * 10
    assert answers(verdicts)[2:] == texts[2:]


def test_an_idle_worker_killed_from_outside_costs_nothing():
    with WorkerPool(ACTING, workers=1) as pool:
        pool.verify(["a"], ["a"])
        os.kill(pool.worker_pids[0], signal.SIGKILL)
        time.sleep(0.1)
        assert pool.verify(["b"], ["b"])[0].correct


def test_random_mischief_among_many_items_never_moves_a_verdict():
    rng = random.Random(0)
    texts = [str(number) for number in range(600)]
    for place in rng.sample(range(600), 12):
        texts[place] = rng.choice(["os-exit", "raise", "exit", "memory"])
    with WorkerPool(ACTING, workers=2, deadline=2.0) as pool:
        verdicts = pool.verify(texts, texts)
    for text, verdict in zip(texts, verdicts, strict=True):
        assert verdict.correct is text.isdecimal()
        assert verdict.answer == (text if text.isdecimal() else None)


def test_a_worker_that_dies_on_start_is_reported_not_waited_for(monkeypatch):
    monkeypatch.setattr("polypath.verify.process.START_ATTEMPTS", 2)
    with (
        WorkerPool("tests.verify.verifiers:dying_verifier", workers=1) as pool,
        refused(PolypathError, "2 attempts"),
    ):
        pool.verify(["a"], ["a"])


def test_a_pool_nobody_holds_takes_its_workers_along():
    pool = WorkerPool(ACTING, workers=1)
    pool.verify(["a"], ["a"])
    [pid] = pool.worker_pids
    del pool
    assert wait_until(lambda: gone(pid))


def test_a_worker_starts_from_a_process_with_many_open_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("no more than 1024 files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with WorkerPool(ACTING, workers=1) as pool:
            assert pool.verify(["a"], ["a"])[0].correct
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_that_is_stopped_is_late():
    with WorkerPool(ACTING, workers=1, deadline=0.2) as pool:
        pool.verify(["a"], ["a"])
        os.kill(pool.worker_pids[0], signal.SIGSTOP)
        large = "x" * 2**20  # more than a socket holds: not even sending it may wait for ever
        assert statuses(pool.verify([large, "b"], [large, "b"])) == ["timeout", "graded"]
