"""The probe: pass@k and diversity of verdicts, and a warning when pass@k falls."""

import math
import warnings

import pytest

from polypath.core.probe import Probe
from polypath.errors import ConfigError
from polypath.tasks.base import Problem
from polypath.verify.base import Status, Verdict

PROBLEMS = [Problem(problem_id=str(i), prompt="?", gold=str(i)) for i in range(8)]
RIGHT = Verdict(status=Status.GRADED, reward=1.0, answer="a")
OTHER = Verdict(status=Status.GRADED, reward=1.0, answer="b")
WRONG = Verdict(status=Status.GRADED, reward=0.0, answer="c")


def test_values_by_hand():
    probe = Probe(PROBLEMS[:2], 2, (2, 1))
    found = probe.measure(0, [RIGHT, OTHER, WRONG, WRONG], [1.0, 3.0, 5.0, 7.0])
    assert found["pass@1"] == 0.5
    assert found["pass@2"] == 0.5
    assert found["distinct_correct"] == 1.0
    assert found["entropy_correct"] == 2.0
    assert found["entropy_wrong"] == 6.0
    assert "accuracy" not in found
    assert math.isnan(
        Probe(PROBLEMS[:1], 2, (1,)).measure(0, [RIGHT] * 2, [1.0] * 2)["entropy_wrong"]
    )


@pytest.mark.parametrize("status", [Status.ERROR, Status.TIMEOUT, Status.BAD_GOLD])
def test_what_could_not_be_verified_is_left_out(status):
    probe = Probe(PROBLEMS[:3], 2, (1, 2))
    unknown = Verdict(status=status)
    found = probe.measure(
        0, [RIGHT, unknown, RIGHT, WRONG, unknown, unknown], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    )
    assert found["pass@1"] == 0.75  # of two problems; the third has nothing to tell
    assert found["pass@2"] == 1.0  # of one: it takes two samples
    assert (found["all_correct"], found["all_wrong"], found["mixed"]) == (0.5, 0.0, 0.5)
    assert found["entropy_wrong"] == 4.0


def test_a_fall_is_told_at_its_step_and_noise_is_not():
    probe = Probe(PROBLEMS, 2, (1, 2))
    half = [RIGHT, WRONG] * 8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probe.measure(0, half, [1.0] * 16)
        probe.measure(10, half, [1.0] * 16)
    with pytest.warns(UserWarning, match="20"):
        probe.measure(20, [RIGHT, WRONG] + [WRONG] * 14, [1.0] * 16)
    assert probe.warned_at == [20]


@pytest.mark.parametrize(
    "bad", [([], 2, (1,)), (PROBLEMS, 1, (1,)), (PROBLEMS, 4, (8,)), (PROBLEMS, 4, ())]
)
def test_a_probe_that_cannot_be_is_refused(bad):
    with pytest.raises(ConfigError):
        Probe(*bad)
