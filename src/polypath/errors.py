"""Every error that this library raises on purpose.

Each is also the builtin that it replaces, so ``except ValueError`` keeps working. The command line
prints one of these on one line and exits with code 2. Anything else is a bug and shows a traceback.
No message contains a key, a token or a password, even if it passes on another library's message.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from polypath.credentials import redact


class PolypathError(Exception):
    """Catch this to catch any error that polypath raises on purpose."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(redact(arg) if isinstance(arg, str) else arg for arg in args))


class ConfigError(PolypathError, ValueError):
    """A setting is missing, unknown, out of range, or cannot be combined with another."""


class ShapeError(PolypathError, ValueError):
    """An array does not have the shape that its name promises."""


class DataError(PolypathError, ValueError):
    """A file or a row does not contain what it should."""


class MissingFileError(PolypathError, FileNotFoundError):
    """A file or folder that was named does not exist."""

    def __str__(self) -> str:
        """Return the message only; FileNotFoundError would try to read an errno from it."""
        return str(self.args[0]) if self.args else ""


class MissingExtraError(PolypathError, ImportError):
    """An optional dependency is needed and not installed."""


@contextmanager
def needs_extra(what: str, extra: str) -> Iterator[None]:
    """Turn a failed import in this block into one line that says what to install.

    Raises:
        MissingExtraError: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("polypath"):
            raise  # a bug
        raise MissingExtraError(
            f"{what} needs {error.name}, which is not installed. Run: pip install 'polypath[{extra}]'"
        ) from error


LISTED_NAMES = 20  # more would bury the message


def unknown_name(kind: str, got: object, known: Iterable[str]) -> ConfigError:
    """Build the error for a name that is not in a registry. It names the closest known one.

    >>> print(unknown_name("similarity", "ngrams", ["ngram", "answer"]))
    Unknown similarity 'ngrams'. Did you mean 'ngram'? Known: answer, ngram.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(got), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listing = f" Known: {', '.join(names)}." if len(names) <= LISTED_NAMES else ""
    return ConfigError(f"Unknown {kind} {got!r}.{hint}{listing}")


def unknown_names(
    kind: str, got: Sequence[str], known: Iterable[str], fate: Callable[[str], str]
) -> ConfigError:
    """Build one error for all names that are not in a registry.

    ``kind`` is in the plural. ``fate`` says in a few words what to use instead of a name. If it returns
    nothing, the closest name is given.

    >>> print(unknown_names("keys", ["betta", "x", "old"], ["beta"], {"old": "is gone"}.get))
    Unknown keys: 'betta' (did you mean 'beta'?); 'x'; 'old' is gone.
    """
    names = sorted(known)

    def after(name: str) -> str:
        close = difflib.get_close_matches(name, names, n=1)
        return fate(name) or (f"(did you mean {close[0]!r}?)" if close else "")

    told = "; ".join(f"{name!r} {after(name)}".strip() for name in got)
    return ConfigError(f"Unknown {kind}: {told}.")
