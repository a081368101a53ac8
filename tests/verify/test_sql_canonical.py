import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypath.verify.sql_canonical import (
    MAX_CHARACTERS,
    MAX_PLAIN,
    Schema,
    canonical_sql,
    orders_rows,
    plain_text,
)
from tests.verify.sql_databases import TABLES, spider
from tests.verify.sql_dialects import FORMS, QUERIES

SCHEMA = Schema(
    {
        "singer": ["id", "name", "country", "age", "worth"],
        "concert": ["id", "singer_id", "year", "order"],
    }
)

# Each line: spellings of one query. Lines differ from each other.
SPELLINGS = [
    [
        "SELECT name FROM singer WHERE age > 30 AND country = 'France'",
        "select NAME from Singer where country='France' and 30<age;",
        'SELECT T1."name" FROM singer AS T1 WHERE ((T1.country == \'France\') AND (T1.age > 30))',
        "SELECT s.[name]\n\tFROM singer s -- a comment\nWHERE 'France' = s.country AND s.age > (30)",
    ],
    ["SELECT name FROM singer WHERE age >= 30 AND country = 'France'"],
    ["SELECT name FROM singer WHERE age > 30 AND country = 'france'"],
    ["SELECT name FROM singer WHERE age > 30 OR country = 'France'"],
    [
        "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id",
        "SELECT b.name FROM singer b INNER JOIN concert a ON (a.singer_id = b.id)",
        "SELECT singer.name FROM singer JOIN concert ON concert.singer_id = singer.id",
    ],
    ["SELECT singer.name FROM singer LEFT JOIN concert ON concert.singer_id = singer.id"],
    ["SELECT DISTINCT singer.name FROM singer JOIN concert ON concert.singer_id = singer.id"],
    [
        "SELECT name FROM singer WHERE id IN (SELECT singer_id FROM concert)",
        "SELECT s.name FROM singer AS s WHERE s.id IN (SELECT c.singer_id FROM concert AS c)",
    ],
    ["SELECT name FROM singer WHERE EXISTS (SELECT 1 FROM concert WHERE singer_id = singer.id)"],
    ["SELECT max(age) FROM singer", "SELECT MAX ( age ) AS oldest FROM singer"],
    [
        "SELECT age FROM singer ORDER BY age DESC LIMIT 1",
        "select age as a from singer order by a desc limit 1",
        "SELECT age FROM singer ORDER BY 1 DESC LIMIT 1 ;",
    ],
    ["SELECT age FROM singer ORDER BY age ASC LIMIT 1", "SELECT age FROM singer ORDER BY age LIMIT 1"],
    [
        "SELECT count(*) FROM singer WHERE country <> 'Japan'",
        "SELECT count(*) FROM singer WHERE 'Japan' != country",
    ],
    [
        "SELECT a.name, b.name FROM singer a JOIN singer b ON a.age = b.age WHERE a.id < b.id",
        "SELECT x.name, y.name FROM singer x JOIN singer y ON y.age = x.age WHERE y.id > x.id",
    ],
    ["SELECT a.name, b.name FROM singer a JOIN singer b ON a.age = b.age WHERE b.id < a.id"],
    ["SELECT name FROM singer WHERE NOT (age > 30 OR age < 20)"],
    ["SELECT name FROM singer WHERE NOT age > 30 OR age < 20"],
    ["SELECT age - (worth - 1) FROM singer"],
    ["SELECT age - worth - 1 FROM singer"],
    ["SELECT CAST(age AS REAL) FROM singer", "select cast(age as float) from singer"],
    [
        "SELECT CAST(age AS NUMERIC) FROM singer",
        "SELECT CAST(age AS DECIMAL(10, 2)) FROM singer",
        "SELECT CAST(age AS date) FROM singer",
    ],
    ["SELECT CAST(age AS INTEGER) FROM singer", "SELECT CAST(age AS UNSIGNED BIG INT) FROM singer"],
    ["SELECT CAST(age AS TEXT) FROM singer", "SELECT CAST(age AS VARCHAR(9)) FROM singer"],
    ["SELECT DATE(age) FROM singer"],
    ["SELECT 1e3-1e2 FROM singer", "SELECT 1e3 - 1e2 AS e2 FROM singer"],
    ["SELECT 1e3-1 AS e2 FROM singer"],
    ["SELECT LENGTH(name) FROM singer", "/* how long */ SELECT length(name)\n-- is it\nFROM singer;"],
    ["SELECT LEN(name) FROM singer"],
    ["SELECT IFNULL(age, 0) FROM singer"],
    ["SELECT COALESCE(age, 0) FROM singer"],
    ["SELECT name FROM singer LIMIT 2 OFFSET 1", "select name from singer limit 1, 2"],
    [
        "SELECT a.id FROM singer a, concert b, concert c",
        "SELECT x.id FROM singer x CROSS JOIN concert CROSS JOIN concert y",
    ],
    ["SELECT name FROM singer ORDER BY age", "SELECT name AS age FROM singer ORDER BY singer.age"],
    ["SELECT name AS age FROM singer ORDER BY age", "SELECT name FROM singer ORDER BY name"],
    [
        "WITH x AS (SELECT id FROM singer) SELECT * FROM x",
        "with abc as (select s.id from singer s) select * from abc;",
    ],
]  # fmt: skip


def test_spellings_of_one_query_share_a_text_and_other_queries_do_not():
    texts = [{canonical_sql(spelling, SCHEMA) for spelling in group} for group in SPELLINGS]
    assert [len(group) for group in texts] == [1] * len(SPELLINGS)
    assert None not in set().union(*texts)
    assert len(set().union(*texts)) == len(SPELLINGS)


def test_without_a_schema_the_same_holds_but_for_names_that_need_one():
    for group in SPELLINGS[1:]:
        assert len({canonical_sql(spelling) for spelling in group}) == 1


def test_a_schema_names_the_table_and_tells_texts_from_columns():
    a = 'SELECT name FROM singer JOIN concert ON singer_id = singer.id WHERE country = "Peru"'
    b = "SELECT s.name FROM singer s JOIN concert c ON s.id = c.singer_id WHERE s.country = 'Peru'"
    assert canonical_sql(a, SCHEMA) == canonical_sql(b, SCHEMA)
    assert canonical_sql(a) != canonical_sql(b)
    # A column of another table is none here.
    c, d = (f"SELECT name FROM singer WHERE country = {name}" for name in ('"year"', "'year'"))
    assert canonical_sql(c, SCHEMA) == canonical_sql(d, SCHEMA) != canonical_sql(c)
    upper = canonical_sql('SELECT name FROM singer WHERE country = "PERU"')
    assert upper != canonical_sql('SELECT name FROM singer WHERE country = "Peru"')
    assert canonical_sql(a, {"singer": ["ID", "Name"]}) is not None


def test_names_of_results_that_swap_columns_are_not_confused():
    a = "SELECT name AS country, country AS name FROM singer ORDER BY name"
    assert canonical_sql(a, SCHEMA) == canonical_sql(
        "SELECT name, country FROM singer ORDER BY country", SCHEMA
    )
    assert canonical_sql(a, SCHEMA) != canonical_sql(
        "SELECT name, country FROM singer ORDER BY name", SCHEMA
    )


def test_a_name_of_a_result_in_having_becomes_its_expression():
    a = "SELECT country, count(*) AS n FROM singer GROUP BY 1 HAVING n > 1 ORDER BY n"
    b = "SELECT country, count(*) FROM singer GROUP BY country HAVING 1 < count(*) ORDER BY 2"
    assert canonical_sql(a, SCHEMA) == canonical_sql(b, SCHEMA)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "SELECT",
        "SELECT 1; SELECT 2",
        "DROP TABLE singer",
        "PRAGMA journal_mode",
        "INSERT INTO singer SELECT * FROM singer",
        "WITH a AS (SELECT 1) DELETE FROM singer",
        "SELECT FROM WHERE",
        "SELECT '\ud800'",
        "SELECT 'open",
        "SELECT " + "(" * 200 + "1" + ")" * 200,
        "SELECT " + "NOT " * (MAX_CHARACTERS // 4 - 3) + "1",
        "SELECT '" + "a" * MAX_CHARACTERS + "'",
        # SQLite's parser takes none of these; sqlglot's does.
        "(SELECT 1)",
        "SELECT name FROM singer FETCH FIRST 2 ROWS ONLY",
        "SELECT SUBSTRING(name FROM 1 FOR 2) FROM singer",
        "SELECT age::int FROM singer",
        "SELECT name, FROM singer",
        "SELECT name FROM singer LIMIT 1 ORDER BY name",
        "SELECT name FROM singer ORDER BY name WHERE age > 3",
        "SELECT 1 UNION DISTINCT SELECT 2",
        # SQLite finds no such column.
        "SELECT singer.name FROM singer AS s",
        "SELECT s.name FROM singer AS s JOIN concert AS c ON singer.id = c.singer_id",
        # To SQLite ASOF is a name of the table.
        "SELECT name FROM singer ASOF JOIN concert ON 1",
    ],
    ids=lambda query: ascii(query[:20]),
)
def test_what_is_no_single_readable_query_has_no_text(query):
    assert canonical_sql(query) is None


@settings(max_examples=50)
@given(st.text(max_size=200) | st.text("SELECT()*,'\"-;=<>anfrom1 .|", max_size=80))
def test_any_text_is_safe(text):
    for query in (text, f"SELECT {text}", f"SELECT a FROM t WHERE {text}"):
        canonical_sql(query, SCHEMA)
        assert len(plain_text(query)) <= MAX_PLAIN


@pytest.fixture(scope="module")
def music():
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    yield connection
    connection.close()


def _rows(connection, query):
    try:
        return connection.execute(query).fetchall()
    except (sqlite3.Error, sqlite3.Warning):
        return None


def _same_in_sqlite(connection, query):
    """Whether the canonical texts run as the query does, or not as it does not."""
    return all(
        text is None or _rows(connection, text) == _rows(connection, query)
        for text in (canonical_sql(query, SCHEMA), canonical_sql(query))
    )


def test_no_text_makes_sqlite_run_what_it_refuses_or_anything_else(music):
    queries = QUERIES + [
        query
        for form in FORMS
        for query in (
            f"SELECT {form.format('s.name')} AS x, name FROM singer AS s ORDER BY x, s.id",
            f"SELECT name FROM singer s WHERE s.id < 4 AND NOT {form.format('age')} = '41'",
        )
    ]
    refused = [query for query in queries if _rows(music, query) is None]
    assert 200 < len(refused) < len(queries) - 200
    assert [query for query in queries if not _same_in_sqlite(music, query)] == []


# Parts to build queries from, for the property below.
_columns = st.sampled_from(["id", "age", "s.age", "S.worth", '"name"', "[country]", "`id`", '"x"'])
_values = st.sampled_from(["3", "30", "1.5", "'Ada'", '"France"', "NULL", "-(2)", "(SELECT 2)"])


_OPERATORS = [
    "=",
    "==",
    "<>",
    "!=",
    "<",
    ">=",
    "IS",
    "IS NOT",
    "LIKE",
    "GLOB",
    "+",
    "-",
    "*",
    "/",
    "%",
]
_OPERATORS += ["||", "&", "<<", "AND", "OR"]


def _larger(inner):
    operator = st.sampled_from(_OPERATORS)
    pair = st.sampled_from(
        ["{} {} {}", "({} {} {})", "({}) {} ({})", "(NOT {} {} {})", "NOT {} {} {}", "- {} {} ({})"]
    )
    forms = st.sampled_from([form for form in FORMS if "{0}" in form])
    return st.builds(
        lambda form, first, sign, second: form.format(first, sign, second),
        pair,
        inner,
        operator,
        inner,
    ) | st.builds(str.format, forms, inner)


EXPRESSIONS = st.recursive(_columns | _values, _larger, max_leaves=6)


@settings(max_examples=100)
@given(EXPRESSIONS, EXPRESSIONS)
def test_the_text_runs_to_the_same_rows_and_is_its_own_text(music, first, second):
    query = f"SELECT {first} AS x, name FROM singer s WHERE {second} ORDER BY s.id, x"
    assert _same_in_sqlite(music, query)
    text = canonical_sql(query, SCHEMA)
    assert text is None or canonical_sql(text, SCHEMA) == text


def test_texts_of_spiders_queries_run_to_the_same_rows():
    databases, questions = spider()
    queries = sorted({(row["db_id"], row["query"]) for row in questions})
    for db_id, query in queries:
        path = databases / db_id / f"{db_id}.sqlite"
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        connection.text_factory = bytes
        tables = [row[0].decode() for row in connection.execute("SELECT name FROM sqlite_master")]
        schema = {
            name: [row[1].decode() for row in connection.execute(f'PRAGMA table_info("{name}")')]
            for name in tables
        }
        for text in (canonical_sql(query), canonical_sql(query, schema)):
            assert text is not None
            assert connection.execute(text).fetchall() == connection.execute(query).fetchall()
        connection.close()


def test_only_the_order_of_the_outermost_query_orders_rows():
    assert orders_rows("SELECT a FROM t ORDER BY a")
    assert orders_rows("SELECT a FROM t UNION SELECT b FROM u ORDER BY a")
    assert not orders_rows("SELECT a FROM (SELECT a FROM t ORDER BY a)")
    assert not orders_rows("SELECT a FROM t WHERE b = (SELECT b FROM u ORDER BY b LIMIT 1)")
    # Too deep to be parsed: the words decide.
    deep = "(" * 60 + "1" + ")" * 60
    assert orders_rows(f"SELECT {deep} ORDER BY a DESC")
    assert not orders_rows(f"SELECT {deep} FROM (SELECT 1 ORDER BY a)")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("-- all\nSELECT  1 /* one */ ;\n", "SELECT 1"),
        ("SELECT 'a  -- b'", "SELECT 'a  -- b'"),
        ("SELECT 'it''s', \"x /* y\" -- 'z", "SELECT 'it''s', \"x /* y\""),
        ("SELECT 'open  -- x", "SELECT 'open  -- x"),
    ],
)
def test_plain_text_is_without_comments_and_keeps_what_is_in_quotes(query, text):
    assert plain_text(query) == text


def test_long_plain_texts_are_cut_but_stay_apart():
    a, b = (plain_text("x" * 5000 + end) for end in "ab")
    assert a != b
    assert len(a) <= MAX_PLAIN
