"""Text-to-SQL: does a query return the same result as the gold query, on a SQLite file?

``sql_verifier`` makes the verifier; a pool calls this factory in each of its workers.
The gold is JSON, ``{"db_id": "concert_singer", "query": "SELECT ..."}``, and its database is
``<databases>/<db_id>/<db_id>.sqlite``, the layout of Spider and BIRD.
"""

import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from polypath.errors import ConfigError, MissingFileError, unknown_name
from polypath.verify.base import Status, Verdict
from polypath.verify.sql_canonical import canonical_sql, orders_rows, plain_text
from polypath.verify.sql_compare import (
    COMPARISONS,
    Compare,
    QueryResult,
    column_overlap,
    has_order_by,
    same_result,
)
from polypath.verify.sql_extract import extract_sql
from polypath.verify.sql_guard import SqlLimits
from polypath.verify.sql_run import Database, Failure, Runner
from polypath.verify.sql_schema import Schema

__all__ = ["SqlSettings", "SqlVerifier", "canonical_sql", "extract_sql", "sql_verifier"]

Partial = Literal["none", "column_overlap"]
PARTIAL_MAX = 0.5  # a reward above this counts as right everywhere, and partial credit must not
GOLD_CACHE_BYTES = 64 * 2**20

_SPLIT_OPERATOR = re.compile(r"([<>!]) =")
_SPACE = " \t\r\n\f\v"


@dataclass(frozen=True, kw_only=True)
class SqlSettings(SqlLimits):
    """How queries are verified, and the limits of each.

    Attributes:
        compare: rule of ``sql_compare.same_result``. Row order counts for ``"spider"`` if ORDER BY
            is written anywhere in the gold query (as in Spider's evaluation), for ``"strict"`` if
            the gold query orders its own rows (not those of a subquery), for ``"bird"`` never.
        partial: reward of a wrong query that runs: ``"none"`` 0, ``"column_overlap"``
            ``partial_max`` times ``sql_compare.column_overlap``.
        partial_max: in [0, 0.5]. The scorer of DPH-RL uses 0.8; here any reward above one half
            counts as right, so partial credit must not exceed it.
    """

    compare: Compare = "bird"
    partial: Partial = "none"
    partial_max: float = PARTIAL_MAX

    def __post_init__(self) -> None:
        """Check names and ranges."""
        super().__post_init__()
        if self.compare not in COMPARISONS:
            raise unknown_name("compare", self.compare, COMPARISONS)
        if self.partial not in get_args(Partial):
            raise unknown_name("partial", self.partial, get_args(Partial))
        if not 0 <= self.partial_max <= PARTIAL_MAX:
            raise ConfigError(
                f"partial_max must be in [0, {PARTIAL_MAX}], got {self.partial_max!r}: "
                "a reward above one half counts as right."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class _GoldResult:
    """A gold query with its result."""

    db_id: str
    table: QueryResult
    ordered: bool


class SqlVerifier:
    """Verifies completions against gold queries; made by ``sql_verifier``.

    Keeps the last few databases open and the results of gold queries (64 MiB of them at most).
    Safe for several threads, which take turns; a fork of the process opens its own files.
    """

    def __init__(self, databases: Path, settings: SqlSettings) -> None:
        """Keep the settings; ``MissingFileError`` if the folder of databases does not exist."""
        if not databases.is_dir():
            raise MissingFileError(
                f"No folder of databases at {databases}. Expected <name>/<name>.sqlite in it, "
                "as Spider and BIRD come; give its path as databases=PATH."
            )
        self._settings = settings
        self._runner = Runner(databases, settings)
        self._lock = threading.Lock()
        self._golds: OrderedDict[str, _GoldResult | Failure] = OrderedDict()
        self._failed_once: set[str] = set()
        self._gold_bytes = 0
        self._schemas: dict[str, Schema] = {}

    def __call__(self, completion: str, gold: str) -> Verdict:
        """Verify one completion.

        Args:
            completion: what the model wrote; ``extract_sql`` finds the query. Any text is safe.
            gold: the gold as JSON text.

        Returns:
            ``BAD_GOLD`` if the gold cannot be read, names no database, or its query fails or exceeds
            a cap (``gold_problem`` says which); ``NO_ANSWER`` if there is no query; ``TIMEOUT``
            over the deadline; ``ERROR`` if memory ran out or the file broke; else ``GRADED``.
            Then the reward is 1 for the gold result, and 0 (or partial credit) for another result,
            for a query that does not run or is not allowed, and for a result over the caps.
            The answer is ``canonical_sql``; where the query does not run or has none, it is the
            query's text without comments, with white space folded.
        """
        with self._lock:
            reference = self._gold(gold)
            if isinstance(reference, Failure):
                return Verdict(status=Status.BAD_GOLD)
            found = extract_sql(completion)
            if found is None:
                return Verdict(status=Status.NO_ANSWER)
            query = self._as_read(found)
            result = self._runner.run(reference.db_id, query)
            if isinstance(result, Failure) and result.kind == "timeout":
                return Verdict(status=Status.TIMEOUT)
            if isinstance(result, Failure) and result.kind in ("memory", "database"):
                return Verdict(status=Status.ERROR)
            answer = None
            if not isinstance(result, Failure) or result.kind != "query":
                answer = canonical_sql(query, self._schema(reference.db_id))
            reward = 0.0 if isinstance(result, Failure) else self._reward(reference, result)
            answer = answer or plain_text(query)
            return Verdict(status=Status.GRADED, reward=reward, answer=answer)

    def gold_problem(self, gold: str) -> str | None:
        """Say in one line why a gold gives ``BAD_GOLD``; ``None`` if it does not."""
        with self._lock:
            reference = self._gold(gold)
        return reference.why if isinstance(reference, Failure) else None

    def _reward(self, gold: _GoldResult, table: QueryResult) -> float:
        settings = self._settings
        if same_result(gold.table, table, settings.compare, ordered=gold.ordered):
            return 1.0
        if settings.partial == "none":
            return 0.0
        return settings.partial_max * column_overlap(gold.table, table)

    def _as_read(self, query: str) -> str:
        """Return the query as the evaluation reads it: Spider's turns ``> =`` into ``>=``, and so on."""
        return _SPLIT_OPERATOR.sub(r"\1=", query) if self._settings.compare == "spider" else query

    def _gold(self, gold: str) -> _GoldResult | Failure:
        """Run a gold query, or return its cached result."""
        if gold in self._golds:
            self._golds.move_to_end(gold)
            return self._golds[gold]
        reference = self._run_gold(gold)
        perhaps_busy = isinstance(reference, Failure) and reference.kind in ("timeout", "memory")
        if perhaps_busy and gold not in self._failed_once:
            self._failed_once.add(gold)  # final only if it fails again
            return reference
        self._golds[gold] = reference
        self._gold_bytes += _held_bytes(gold, reference)
        while self._gold_bytes > GOLD_CACHE_BYTES and len(self._golds) > 1:
            self._gold_bytes -= _held_bytes(*self._golds.popitem(last=False))
        return reference

    def _run_gold(self, gold: str) -> _GoldResult | Failure:
        try:
            raw = json.loads(gold)
        except (ValueError, RecursionError) as error:
            return Failure(kind="query", why=f"the gold is not JSON: {error}")
        db_id, query = (raw.get("db_id"), raw.get("query")) if isinstance(raw, dict) else (0, 0)
        if not isinstance(db_id, str) or not isinstance(query, str):
            return Failure(
                kind="query", why="the gold must be an object with texts db_id and query"
            )
        query = query.strip(_SPACE).removesuffix(";")
        table = self._runner.run(db_id, self._as_read(query))
        if isinstance(table, Failure):
            return Failure(kind=table.kind, why=f"the gold query of {db_id} fails: {table.why}")
        compare = self._settings.compare
        ordered = has_order_by(query) if compare == "spider" else orders_rows(query)
        return _GoldResult(db_id=db_id, table=table, ordered=ordered)

    def _schema(self, db_id: str) -> Schema | None:
        if db_id not in self._schemas:
            database = self._runner.database(db_id)
            if not isinstance(database, Database):
                return None
            self._schemas[db_id] = Schema(database.columns)
        return self._schemas[db_id]


def _held_bytes(gold: str, reference: _GoldResult | Failure) -> int:
    """Estimate the bytes of a cached gold: its rows, and as much again for their views."""
    return (
        1000 + len(gold) + (2 * reference.table.size if isinstance(reference, _GoldResult) else 0)
    )


def sql_verifier(databases: str, **settings: Any) -> SqlVerifier:
    """Make the verifier: a callable ``(completion, gold) -> Verdict``.

    Args:
        databases: the folder with ``<db_id>/<db_id>.sqlite``.
        **settings: fields of ``SqlSettings`` and of ``SqlLimits``. The first completion of a problem
            also runs the gold query, so a pool's own deadline should be twice ``deadline`` plus a
            second.

    Raises:
        ConfigError: a name or number is not allowed.
        MissingFileError: there is no such folder.
        MissingExtraError: ``sqlglot`` is not installed.
    """
    canonical_sql("SELECT 1")  # reports a missing extra here, not at the first completion
    return SqlVerifier(Path(databases), SqlSettings(**settings))
