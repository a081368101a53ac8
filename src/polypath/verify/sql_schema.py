"""What a database has, as far as names in a query need it."""

from collections.abc import Collection, Mapping

_ROW_IDS = frozenset({"rowid", "oid", "_rowid_"})


class Schema:
    """Which tables a database has, with their columns; compared by identity.

    Args:
        columns: names of columns by name of table.
    """

    __slots__ = ("columns", "every_column")

    def __init__(self, columns: Mapping[str, Collection[str]]) -> None:
        self.columns = {
            table.lower(): frozenset(name.lower() for name in names)
            for table, names in columns.items()
        }
        self.every_column = frozenset().union(*self.columns.values(), _ROW_IDS)
