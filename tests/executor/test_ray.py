"""On a Ray cluster of two nodes the results are those of this machine, and a lost node costs its units."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from polypath.rollouts import RolloutStore
from tests.forks import python
from tests.rehearsal.adder import save_adder

pytest.importorskip("ray", reason="Ray is not installed (pip install 'polypath[ray]')")
pytestmark = pytest.mark.skipif(
    " " in sys.executable, reason="Ray starts no workers with a Python whose path has a space"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Do everything on one cluster; return the folder and what happened."""
    folder = tmp_path_factory.mktemp("ray")
    save_adder(folder / "model")
    done = subprocess.run(
        [*python(), "-m", "tests.executor.ray_runs", str(folder / "model"), str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    assert "(raylet)" not in done.stdout + done.stderr  # Ray keeps its messages to itself
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_a_lost_node_costs_its_unfinished_units_and_nothing_else(runs: Any) -> None:
    told = runs[1]["lost"]
    names = told["names"]
    assert told["workers"] == 4
    assert told["values"] == sorted(name.upper() for name in names)
    assert len(told["ended before"]) < len(names)
    assert 1 <= len(told["lost"]) <= 2  # the node had two workers
    began = Counter(told["began"])  # a unit can be lost before it begins; all others begin once
    assert Counter(names) <= began <= Counter(names) + Counter(told["lost"])
    assert set(told["ended"]) == set(names)
    assert sum("was lost" in line for line in told["said"]) == len(told["lost"])
    assert "4 worker(s) of 1 CPU(s)" in told["said"][0]


def test_what_a_unit_raises_prints_and_sees(runs: Any) -> None:
    told = runs[1]["errors"]
    assert told["bad"] == ["ConfigError", "no such"]
    assert told["good"]["threads"] == "1"
    assert told["good"]["given"] == "x"
    assert told["good"]["folder"] == str(ROOT)
    assert "printed by a unit" in told["log"]
    assert [name for name in told["left"] if not name.endswith(".log")] == []


def test_a_unit_that_kills_its_workers_ends_after_three(runs: Any) -> None:
    told = runs[1]["errors"]
    assert told["deadly"][0] == "WorkerLost"
    assert "3 times" in told["deadly"][1]
    assert told["begun again"] == ["deadly", "deadly"]


def test_a_worker_that_cannot_begin_names_its_node(runs: Any) -> None:
    assert "There is no such model." in runs[1]["refused"]
    assert runs[1]["refused"].startswith("Node ")


def test_ctrl_c_ends_the_workers(runs: Any) -> None:
    told = runs[1]["interrupted"]
    assert len(told["began"]) == 2
    assert told["seconds"] < 40  # a unit takes 60


def test_jobs_of_a_study_wait_for_each_other_and_are_not_done_twice(runs: Any) -> None:
    told = runs[1]["jobs"]
    assert told["seconds"] == ["a", "b", "c"]
    assert told["same"]
    assert "3 of 3 jobs" in told["told"]
    assert len(told["logs"]) == 1  # one a machine


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = {p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("command", ["sample", "presample", "score"])
def test_files_are_those_of_this_machine_byte_for_byte(runs: Any, command: str) -> None:
    folder, told = runs[0] / "commands", runs[1]["commands"]
    assert told[f"{command} here"] == told[f"{command} there"] == 0
    here, there = (bytes_of(folder / way / command) for way in ("here", "there"))
    assert here == there
    assert any(name.endswith(".parquet") for name in here)


def test_a_verifier_that_hangs_is_ended_on_the_cluster_too(runs: Any) -> None:
    store = RolloutStore.open(runs[0] / "commands" / "there" / "score" / "samples")
    found = Counter(
        status for batch in store.iter_batches(["status"]) for status in batch[0].to_pylist()
    )
    assert set(found) == {"graded", "timeout"}
