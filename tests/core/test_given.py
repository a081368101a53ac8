"""What a trainer is given: every fault is one line that names it."""

import asyncio
import functools
import math

import numpy as np
import pytest
import torch

from polypath.core.given import check_loggers, checked_functions, logger_errors, own_errors
from polypath.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    MissingFileError,
    PolypathError,
)

TEXTS = ["a", "b", "c"]


def reward(given, completions=TEXTS, name="mine"):
    """Return what a trainer sees of a function that gives this."""
    (function,) = checked_functions([lambda **_: given], [name])
    return function(completions=completions)


@pytest.mark.parametrize(
    "given",
    [
        [1, 0.5, None],
        (1.0, 0.5, math.nan),
        np.array([1.0, 0.5, np.nan]),
        torch.tensor([1.0, 0.5, math.nan]),
        [np.float32(1.0), torch.tensor(0.5), None],
        (number for number in (True, 0.5, None)),
    ],
)
def test_numbers_and_none_in_any_sequence_are_rewards(given):
    assert reward(given) == [1.0, 0.5, None]


@pytest.mark.parametrize(
    "given",
    [
        None,
        "abc",
        b"abc",
        1.0,
        torch.tensor(1.0),
        {0: 1.0, 1: 1.0, 2: 1.0},
        {1.0, 2.0, 3.0},
        [1.0],
        [1.0] * 4,
        [],
        ["1.0"] * 3,
        [1.0, 2.0, "none"],
        [[1.0]] * 3,
        np.ones((3, 2)),
        torch.ones(3, 1),
        [1j] * 3,
        [object()] * 3,
        [math.inf, 0.0, 0.0],
        [0.0, -math.inf, 0.0],
        [1e39, 0.0, 0.0],
        [10**400, 0.0, 0.0],
    ],
)
def test_what_is_no_reward_is_refused_with_the_functions_name(given):
    with pytest.raises(DataError, match="mine") as error:
        reward(given)
    assert "\n" not in str(error.value)


def breaks(completions):
    return [{}["gold"] for _ in completions]


def breaks_late(completions):
    yield from breaks(completions)


async def breaks_later(completions):
    return breaks(completions)


class Asynchronous:
    async def __call__(self, completions, number=1.0):
        return [number] * len(completions)


@pytest.mark.parametrize("function", [breaks, breaks_late, breaks_later])
def test_a_bug_of_the_users_keeps_its_traceback_behind_one_line(function):
    (called,) = checked_functions([function], ["mine"])
    call = asyncio.run if function is breaks_later else list
    with pytest.raises(DataError, match=r"mine.*KeyError.*gold.*test_given\.py") as error:
        call(called(completions=TEXTS))
    assert isinstance(error.value.__cause__, KeyError)
    assert error.value.__cause__.__traceback__ is not None
    assert "\n" not in str(error.value)


def test_functions_that_are_awaited_stay_so():
    functions = [Asynchronous(), functools.partial(Asynchronous(), number=math.inf)]
    called = checked_functions(functions, ["one", "two"])
    assert asyncio.run(called[0](completions=TEXTS)) == [1.0] * 3
    with pytest.raises(DataError, match="two"):
        asyncio.run(called[1](completions=TEXTS))


def test_models_are_left_as_they_are():
    model = torch.nn.Linear(1, 1)
    assert checked_functions([model], ["model"]) == [model]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ImportError("install it"), MissingExtraError),
        (FileNotFoundError("gone"), MissingFileError),
        (ValueError("two\nlines"), ConfigError),
        (DataError("ours"), DataError),
    ],
)
def test_a_librarys_checks_are_errors_of_ours(raised, kind):
    with pytest.raises(kind) as error, own_errors():
        raise raised
    assert "\n" not in str(error.value)


def test_loggers_are_known_installed_and_set_up():
    def absent():
        raise RuntimeError("pip install it")

    known = {"here": absent, "never listed": object, "absent": absent}
    check_loggers(["here", "never listed"], known, ["here"])
    with pytest.raises(MissingExtraError, match=r"absent.*pip install it"):
        check_loggers(["absent"], known, ["here"])
    with pytest.raises(ConfigError, match=r"'hear'.*'here'"):
        check_loggers(["hear"], known, ["here"])


def test_what_a_logger_refuses_is_one_line_and_other_bugs_are_not():
    kind = type("UsageError", (Exception,), {"__module__": "wandb.errors"})
    with pytest.raises(PolypathError, match=r"wandb.*no key"), logger_errors(["wandb"]):
        raise kind("no key")
    with pytest.raises(kind), logger_errors(["tensorboard"]):
        raise kind("no key")
