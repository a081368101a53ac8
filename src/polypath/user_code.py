"""The user's own code: objects by ``path/to/file.py:name`` or ``package.module:name``, and what they give."""

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

LARGEST_REWARD = 3.4e38  # of float32, in which rewards are summed


def load_object(spec: str, what: str) -> Any:
    """Load what a user named by its place. Loading runs the code of its module.

    A file is loaded once in a process: two names from one file come from one module.

    Args:
        spec: ``"package.module:name"`` or ``"path/to/file.py:name"``.
        what: what it is for, named in errors: "similarity", "objective".

    Raises:
        MissingFileError: there is no such file.
        ConfigError: the text is not of that form, the module cannot be imported, or has no such name.
    """
    source, _, name = spec.rpartition(":")
    if not source or not name:
        raise ConfigError(
            f"Cannot read {what} {spec!r}. Expected 'module:name' or 'path/to/file.py:name'."
        )
    is_file = source.endswith(".py")
    if (
        os.getcwd() not in sys.path
    ):  # a module beside where the command runs, as TRL's script has it
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
    """Load a function, or another object that can be called, as ``load_object`` does.

    Raises:
        MissingFileError, ConfigError: as ``load_object``; ConfigError also where it cannot be called.
    """
    found = load_object(spec, what)
    if not callable(found):
        raise ConfigError(f"{what} {spec!r} must be a function, got {type(found).__name__}.")
    return found


def _import_file(path: Path) -> ModuleType:
    # Path and time are in the name: two files of one name must not take each other's place, nor an
    # edited file that of the one before.
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
    """Say in one line which function of the user's failed inside, how and where.

    Args:
        who: the function, for the error: "The reward function even".

    Raises:
        DataError: from what was raised, whose traceback stays behind it; a ``PolypathError`` passes.
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
    """Return what a reward function gave for each completion: a number, or None for "not scored".

    NaN is "not scored" as well.

    Args:
        rewards: what it returned.
        count: of the completions.
        who: the function, for the errors.

    Raises:
        DataError: it is something else, of another length, or infinite; or taking it out of what the
            function returned (a generator, say) failed.
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
