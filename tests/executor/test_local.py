"""Processes of this machine: what they are given, what comes back, and what ends them."""

import os
from pathlib import Path

import pytest

from polypath.errors import ConfigError
from polypath.executor.local import LocalExecutor
from polypath.executor.open import open_executor
from polypath.executor.protocol import Unit, WorkerLost, WorkerSettings, results
from tests.executor import units


def test_workers_have_what_the_settings_say(tmp_path: Path) -> None:
    settings = WorkerSettings(cpus=3, environment={"GIVEN": "x"}, log=tmp_path / "log")
    with open_executor(None, settings, workers=1) as executor:
        ((_, told),) = results(executor, [Unit(name="a", function=units.tell)])
    assert (told["threads"], told["given"], told["folder"]) == ("3", "x", os.getcwd())
    assert told["pid"] != os.getpid()
    assert "printed by a unit" in (tmp_path / "log").read_text()


def test_a_worker_makes_its_state_once_and_functions_get_it() -> None:
    with open_executor(None, WorkerSettings(state=list), workers=1) as executor:
        asked = (Unit(name=str(n), function=units.counted) for n in range(5))
        assert sorted(value for _, value in results(executor, asked)) == [1, 2, 3, 4, 5]


def test_an_error_comes_back_as_it_was_raised() -> None:
    failing = Unit(name="a", function=units.fail, arguments={"error": ConfigError("no such thing")})
    with (
        pytest.raises(ConfigError, match="no such thing"),
        open_executor(None, WorkerSettings(), workers=1) as executor,
    ):
        list(results(executor, [failing]))


def test_a_worker_that_dies_is_named() -> None:
    executor = LocalExecutor(WorkerSettings(), 1)
    try:
        executor.submit(Unit(name="the deadly one", function=units.die))
        with pytest.raises(WorkerLost, match="the deadly one"):
            executor.finished(60)
    finally:
        executor.close(kill=True)
