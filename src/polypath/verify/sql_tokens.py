"""A query as SQLite itself reads it: its tokens, and whether SQLite's parser accepts it."""

import re
import sqlite3
import threading
from functools import lru_cache

# As in sqlite3's tokenize.c: an unclosed quote runs to the end of the text.
_GAP = r"(?:[ \t\n\f\r]++|--[^\n]*|/\*(?s:.)*?(?:\*/|\Z))"
_TOKEN = re.compile(
    rf"""(?P<gap>{_GAP}++)
    |[xX]?'(?:[^']|'')*+(?:'|\Z)
    |"(?:[^"]|"")*+(?:"|\Z)
    |`(?:[^`]|``)*+(?:`|\Z)
    |\[[^\]]*(?:\]|\Z)
    |0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?
    |[\w$\x80-\U0010ffff]+
    |->>?|\|\||<<|>>|[<>=!]=|<>
    |(?s:.)""",
    re.VERBOSE | re.ASCII,
)
_OPENS = re.compile(rf"{_GAP}*+(?:SELECT|WITH|VALUES)\b", re.IGNORECASE | re.ASCII)


class _Parsers(threading.local):
    """A connection for each thread that runs nothing: every statement is denied once parsed."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)


_parsers = _Parsers()


def tokens(query: str) -> list[str]:
    """Return the tokens of a query as they are written, without comments.

    >>> tokens("SELECT 'a -- b', 1e3-1 -- thousand")
    ['SELECT', "'a -- b'", ',', '1e3', '-', '1']
    """
    return [found[0] for found in _TOKEN.finditer(query) if found["gap"] is None]


def one_space(query: str) -> str:
    """Replace white space and comments by one space, except within quotes.

    >>> one_space("SELECT  'a  b' -- both")
    "SELECT 'a  b'"
    """
    return _TOKEN.sub(lambda found: found[0] if found["gap"] is None else " ", query).strip()


@lru_cache(maxsize=64)  # each query is checked where it is found and where it is compared
def is_query(text: str) -> bool:
    """Whether SQLite's parser accepts a text as one query, whatever tables exist.

    A semicolon at its end is fine. Nothing is run, and no name is looked up.

    >>> is_query("SELECT a FROM t LIMIT 1"), is_query("SELECT a FROM t FETCH FIRST 1 ROW ONLY")
    (True, False)
    """
    try:
        _parsers.connection.execute(text)
    except sqlite3.Error as error:
        # Syntax is checked first: a denied statement has passed it.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_AUTH:
            return _OPENS.match(text) is not None and (
                ";" not in text or ";" not in tokens(text)[:-1]
            )
    except (sqlite3.Warning, ValueError, MemoryError, OverflowError):
        pass
    return False
