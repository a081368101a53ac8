"""What must be equal between a run by one process and a run by several."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.engines.trl.helpers import largest_difference, step_rounding
from tests.rounding import F32, rounding

# What is logged is at most about 10, from log-probabilities that sum tens of float32 products.
LOG_ROUNDING = rounding(50, size=10, eps=F32)
# Means over the completions that are left; a process may keep more of them than it needs.
NOT_COMPARED = {"skipping"}
LOGGED = ("diversity/", "positive_entropy/", "rehearsal/", "bank/", "history/")
LOGGED += ("gradient_share/", "eval_diversity/")


def found(folder: Path, case: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / f"{case}.json").read_text())
    return read


def check_parameters(one: Path, several: Path, case: str) -> None:
    here, there = (load_file(folder / f"{case}.safetensors") for folder in (one, several))
    assert largest_difference(here, there) < step_rounding(here)


def check_forwards(several: Path, case: str, processes: int) -> None:
    """With parameters split over processes a forward waits for all: one more would wait forever."""
    forwards = found(several, case)["forwards"]
    assert len(forwards) == processes
    assert len(set(forwards)) == 1


def check_log(one: Path, several: Path, case: str) -> None:
    """Compare what the methods log; not what TRL does, which are means of micro-steps' means."""
    if case in NOT_COMPARED:
        pytest.skip("logs means over rows that depend on how many processes there are")
    logs = [found(folder, case)["log"] for folder in (one, several)]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]]
    compared = 0
    for here, there in zip(*logs, strict=True):
        assert here.keys() == there.keys()
        for name in here:
            if name.startswith(LOGGED):
                assert there[name] == pytest.approx(here[name], abs=LOG_ROUNDING), name
                compared += 1
    assert compared > 20


def check_probes(one: Path, several: Path) -> None:
    probes = [found(folder, "all")["probe"] for folder in (one, several)]
    assert [line["step"] for line in probes[0]] == [0, 1, 2]
    for here, there in zip(*probes, strict=True):
        assert there == pytest.approx(here, abs=LOG_ROUNDING, nan_ok=True)


def check_resumed(several: Path, case: str = "all") -> None:
    straight, *others = (
        load_file(several / f"{case}, {way}.safetensors")
        for way in ("straight", "resumed", "loaded")
    )
    assert [largest_difference(straight, other) for other in others] == [0, 0]
