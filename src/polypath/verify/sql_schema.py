"""The tables and columns of a database, to resolve the names in a query."""

import string
from collections.abc import Collection, Mapping

ROW_IDS = frozenset({"rowid", "oid", "_rowid_"})
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def folded(name: str) -> str:
    """Return a name in lower case as SQLite compares names: only ASCII letters change."""
    return name.translate(_LOWER)


class Schema:
    """Which tables a database has, with their columns; compared by identity.

    Args:
        columns: names of columns by name of table.
    """

    __slots__ = ("columns", "every_column")

    def __init__(self, columns: Mapping[str, Collection[str]]) -> None:
        self.columns = {
            folded(table): frozenset(map(folded, names)) for table, names in columns.items()
        }
        self.every_column = frozenset().union(*self.columns.values(), ROW_IDS)
