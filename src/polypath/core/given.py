"""Checks of what a trainer is given, data and reward functions. Every fault is reported in one line."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from polypath.core.batches import check_enough_prompts
from polypath.credentials import one_line
from polypath.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    MissingFileError,
    PolypathError,
    unknown_name,
)
from polypath.user_code import blamed, checked_rewards

_KINDS: tuple[tuple[type[Exception], type[PolypathError]], ...] = (
    (ImportError, MissingExtraError),
    (OSError, MissingFileError),
    (ValueError, ConfigError),
)


@contextmanager
def own_errors() -> Iterator[None]:
    """Turn errors of a library's checks of settings, files and extras in this block into ours.

    Raises:
        MissingExtraError, MissingFileError, ConfigError: from an ImportError, an OSError or a ValueError.
    """
    try:
        yield
    except PolypathError:
        raise
    except (ImportError, OSError, ValueError) as error:
        kind = next(ours for theirs, ours in _KINDS if isinstance(error, theirs))
        raise kind(one_line(error)) from error


@contextmanager
def logger_errors(names: Sequence[str]) -> Iterator[None]:
    """Turn a logger's refusal in this block, such as to log without a key, into ``ConfigError``.

    Args:
        names: the setting ``report_to`` as a list.
    """
    try:
        yield
    except Exception as error:
        name = type(error).__module__.partition(".")[0]
        if name not in names:
            raise
        reason = one_line(error)
        raise ConfigError(f"report_to: {name} cannot be used. {reason}") from error


def check_given(named: Mapping[str, Any], *, has_template: bool = True) -> None:
    """Check the reward functions and the data sets of a trainer, as far as possible beforehand.

    Args:
        named: arguments of ``GRPOTrainer`` by name, its settings as ``args``.
        has_template: as in ``check_prompts``.

    Raises:
        ConfigError: a reward is not a function, or a data set is not one of the library ``datasets``.
        DataError: a data set has no rows, its first row has no prompt, or the training data has fewer rows
            than one generation takes.
    """
    rewards = named.get("reward_funcs")
    functions = [] if rewards is None else rewards if isinstance(rewards, list) else [rewards]
    for function in functions:
        if not (isinstance(function, str) or callable(function)):
            raise ConfigError(
                f"reward_funcs must be a function or a list of them, got {function!r}."
            )
    evaluated = named.get("eval_dataset")
    # There may be several of these.
    parts = list(evaluated.values()) if isinstance(evaluated, Mapping) else [evaluated]
    data = [("train_dataset", named.get("train_dataset")), *(("eval_dataset", p) for p in parts)]
    for name, part in data:
        if part is None:
            continue
        if isinstance(part, Mapping) or not hasattr(part, "column_names"):
            raise ConfigError(
                f"{name} must be a datasets.Dataset, got {type(part).__name__}. "
                "datasets.Dataset.from_list(rows) makes one, and data['train'] takes a split."
            )
        if hasattr(part, "num_rows"):  # the rows of a stream are checked when they arrive
            if not part.num_rows:
                raise DataError(f"{name} has no rows.")
            check_prompts([part[0]], f"The first row of {name}", has_template=has_template)
    config, rows = named.get("args"), named.get("train_dataset")
    if config is not None and rows is not None and hasattr(rows, "num_rows"):
        check_enough_prompts(rows.num_rows, config.generation_batch_size, config.num_generations)


def check_prompts(rows: Iterable[Mapping[str, Any]], where: str, *, has_template: bool) -> None:
    """Check that every row has a prompt that the model can read.

    Args:
        rows: rows of a data set.
        where: description of the rows, for the errors: "A row of the training data".
        has_template: whether every tokenizer that will read them has a chat template.

    Raises:
        DataError: a row has no prompt, or one that is neither a text nor chat messages.
        ConfigError: a prompt is chat messages, and no chat template turns these into a text.
    """
    for row in rows:
        if "prompt" not in row:
            raise DataError(
                f"{where} has no column 'prompt', but {', '.join(map(str, row))}. Rename the column that "
                "holds the questions."
            )
        prompt = row["prompt"]
        chat = isinstance(prompt, list) and all(
            isinstance(message, Mapping) and "role" in message for message in prompt
        )
        if not prompt or not (chat or isinstance(prompt, str)):
            raise DataError(
                f"{where}: a prompt must be a text or chat messages, got {one_line(prompt, 60)!r}."
            )
        if chat and not has_template:
            raise ConfigError(
                f"{where} has chat messages for a prompt, and the tokenizer of the model, or of a reward "
                "model, has no chat template. Use an instruction-tuned model, pass a tokenizer with a "
                "template as processing_class, or give prompts as texts."
            )


def check_loggers(
    names: Iterable[str], known: Mapping[str, Callable[[], Any]], installed: Iterable[str]
) -> None:
    """Check that the loggers of a run are available.

    Args:
        names: the setting ``report_to`` as a list.
        known: every logger, with the class that makes it.
        installed: the installed ones, as far as known.

    Raises:
        ConfigError: a name is unknown.
        MissingExtraError: a package is not installed, or not set up.
    """
    for name in names:
        if name not in known:
            raise unknown_name("report_to", name, known)
        if name in installed:
            continue
        try:  # some are never listed as installed
            known[name]()
        except (ImportError, RuntimeError) as error:
            reason = one_line(error)
            raise MissingExtraError(f"report_to: {name} cannot be used. {reason}") from error


def checked_functions(functions: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Return reward functions whose results are checked and whose errors are one line.

    Models among them are returned unchanged.

    Args:
        functions: functions that a trainer calls by keyword, including ``completions``; some may be async.
        names: their names.
    """
    return [
        function if isinstance(function, nn.Module) else _checked(function, name)
        for function, name in zip(functions, names, strict=True)
    ]


def _checked(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    who = f"The reward function {name}"
    inner: Any = function
    while isinstance(inner, partial):
        inner = inner.func

    async def awaited(**given: Any) -> list[float | None]:
        with blamed(who):
            rewards = await function(**given)
        return checked_rewards(rewards, len(given["completions"]), who)

    def called(**given: Any) -> list[float | None]:
        with blamed(who):
            rewards = function(**given)
        return checked_rewards(rewards, len(given["completions"]), who)

    is_async = inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(inner.__call__)
    return awaited if is_async else called
