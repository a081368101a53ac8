"""What a database has, as far as names in a query need it."""

import string
from collections.abc import Collection, Mapping

ROW_IDS = frozenset({"rowid", "oid", "_rowid_"})
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def folded(name: str) -> str:
    """Return a name without case as SQLite compares names: only ASCII letters have one."""
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
