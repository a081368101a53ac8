"""What an untrusted query may do on SQLite and how much it may use: an authorizer and limits."""

import sqlite3
from dataclasses import dataclass

from polypath.errors import ConfigError

# Every function of SQLite's core, date, maths, JSON and window parts that reads only its arguments
# and gives the same value each time. Left out on purpose: random and randomblob (a
# verdict must not change from one run to the next), load_extension, fts3_tokenizer, sqlite_* and
# last_insert_rowid, changes, total_changes. Unknown to SQLite itself: readfile, writefile, edit.
_FUNCTION_NAMES = """
-> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat
concat_ws cos cosh count cume_dist current_date current_time current_timestamp date datetime
degrees dense_rank exp first_value floor format glob group_concat hex if ifnull iif instr json
json_array json_array_length json_each json_error_position json_extract json_group_array
json_group_object json_insert json_object json_patch json_pretty json_quote json_remove
json_replace json_set json_tree json_type json_valid julianday lag last_value lead length like
likelihood likely ln log log10 log2 lower ltrim max median min mod nth_value ntile nullif
octet_length percent_rank percentile percentile_cont percentile_disc pi pow power printf quote
radians rank replace round row_number rtrim sign sin sinh soundex sqrt strftime string_agg
substr substring sum tan tanh time timediff total trim trunc typeof unhex unicode unixepoch
unlikely upper zeroblob
"""
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
# Tables that hold no data: the schema, statistics of the file, the machine's own state.
_HIDDEN_TABLES = ("sqlite_", "pragma_", "dbstat", "fts", "bytecode", "tables_used")

FIXED_LIMITS = {
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


@dataclass(frozen=True, kw_only=True)
class SqlLimits:
    """Limits of one query.

    Attributes:
        deadline: most seconds, > 0.
        max_rows: most rows of a result, >= 1.
        max_result_bytes: most bytes of a result: text and blobs by length, other values as 16.
        max_value_bytes: longest text, blob or row SQLite may read or build.
        max_query_bytes: longest query.
        heap_bytes: most memory of SQLite, over all connections of the process, for the rest of its
            life: SQLite lets this cap be lowered but not raised. 0 for no cap.
    """

    deadline: float = 5.0
    max_rows: int = 100_000
    max_result_bytes: int = 32 * 2**20
    max_value_bytes: int = 250_000
    max_query_bytes: int = 20_000
    heap_bytes: int = 256 * 2**20

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.deadline > 0:
            raise ConfigError(f"deadline must be above 0 seconds, got {self.deadline!r}.")
        for name in ("max_rows", "max_result_bytes", "max_value_bytes", "max_query_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)!r}.")
        if self.heap_bytes < 0:
            raise ConfigError(f"heap_bytes must be 0 (no cap) or more, got {self.heap_bytes!r}.")


def authorize(
    action: int, first: str | None, second: str | None, _database: str | None, _by: str | None
) -> int:
    """Allow or deny one action of a query; an authorizer for ``sqlite3``."""
    if action == sqlite3.SQLITE_READ:
        hidden = first is not None and first.lower().startswith(_HIDDEN_TABLES)
        return sqlite3.SQLITE_DENY if hidden else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = second is not None and second.lower() in FUNCTIONS
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
    allowed = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
