"""One text for all spellings of a query, so that another spelling is not another solution.

A query is parsed with sqlglot (extra ``sql``) in SQLite's dialect and written again after these changes,
each of which keeps its meaning:

- keywords and names in lower or upper case, quotes of names, white space, comments, a semicolon;
- tables by their own name in place of their alias (``singer``; ``singer_1``, ``singer_2``... if the
  query reads one table several times), subqueries in FROM and common table expressions numbered;
- names of columns without their table where the query has one, with it where the schema says which
  (schema needed); text in double quotes as text (schema needed);
- no names for result columns of the outermost query; ``ORDER BY`` such a name, or by position, as
  ``ORDER BY`` its expression;
- operands of ``AND`` and ``OR`` in alphabetical order, those of comparisons with columns first and
  values last (``30 < age`` is ``age > 30``); ``==`` as ``=``, ``!=`` as ``<>``;
- types in CAST as the affinity SQLite gives them: ``DECIMAL`` is ``NUMERIC``, ``FLOAT`` is ``REAL``;
- no redundant brackets, no ``ASC``, ``INNER``, ``OUTER``; ``CROSS JOIN`` as a comma.

Not unified, because each is another way to ask: a join or an IN subquery, MAX or ORDER BY with LIMIT 1,
DISTINCT or GROUP BY, conditions in ON or WHERE, the order of tables and of joins, BETWEEN or two
comparisons, HAVING or a subquery.
"""

import hashlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import accumulate
from types import ModuleType

from polypath.errors import needs_extra
from polypath.verify.sql_schema import Schema
from polypath.verify.sql_tokens import is_query, one_space, tokens

# A longer or deeper query is compared by its text, because parsers recurse.
MAX_CHARACTERS = 4_000
MAX_DEPTH = 40
MAX_PLAIN = 2_000
_CACHE = 8192


def canonical_sql(
    query: str, schema: Schema | Mapping[str, Collection[str]] | None = None
) -> str | None:
    """Return one text for all spellings of a query (the module says what that covers).

    Two queries with equal texts ask the same. Two that ask the same may have different texts, more
    often without a schema. SQLite's parser accepts the text. A query that sqlglot would write in
    other words (other functions, other clauses) has no text.

    Args:
        query: one query; a semicolon at its end is fine.
        schema: columns by table. If it is used often, wrap it in ``Schema`` once.

    Returns:
        The text. ``None`` if SQLite's parser refuses the query, if sqlglot reads a different query, if
        it is more than one statement or not one that reads, if it is longer than ``MAX_CHARACTERS``,
        or if its brackets nest deeper than ``MAX_DEPTH``.

    Raises:
        MissingExtraError: sqlglot is not installed.

    >>> canonical_sql("select T1.Name from singer as T1 where (30) < T1.age order by 1 asc;")
    'SELECT name FROM singer WHERE age > 30 ORDER BY name'
    """
    if schema is not None and not isinstance(schema, Schema):
        schema = Schema(schema)
    return _canonical(query, schema)


def plain_text(query: str) -> str:
    r"""Return the query without comments, white space folded; a long one is cut and hashed.

    Text within quotes stays as it is.

    >>> plain_text("-- all of them\nSELECT  a\n FROM t;")
    'SELECT a FROM t'
    """
    text = one_space(query).rstrip("; ")
    text = text.encode("utf-8", "backslashreplace").decode()  # lone surrogates cannot be stored
    if len(text) <= MAX_PLAIN:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[: MAX_PLAIN - 80]}... sha256:{digest}"


def orders_rows(query: str) -> bool:
    """Whether the outermost query has ORDER BY, so that the order of its rows has a meaning."""
    depth = 0
    before = ""
    for token in tokens(query):
        depth += (token == "(") - (token == ")")
        word = token.lower()
        if depth == 0 and (before, word) == ("order", "by"):
            return True
        before = word
    return False


@lru_cache(maxsize=_CACHE)
def _canonical(query: str, schema: Schema | None) -> str | None:
    rewriting = _rewriting()
    if len(query) > MAX_CHARACTERS or not is_query(query):
        return None
    found = tokens(query)
    if _depth(found) > MAX_DEPTH:
        return None
    text: str | None = rewriting.canonical_text(found, schema)
    return text if text is not None and is_query(text) else None


@lru_cache(maxsize=1)
def _rewriting() -> ModuleType:
    with needs_extra("Canonical SQL", "sql"):
        from polypath.verify import sql_rewrite
    return sql_rewrite


def _depth(found: list[str]) -> int:
    """Return how deep brackets nest."""
    return max(accumulate((token == "(") - (token == ")") for token in found))
