"""What a GPU session records, continues and leaves; with units that take no time."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("gpu_session", reason="scripts/ is not here")

from gpu_session import machine, run_all, several_weights, to_run
from gpu_units import FULL, LEFT, METHODS, TOY, Unit, session


def unit(name: str, code: str = "", **given: Any) -> Unit:
    command = [sys.executable, "-S", "-c", code, *given.pop("words", [])]
    return Unit(name=name, commands=[command], **{"least": 0.0, **given})


def states(units: list[Unit], out: Path, *, seconds: float = 60.0) -> dict[str, str]:
    (out / "done").mkdir(exist_ok=True)
    return run_all(units, out, out / "models", {"gpu": "a card"}, time.monotonic() + seconds)


def record(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / "done" / f"{name}.json").read_text())


def test_a_unit_that_ended_is_recorded_and_not_run_again(tmp_path: Path) -> None:
    counts = f"open({str(tmp_path / 'count')!r}, 'a').write('x')"
    units = [unit("one", counts), unit("two", "raise SystemExit(5)"), unit("three", after=("two",))]
    for _ in range(2):
        assert states(units, tmp_path) == {
            "one": "done",
            "two": "failed with exit status 5",
            "three": "waits for two",
        }
    assert (tmp_path / "count").read_text() == "x"
    assert record(tmp_path, "one")["machine"] == {"gpu": "a card"}


def test_a_unit_that_is_cut_off_leaves_no_record(tmp_path: Path) -> None:
    slow = unit("slow", "import os, time; print('begun', os.getpid(), flush=True); time.sleep(60)")
    start = time.monotonic()
    assert states([slow], tmp_path, seconds=2)["slow"].startswith("cut off after")
    assert time.monotonic() - start < 30
    assert not list((tmp_path / "done").iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "slow.log").read_text().split()[-1]), 0)
    assert "begun" in (tmp_path / "slow.log").read_text()


def test_a_unit_is_not_started_without_its_time_or_its_packages(tmp_path: Path) -> None:
    found = states([unit("long", least=99.0), unit("odd", needs=("no_such_module",))], tmp_path)
    assert found["long"].startswith("waits: needs 99 s")
    assert found["odd"] == "left out: no_such_module not installed"


def test_a_command_is_told_the_seconds_that_are_left(tmp_path: Path) -> None:
    told = unit("told", "import sys; print(sys.argv[1])", words=[LEFT])
    assert states([told], tmp_path, seconds=100) == {"told": "done"}
    assert 60 < int((tmp_path / "told.log").read_text().split()[-1]) <= 85


def test_a_lost_model_is_made_again_only_for_a_unit_that_needs_it(tmp_path: Path) -> None:
    lost = tmp_path / "model"
    units = [unit("make", keeps=(lost,)), unit("use", after=("make",)), unit("other")]
    recorded = {"make": {}, "use": {}, "other": {}}
    assert to_run(units, recorded) == set()
    del recorded["use"]
    assert to_run(units, recorded) == {"make", "use"}
    lost.touch()
    assert to_run(units, recorded) == {"use"}


def test_a_result_is_copied_beside_the_records(tmp_path: Path) -> None:
    source, target = tmp_path / "models" / "log", tmp_path / "logs" / "log"
    source.parent.mkdir()
    source.write_text("steps")
    states([unit("train", copies=((source, target),))], tmp_path)
    assert target.read_text() == "steps"


def test_methods_that_started_from_other_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "models" / "smollm2_warm").mkdir(parents=True)
    weights = tmp_path / "models" / "smollm2_warm" / "model.safetensors"
    for number, name in enumerate(["sample-base", "train-grpo"]):
        weights.write_text(str(number))
        assert several_weights(tmp_path) is None
        states([unit(name)], tmp_path)
    assert "train-grpo" in (several_weights(tmp_path) or "")


@pytest.mark.parametrize("sizes", [FULL, TOY], ids=["full", "toy"])
def test_the_session_ends_with_results_of_the_base_and_every_method(
    sizes: Any, tmp_path: Path
) -> None:
    units = session(tmp_path, tmp_path / "models", "cpu", sizes)
    names = [one.name for one in units]
    assert names[-1] == "results"
    assert {*units[-1].after} == {f"sample-{name}" for name in ("base", *METHODS)}
    for place, one in enumerate(units):
        assert {*one.after} <= {*names[:place]}  # units run in their order


def test_the_machine_is_checked() -> None:
    found = machine("cpu")
    assert 0 < found["bfloat16_error"] < 0.02
    assert found["versions"]["torch"]
