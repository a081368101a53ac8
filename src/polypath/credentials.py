"""Keys, tokens and passwords: recognise their names and forms, and remove them from texts.

Every ``PolypathError`` passes its message through ``redact``. A text that is shown only in part goes through
``one_line``, which first hides keys and then cuts, so that half a key is never left.
"""

import os
import re
import urllib.parse
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "[hidden]"
_LEAST = 5  # shortest value that is hidden wherever it occurs; "1" is in any text
_NAME = re.compile(
    r"(?:^|_)(?:(?:api|access|secret|private|auth|account|service|signing|encryption|subscription|ssh|aws"
    r"|hf|hub|wandb|openai|azure|anthropic|comet|neptune|kaggle)_?keys?(?:_id)?|(?:api|access|auth|bearer"
    r"|refresh|session|hub|hf|id)_tokens|token|\w*secrets?|\w*passw(?:or)?ds?|pass(?:phrase|code)|\w+_pass|pwd"
    r"|auth|(?:proxy_)?authori[sz]ation|bearer|credentials?|(?:set_)?cookies?|sig(?:nature)?)$"
    r"|apikeys?$|(?:auth|access|hub|hf|gh|session|refresh)token$|token_secret$"
)
_VOCABULARY = re.compile(  # names about a tokenizer's tokens, their counts and weights
    r"(?:^|_)(?:pad|eos|bos|unk|sep|cls|mask|image|audio|video|special|start|end|stop|think|per|next|last"
    r"|first|new|each|one|by)_token$"
)
_VARIABLE = re.compile(r"KEYS?\b|_KEY_|TOKEN\b|_PAT\b", re.ASCII)  # only for environment variables
# Servers choose the texts. Every repetition starts at its own place or is bounded, so none is slow.
_NAMED = re.compile(
    r"""(?<![\w-])(?P<name>-{0,2}[A-Za-z][\w-]{0,200})(?P<sign>["']?\s*(?::(?!//)|=>?)\s*(?:b?["'](?=[^\s"']))?)"""
    r"""(?P<value>(?<=")(?:[^"\\]|\\.)+|(?<=')(?:[^'\\]|\\.)+|[^\s"',;&)}\]]+)"""
)
_FLAG = re.compile(
    r"""(?<![\w-])(?P<name>--[A-Za-z][\w-]{0,200})(?P<sign>["']?,?\s+["']?)"""
    r"""(?P<value>[^\s"',;&()}\]-][^\s"',;&)}\]]*)"""
)
_FORMS = (
    (re.compile(r"//(?:[^\s/@]{1,500}|[^\s/@:]{0,200}:[^\s@]{1,500})@"), f"//{HIDDEN}@"),
    (
        re.compile(r"(?<![\w@.+-])[\w.+-]{1,200}:[^\s/@:]{1,500}@(?=[\w.-]{1,200}[:/])"),
        f"{HIDDEN}@",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+(?!auth|token)[\w.~+/=-]{6,}", re.I), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"\b(?:hf_|sk-|sk_|pk_|gh[pousr]_|github_pat_|glpat-|xox[abpr]-|AKIA|ASIA|AIza|npm_|r8_)"
            r"[\w-]{10,}"
        ),
        HIDDEN,
    ),
)
_remembered: set[str] = set()


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Return whether this is the name of a key, a token or a password.

    >>> [is_secret(name) for name in ("hub_token", "WANDB_API_KEY", "--password", "eos_token", "max_tokens")]
    [True, True, True, False, False]
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower().strip("_")
    return bool(_NAME.search(words)) and not _VOCABULARY.search(words)


def remember(value: str) -> None:
    """Hide this value from now on, in any text and under any name, unless it is very short."""
    if len(value.strip()) >= _LEAST:
        _remembered.add(value.strip())


def redact(text: str) -> str:
    """Return the text without keys: those of the environment, remembered, named, or of a well-known form."""
    known = _remembered | {
        value.strip()
        for name, value in os.environ.items()
        if _is_secret_variable(name) and len(value.strip()) >= _LEAST
    }
    written = {
        form
        for value in known
        for form in (value, urllib.parse.quote(value, safe="", errors="replace"))
    }
    if written:
        longest_first = sorted(written, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), HIDDEN, text)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    for pattern in (_NAMED, _FLAG):
        text = pattern.sub(_without_value, text)
    return text


def _without_value(found: re.Match[str]) -> str:
    kept = not is_secret(found["name"]) or found["value"].startswith(HIDDEN[:-1])
    return found[0] if kept else f"{found['name']}{found['sign']}{HIDDEN}"


def hidden(content: Any, name: str = "") -> Any:
    """Return settings without keys: hides values with secret names, and keys within other texts.

    Args:
        content: values of any kind, in mappings and lists of any depth.
        name: name of the setting.
    """
    if isinstance(content, Mapping):
        return {key: hidden(value, str(key)) for key, value in content.items()}
    if is_secret(name) and not (content is None or isinstance(content, bool) or content == ""):
        return HIDDEN
    if isinstance(content, list | tuple):
        return [hidden(value) for value in content]
    return redact(content) if isinstance(content, str) else content


def remember_all(content: Any, name: str = "") -> None:
    """Remember every key in some settings, which may be nested."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            remember_all(value, str(key))
    elif isinstance(content, list | tuple):
        for value in content:
            remember_all(value, name)
    elif isinstance(content, str) and is_secret(name):
        remember(content)


def one_line(text: object, most: int | None = None) -> str:
    """Return foreign text on one line, without keys and then cut to ``most`` characters."""
    return " ".join(redact(str(text)).split())[:most]


def environment_without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for code that must not see any key."""
    return {
        name: value
        for name, value in environ.items()
        if not _is_secret_variable(name) and redact(value) == value
    }


@lru_cache(maxsize=4096)
def _is_secret_variable(name: str) -> bool:
    return (is_secret(name) and name not in ("PWD", "OLDPWD")) or bool(
        _VARIABLE.search(name.upper())
    )
