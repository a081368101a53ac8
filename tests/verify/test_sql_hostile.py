"""What models write to a SQL verifier when nobody is looking. See ``sql_hostile`` for the corpus."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polypath.verify.base import Status
from polypath.verify.pool import WorkerPool
from tests.verify.sql_databases import build_databases, gold
from tests.verify.sql_hostile import hostile_completions

DEADLINE = 2.0
COUNT = gold("SELECT count(*) FROM singer")
ORDINARY = ["SELECT count(*) FROM singer", "SELECT 5", "SELECT 6", "SELECT count(*) FROM concert"]

# Run in a process of its own: the memory it takes can be read afterwards, and its working and
# temporary folders are watched. Seconds are those of the processor: the machine may be busy.
DIRECT = r"""
import json, re, sys, time
from pathlib import Path
from polypath.verify.sql import sql_verifier
databases, deadline, gold = sys.argv[1], float(sys.argv[2]), sys.argv[3]
verifier = sql_verifier(databases, deadline=deadline)
for line in sys.stdin:
    start = time.process_time()
    verdict = verifier(json.loads(line), gold)
    seconds = time.process_time() - start
    # Not ru_maxrss, which a child inherits from the process it was forked from.
    memory = int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
    print(json.dumps([verdict.status, verdict.correct, seconds, memory]), flush=True)
"""


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Databases, and empty folders for whatever a query might want to write."""
    folders = {name: tmp_path / name for name in ("databases", "here", "temporary")}
    for folder in folders.values():
        folder.mkdir()
    build_databases(folders["databases"])
    monkeypatch.chdir(folders["here"])
    for name in ("TMPDIR", "SQLITE_TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(name, str(folders["temporary"]))
    return folders


def fingerprint(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return content, size and time of change of every file below a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_size,
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_hostile_completions_without_a_pool(world):
    before = fingerprint(world["databases"])
    corpus = hostile_completions("singer", str(world["here"]))
    deadline = 0.25
    texts = [text for hostile in corpus.values() for text in (hostile, *ORDINARY[:1])]
    done = subprocess.run(
        [sys.executable, "-c", DIRECT, str(world["databases"]), str(deadline), COUNT],
        input="".join(json.dumps(text) + "\n" for text in texts),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    hostile, ordinary = dict(zip(corpus, results[::2], strict=True)), results[1::2]
    # SQLite looks at no deadline while it prepares a query; the limit of memory ends this one.
    most = {name: deadline + (4 if name == "exponential-ctes" else 1) for name in hostile}
    late = {name: result[2] for name, result in hostile.items() if result[2] > most[name]}
    assert late == {}
    assert all(correct for _, correct, _, _ in ordinary)
    assert max(memory for *_, memory in results) < 800 * 1024
    assert fingerprint(world["databases"]) == before
    assert fingerprint(world["here"]) == fingerprint(world["temporary"]) == {}
    # Only those whose result is the gold's one row, the number 5, by their own merit.
    assert {name for name, result in hostile.items() if result[1]} <= {"join-of-64"}


def test_hostile_completions_in_a_pool(world):
    before = fingerprint(world["databases"])
    corpus = hostile_completions("singer", str(world["here"]))
    assert len(corpus) >= 25
    # What takes its whole deadline was waited for above; here a share of them is enough.
    slow = ["endless-cte", "cross-product", "big-sort", "wide-blobs", "instr-loop", "trim-loop"]
    names = [name for name in corpus if name in slow or not takes_long(name)]
    options = {"databases": str(world["databases"]), "deadline": DEADLINE / 2}
    completions = [text for name in names for text in (corpus[name], *ORDINARY)]
    with WorkerPool(
        "polypath.verify.sql:sql_verifier", options=options, workers=2, deadline=DEADLINE
    ) as pool:
        assert pool.verify(ORDINARY[:1] * 2, [COUNT] * 2)[1].correct
        pids = pool.worker_pids
        start = time.monotonic()
        verdicts = pool.verify(completions, [COUNT] * len(completions))
        seconds = time.monotonic() - start
        assert sorted(pool.worker_pids) == sorted(pids)  # no worker was lost
    assert len(verdicts) == len(completions)
    rights = [verdict.correct for verdict in verdicts]
    for number in range(len(names)):
        assert rights[5 * number + 1 : 5 * number + 5] == [True, True, False, True]
    assert seconds < len(slow) * (DEADLINE / 2 + 1)
    statuses = dict(zip(names, [verdict.status for verdict in verdicts[::5]], strict=True))
    assert statuses["endless-cte"] is Status.TIMEOUT
    assert statuses["drop"] is statuses["attach-fenced"] is Status.GRADED
    assert fingerprint(world["databases"]) == before
    assert fingerprint(world["here"]) == fingerprint(world["temporary"]) == {}


def takes_long(name: str) -> bool:
    starts = ("endless", "cross", "big", "correlated", "wide", "printf", "group", "json-group")
    return name.startswith(starts) or name.endswith("loop") or name == "exponential-ctes"


def test_one_call_that_sqlite_cannot_interrupt_ends_with_the_pools_deadline(world):
    options = {"databases": str(world["databases"]), "deadline": 0.5}
    endless = "SELECT printf('%.*c', 2000000000, 'x')"
    with WorkerPool(
        "polypath.verify.sql:sql_verifier", options=options, workers=1, deadline=1.0
    ) as pool:
        start = time.monotonic()
        verdicts = pool.verify(["SELECT 5", endless, "SELECT 5"], [COUNT] * 3)
        assert time.monotonic() - start < 5
    assert [verdict.correct for verdict in verdicts] == [True, False, True]
    assert verdicts[1].status in (Status.TIMEOUT, Status.GRADED)
