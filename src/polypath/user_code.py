"""The user's own code: load objects by ``path/to/file.py:name`` or ``package.module:name``, check results."""

import hashlib
import importlib
import importlib.util
import math
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError, MissingFileError, PolypathError

LARGEST_REWARD = 3.4e38  # largest float32; rewards are summed in float32


def load_object(spec: str, what: str) -> Any:
    """Load an object that the user named by its place. Loading runs the code of its module.

    A file is loaded once per process: two names from one file come from one module.

    Args:
        spec: ``"package.module:name"`` or ``"path/to/file.py:name"``.
        what: its purpose, named in errors: "similarity", "objective".

    Raises:
        MissingFileError: there is no such file.
        ConfigError: the text does not have that form, or the module cannot be imported or lacks the name.
    """
    source, _, name = spec.rpartition(":")
    if not source or not name:
        raise ConfigError(
            f"Cannot read {what} {spec!r}. Expected 'module:name' or 'path/to/file.py:name'."
        )
    is_file = source.endswith(".py")
    if (
        os.getcwd() not in sys.path
    ):  # a module in the folder where the command runs, as with TRL's script
        sys.path.insert(0, os.getcwd())
    if is_file and not Path(source).is_file():
        raise MissingFileError(f"{what} {spec!r}: there is no file {source!r}.")
    try:
        module = _import_file(Path(source)) if is_file else importlib.import_module(source)
    except Exception as error:  # the user's module may raise anything
        reason = one_line(error)
        raise ConfigError(
            f"{what} {spec!r}: importing {source!r} failed with {type(error).__name__}: {reason}"
        ) from error
    if not hasattr(module, name):
        raise ConfigError(f"{what} {spec!r}: {source!r} has no {name!r}.")
    return getattr(module, name)


def load_function(spec: str, what: str) -> Any:
    """Load a function or another callable object, as ``load_object`` does.

    Raises:
        MissingFileError, ConfigError: as ``load_object``; ConfigError also if it cannot be called.
    """
    found = load_object(spec, what)
    if not callable(found):
        raise ConfigError(f"{what} {spec!r} must be a function, got {type(found).__name__}.")
    return found


def _import_file(path: Path) -> ModuleType:
    # The name contains path and time, so that two files with one name, or an edited file and its older
    # version, do not replace each other.
    place = f"{path.resolve()} {path.stat().st_mtime_ns}"
    name = f"polypath_user_{path.stem}_{hashlib.sha256(place.encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the suffix .py always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def blamed(who: str) -> Iterator[None]:
    """Report in one line which function of the user failed in this block, how and where.

    Args:
        who: the function, for the error: "The reward function even".

    Raises:
        DataError: from the original error, which keeps its traceback. A ``PolypathError`` passes unchanged.
    """
    try:
        yield
    except PolypathError:
        raise
    except Exception as error:  # the user's function may raise anything
        ours = str(Path(__file__).parent)
        calls = traceback.extract_tb(error.__traceback__)
        theirs = next((call for call in calls if not call.filename.startswith(ours)), None)
        place = "" if theirs is None else f" ({theirs.filename}, line {theirs.lineno})"
        reason = one_line(error)
        raise DataError(f"{who} failed with {type(error).__name__}: {reason}{place}.") from error


def checked_rewards(rewards: Any, count: int, who: str) -> list[float | None]:
    """Return a reward function's result for each completion: a number, or None for "not scored".

    NaN also means "not scored".

    Args:
        rewards: the returned value.
        count: number of completions.
        who: the function, for the errors.

    Raises:
        DataError: the value is of another type or length, or infinite; or reading it (from a generator,
            for example) failed.
    """
    no_list = isinstance(rewards, (str, bytes, Mapping, Set)) or not hasattr(rewards, "__iter__")
    if no_list or getattr(rewards, "shape", None) == ():  # a tensor of no axis has __iter__
        raise DataError(
            f"{who} must return a list of {count} numbers or None, got {_shown(rewards)}."
        )
    with blamed(who):
        found = list(rewards)
    if len(found) != count:
        raise DataError(f"{who} returned {len(found)} rewards for {count} completions.")
    return [None if reward is None else _number(reward, who) for reward in found]


def _number(reward: Any, who: str) -> float | None:
    try:
        if isinstance(reward, str | bytes) or getattr(reward, "shape", ()) != ():
            raise TypeError
        number = float(reward)
    except (TypeError, ValueError):
        raise DataError(f"{who} must return numbers or None, got {_shown(reward)}.") from None
    except OverflowError:
        number = math.inf
    if abs(number) > LARGEST_REWARD:
        raise DataError(f"{who} must return finite numbers or None, got {_shown(reward)}.")
    return None if math.isnan(number) else number


def _shown(value: Any) -> str:
    return one_line(repr(value), 80)
