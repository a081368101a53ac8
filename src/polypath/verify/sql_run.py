"""Run one untrusted query on a SQLite file: read only, bounded in time, rows, bytes and memory.

What confines a query:

- the file is opened ``mode=ro`` and ``immutable=1``: no lock, no journal, no write-ahead log;
- an authorizer that knows four actions (select, read a column, call a function of ``FUNCTIONS``,
  recurse in a CTE) and denies the rest, including every ``PRAGMA``, ``ATTACH`` and write;
- SQLite's own limits on lengths, depths and numbers of terms (``FIXED_LIMITS``);
- a deadline, enforced by a progress handler and by a thread that interrupts the query;
- temporary tables and sorters in memory, and a cap on all memory of SQLite.

SQLite checks for an interrupt at jumps of its program, not within a function: one call of, for example,
``replace`` on the longest text allowed runs to its end. Only ending the process stops it, which is what
a pool of workers does.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from polypath.verify.sql_compare import QueryResult, Row, rounded
from polypath.verify.sql_guard import FIXED_LIMITS, SqlLimits, authorize

FailureKind = Literal["query", "size", "timeout", "memory", "database"]

OPEN_DATABASES = 16  # connections kept by one runner; the least recently used is closed
PROGRESS_STEPS = 5_000  # instructions of SQLite's machine between checks of the clock
WATCH_SECONDS = 0.05
CELL_BYTES = 16  # counted for a value without a length


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a query has no result.

    Attributes:
        kind: ``"query"`` it does not run or is not allowed, ``"size"`` its result is too large,
            ``"timeout"``, ``"memory"``, ``"database"`` the file cannot be read.
        why: one line for the user.
    """

    kind: FailureKind
    why: str


class _Watch(threading.Thread):
    """Interrupts queries past their deadline; one thread per process, asleep when idle."""

    def __init__(self) -> None:
        super().__init__(name="polypath-sql-watch", daemon=True)
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._busy = threading.Event()
        self._due: dict[sqlite3.Connection, float] = {}

    def add(self, connection: sqlite3.Connection, due: float) -> None:
        """Watch a query until ``remove``; ``due`` is a time of ``time.monotonic``."""
        with self._lock:
            self._due[connection] = due
        self._busy.set()

    def remove(self, connection: sqlite3.Connection) -> None:
        """Stop watching; after this the connection is not interrupted."""
        with self._lock:
            self._due.pop(connection, None)

    def run(self) -> None:
        """Check the clock while there is anything to watch."""
        while True:
            self._busy.wait()
            with self._lock:
                if not self._due:
                    self._busy.clear()
                now = time.monotonic()
                for connection, due in self._due.items():
                    if now > due:
                        connection.interrupt()
            time.sleep(WATCH_SECONDS)


_watch: _Watch | None = None
_watch_lock = threading.Lock()


def _watcher() -> _Watch:
    """Return the watching thread of this process; a fork starts its own."""
    global _watch
    if _watch is None or _watch.pid != os.getpid():
        with _watch_lock:
            if _watch is None or _watch.pid != os.getpid():
                _watch = _Watch()
                _watch.start()
    return _watch


class Database:
    """One SQLite file, open for reading."""

    def __init__(self, path: Path, limits: SqlLimits) -> None:
        """Open the file; ``sqlite3.Error`` if it is not a readable database."""
        self._limits = limits
        self._due = float("inf")
        self._connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self.columns = self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> dict[str, frozenset[str]]:
        """Read the schema, then forbid everything but reading."""
        connection, limits = self._connection, self._limits
        # Text is read as in Spider's evaluation: its databases hold bytes that are not UTF-8.
        connection.text_factory = lambda raw: raw.decode(errors="ignore")
        if limits.heap_bytes:
            connection.execute(f"PRAGMA hard_heap_limit = {int(limits.heap_bytes)}").fetchall()
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA trusted_schema = OFF")
        columns: dict[str, frozenset[str]] = {}
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        ).fetchall():
            rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
            columns[table] = frozenset(name for (name,) in rows)
        # First use sets up a table function, for which an authorizer would have to allow writing.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").fetchall()
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.max_value_bytes)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, limits.max_query_bytes)
        for limit, value in FIXED_LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_progress_handler(lambda: time.monotonic() > self._due, PROGRESS_STEPS)
        connection.set_authorizer(authorize)
        return columns

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def run(self, query: str) -> QueryResult | Failure:
        """Run a query and fetch its rows; never raises, whatever the query is."""
        watch = _watcher()
        self._due = time.monotonic() + self._limits.deadline
        watch.add(self._connection, self._due)
        try:
            cursor = self._connection.execute(query)
            try:
                return self._fetch(cursor)
            finally:
                cursor.close()
        except MemoryError:
            return Failure(kind="memory", why=f"needs more than {self._limits.heap_bytes} bytes")
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            return self._failure(error)
        finally:
            watch.remove(self._connection)
            self._due = float("inf")

    def _failure(self, error: Exception) -> Failure:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        # Past the deadline a callback may also have been cut short; SQLite reports that differently.
        if code == sqlite3.SQLITE_INTERRUPT or time.monotonic() > self._due:
            return Failure(kind="timeout", why=f"ran over {self._limits.deadline} s")
        broken = code & 0xFF in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_NOTADB,
        )
        return Failure(kind="database" if broken else "query", why=str(error))

    def _fetch(self, cursor: sqlite3.Cursor) -> QueryResult | Failure:
        """Read row by row, so that no more than the caps allow is ever held."""
        limits = self._limits
        if cursor.description is None:
            return Failure(kind="query", why="it returns no table")
        width = len(cursor.description)
        rows: list[Row] = []
        size = 0
        for row in cursor:
            size += CELL_BYTES * width
            floats = False
            for value in row:
                kind = type(value)
                if kind is str or kind is bytes:
                    size += len(value)
                elif kind is float:
                    floats = True
            if len(rows) >= limits.max_rows or size > limits.max_result_bytes:
                cap = f"{limits.max_rows} rows or {limits.max_result_bytes} bytes"
                return Failure(kind="size", why=f"returns more than {cap}")
            if floats:
                row = tuple(rounded(v) if type(v) is float else v for v in row)
            rows.append(row)
        return QueryResult(width=width, rows=rows, size=size)


class Runner:
    """Runs queries on the databases of one folder; keeps the last few open.

    Not for several threads at once. A fork of the process opens its own connections.
    """

    def __init__(self, folder: Path, limits: SqlLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._open: OrderedDict[str, Database] = OrderedDict()
        self._pid = os.getpid()
        # The parent's connections: dropping them would close them, which SQLite forbids after a fork.
        self._inherited: list[Any] = []

    def database(self, db_id: str) -> Database | Failure:
        """Return the open database, or why there is none."""
        if self._pid != os.getpid():
            self._inherited.append(self._open)
            self._open, self._pid = OrderedDict(), os.getpid()
        if db_id in self._open:
            self._open.move_to_end(db_id)
            return self._open[db_id]
        # One plain folder name: a db_id must not lead out of the folder.
        if not db_id or db_id in (".", "..") or set(db_id) & set("/\\\0"):
            return Failure(kind="database", why=f"db_id {db_id!r} is no folder name")
        path = self._folder / db_id / f"{db_id}.sqlite"  # the layout of Spider and of BIRD
        if not path.is_file():
            return Failure(kind="database", why=f"there is no file {path}")
        try:
            self._open[db_id] = Database(path, self._limits)
        except (sqlite3.Error, MemoryError) as error:
            return Failure(kind="database", why=f"{path} cannot be read: {error}")
        if len(self._open) > OPEN_DATABASES:
            self._open.popitem(last=False)[1].close()
        return self._open[db_id]

    def run(self, db_id: str, query: str) -> QueryResult | Failure:
        """Run a query on a database; see ``Database.run``."""
        database = self.database(db_id)
        if isinstance(database, Failure):
            return database
        result = database.run(query)
        if isinstance(result, Failure) and result.kind == "memory":
            # SQLite stays usable, but frees its caches only with the connection.
            self._open.pop(db_id).close()
        return result
