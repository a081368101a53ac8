"""Options as ``KEY=VALUE`` texts, as commands and recipes pass them to a task."""

from collections.abc import Mapping, Sequence
from typing import Any

from polypath.errors import ConfigError


def key_values(
    texts: Sequence[str],
    *,
    setting: str = "--task-option",
    form: str = "KEY=VALUE",
    example: str = "data=problems.jsonl",
) -> dict[str, str]:
    """Read ``KEY=VALUE`` texts. The value may contain further equals signs.

    Args:
        texts: the given texts.
        setting: the option or key they were given with, for messages.
        form: form of a text, for messages.
        example: an example, for messages.

    Raises:
        ConfigError: a text is not of that form, or a key has two values.

    >>> key_values(["data=a.jsonl", "prompt=plain"])
    {'data': 'a.jsonl', 'prompt': 'plain'}
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise ConfigError(f"{setting} takes {form}, such as {example}, got {text!r}.")
        if found.setdefault(key, value) != value:
            raise ConfigError(
                f"{setting} gives {key} twice, {found[key]!r} and {value!r}. Leave one out."
            )
    return found


def option_texts(given: Any, *, setting: str = "task_options") -> list[str]:
    """Return the ``KEY=VALUE`` texts of a YAML value: a list of such texts, one text, or a mapping.

    Raises:
        ConfigError: it is none of these, or a value is not a text, number or truth value.

    >>> option_texts({"data": "a.jsonl", "deadline": 2.5, "revision": None})
    ['data=a.jsonl', 'deadline=2.5']
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        plain = {key: value for key, value in given.items() if value is not None}
        for key, value in plain.items():
            if not isinstance(value, str | int | float):
                raise ConfigError(
                    f"{setting} must give {key} one value, got {type(value).__name__} {value!r}."
                )
        return [f"{key}={_text(value)}" for key, value in plain.items()]
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(
            f"{setting} must be a list of KEY=VALUE texts or a mapping, got {given!r}."
        )
    return texts


def _text(value: str | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
