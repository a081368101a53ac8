import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from polypath.errors import ConfigError, MissingFileError
from polypath.verify.base import Status, Verdict
from polypath.verify.pool import WorkerPool
from polypath.verify.sql import extract_sql, sql_verifier
from polypath.verify.sql_run import OPEN_DATABASES
from tests.refusals import refused
from tests.verify.sql_databases import build_databases, gold, spider

COUNT = gold("SELECT count(*) FROM singer")
NAMES = gold("SELECT name, age FROM singer WHERE country = 'France' ORDER BY age")


@pytest.fixture(scope="module")
def databases(tmp_path_factory):
    return build_databases(tmp_path_factory.mktemp("databases") / "with space?#")


@pytest.fixture(scope="module")
def verifier(databases):
    return sql_verifier(str(databases))


@pytest.mark.parametrize(
    ("completion", "query"),
    [
        ("SELECT 1", "SELECT 1"),
        (" \n select 1 ; \n", "select 1"),
        ("SELECT ';' ", "SELECT ';'"),
        ("SELECT 1;;", "SELECT 1"),
        ("(SELECT 1)", "(SELECT 1)"),
        ("Say:\n```sql\nSELECT 1\n```\nor\n```SQL\nSELECT 2;\n```\nand\n```\nno\n```", "SELECT 2"),
        ("```\nSELECT 1\n```\n```python\nprint()\n```", "SELECT 1"),
        ("```sql SELECT 1```", "SELECT 1"),
        ("```sqlite\nSELECT 1", "SELECT 1"),
        ("```SELECT 1```", "SELECT 1"),
        ("thinking... SQL: SELECT 1\nSQL Query : SELECT 2;", "SELECT 2"),
        ("<answer>SELECT 1</answer> bye", "SELECT 1"),
        ("SQL: x <answer> SELECT 1 ; </answer>", "SELECT 1"),
        ("The answer is SELECT a FROM t", "SELECT a FROM t"),
        ("With that: WITH x AS (SELECT 1) SELECT * FROM x", "WITH x AS (SELECT 1) SELECT * FROM x"),
        ("SELECT 'SQL: no' FROM t", "SELECT 'SQL: no' FROM t"),
        # Not the main query of a broken one.
        ("It is WITH a AS (SELECT b c d)\nSELECT 5", "WITH a AS (SELECT b c d)\nSELECT 5"),
        ("SQL: SELECT 1 FROM x\nFinal SQL: SELECT count(* FROM y", "SELECT count(* FROM y"),
        ("Select the rows from t:\nselect a from t", "select a from t"),
        ("You can SELECT and count. Answer: SELECT a FROM t", "SELECT a FROM t"),
        ("SELECT 5; the other way is SELECT 6;", "SELECT 5"),
        ("1. Read t.\n2. SELECT a FROM t", "SELECT a FROM t"),
        ("WHERE a &gt; 3: SELECT a FROM t WHERE a &gt; 3;", "SELECT a FROM t WHERE a > 3"),
        ("SELECT a FROM t WHERE b = '&gt;'", "SELECT a FROM t WHERE b = '&gt;'"),
        ("SELECT a FROM t\n\nFrom this we see it.", "SELECT a FROM t"),
        ("SELECT a FROM t\n\nWhere b = 3", "SELECT a FROM t\n\nWhere b = 3"),
        ("```sql\nDELETE FROM t\n```", "DELETE FROM t"),
        ('{"answer": "```sql\\nSELECT 1\\n```"}', "SELECT 1"),
        ("", None),
        ("I do not know", None),
        ("```sql\n```", None),
        ("SQL:", None),
        (";", None),
        ("You can select names.", None),
        ("EXPLAIN SELECT 1", None),
        ("explain query plan\nselect 1", None),
        ("```sql\nEXPLAIN SELECT 1\n```", None),
        ("<sql>-- plan\nEXPLAIN SELECT 1</sql>", None),
        ("CREATE VIEW v AS SELECT 1 FROM t", None),
        ("INSERT INTO t SELECT 1 FROM t", None),
        ("UPDATE t SET a = 1; SELECT a FROM t", None),
        ("DELETE FROM t WHERE a IN (SELECT a FROM t)", None),
        ("<think>SELECT 1 FROM t", None),
        ("<think>SELECT 1 FROM t</think> I give up.", None),
    ],
)
def test_the_query_is_found_in_the_completion(completion, query):
    assert extract_sql(completion) == query


# ``{q}`` is where the query stands.
ANSWERS = r"""
{q} | {q};\n | {q};\n\nThis counts the singers. | {q}\nThis counts the singers.
{q}. This counts, it does. | {q}\n\nIt counts; it is simple.
{q}\n\n**Explanation:** SELECT picks; FROM reads | {q}\r\n\r\nDone.\r\n | {q}\n\n(5 rows)
{q}\n\nResult:\n| n |\n|---|\n | {q}\n```\nIt counts. | {q}</s> | {q}<|im_end|> | <sql>{q}</sql>
<solution>\n{q};</solution> bye | <query>{q} | <answer>\n<sql>{q}</sql></answer>
<final_answer>{q}</final_answer> | <answer>```sql\n{q}\n```</answer>
```sql\nSELECT 9 FROM x\n```<answer>{q}</answer> | `{q}` | The answer is `{q}`; it reads `singer`.
Use "{q}". | Use “{q}” | **{q}** | \boxed{{q}} | > {q} | **SQL:** {q} | **SQL:**\n{q} | **SQL**: `{q}`
SQL: {q}; Explanation: it counts | Final query: {q} | answer: {q}
SQL: {q};\nExplanation: SELECT count(*) counts FROM singer. | SQLite query: {q}
### SQL\n{q}\n### Why\nIt counts.
Answer:\n\n{q}\n\nWhy:\n- SELECT count(*): counts\n- `SELECT 9 FROM x` would not
Draft: SELECT 9 FROM x\nAnswer: {q} | ~~~sql\n{q}\n~~~ | ~~~\n{q}\n~~~\nbye | ```postgresql\n{q}\n```
```sql\n{q}\n\nIt counts. | ```{q}```
```sql\nSELECT 9 FROM x;\n```\nBetter:\n```sql\n{q};\n```\nwhich gives\n```\n5\n```
```sql\nEXPLAIN {q}\n```\n```sql\n{q}\n```
<think>perhaps SELECT 9 FROM x or ```sql\nSELECT 8 FROM x\n```</think>\n{q}
perhaps ```sql\nSELECT 8 FROM x\n```\n</think>\n{q} | {"SQL": "{j}"}
```json\n{"why": "SELECT 9 FROM x", "sql": "{j};"}\n``` | Here: {"reasoning": "it", "SQL": "{j}"} done
[{"query": "{j}", "explanation": "SELECT 9 FROM x"}] | ```xml\n<sql>{q}</sql>\n```
"""
QUERIES = [
    "SELECT count(*) FROM singer",
    "SELECT s.name,\n  'x;y' AS k\nFROM singer AS s\n\nWHERE s.age > 3\nORDER BY s.age",
    "with a as (\n  select id from singer\n)\n\nselect count(*) from a",
    "SELECT `name` -- of all\nFROM `singer` WHERE `age` < 3",
]


@pytest.mark.parametrize("query", QUERIES)
def test_the_query_is_found_however_it_is_written(query):
    wrong = {}
    for form in (form for line in ANSWERS.strip().splitlines() for form in line.split(" | ")):
        text = form.replace(r"\n", "\n").replace(r"\r", "\r")
        text = text.replace("{j}", json.dumps(query)[1:-1]).replace("{q}", query)
        if extract_sql(text) != query:
            wrong[text] = extract_sql(text)
    assert wrong == {}


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("SELECT count(*) FROM singer", 1),
        ("SELECT count(id) AS n FROM singer;", 1),
        ("SELECT 5", 1),
        ("SELECT 5.0", 1),
        ("SELECT '5'", 0),
        ("SELECT count(*) FROM concert, singer", 0),
        ("SELECT count(*) FROM singers", 0),
        ("SELECT count(* FROM singer", 0),
        ("SELECT 5; SELECT 5", 0),
        ("SELECT 5 FROM (SELECT random())", 0),
        ("```sql\nDELETE FROM singer\n```", 0),
        ("SELECT count(*) FROM singer\nThis counts all of them.", 1),
        ("<think>SELECT 6</think>SQL: SELECT 5; Explanation: there are 5.", 1),
        ("<think>SELECT 5</think>SQL: SELECT 6; Explanation: there are 6.", 0),
        # What is not the model's whole query does not run.
        ("SELECT count(*) FROM singer\nWHERE age >", 0),
        ("SELECT count(*) FROM singer WHERE of course", 0),
        ("SELECT count(*) FROM singer\n, concert of theirs", 0),
        ("SELECT count(*) FROM singer; Drop table singer;", 0),
        ("SELECT 5\n\nSELECT 6", 0),
        ("SELECT 6\n\nSELECT 5", 0),
        ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<5) SELECT max(x) FROM c", 1),
        ("SELECT count(*) FROM json_each('[1, 2, 3, 4, 5]')", 1),
    ],
)  # fmt: skip
def test_a_query_is_right_if_its_result_is(verifier, completion, reward):
    verdict = verifier(completion, COUNT)
    assert (verdict.status, verdict.reward) == (Status.GRADED, reward)
    assert verdict.answer


def test_no_query_is_no_answer(verifier):
    assert verifier("five", COUNT) == Verdict(status=Status.NO_ANSWER)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT 1", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "object"),
        ('{"db_id": "music"}', "object"),
        ('{"db_id": 3, "query": "SELECT 1"}', "object"),
        (gold("SELECT 1", "nowhere"), "no file"),
        (gold("SELECT 1", "../music"), "no folder name"),
        (gold("SELECT 1", "."), "no folder name"),
        (gold("SELECT 1", "broken"), "cannot be read"),
        (gold("SELECT nope FROM singer"), "no such column"),
        (gold("DROP TABLE singer"), "not authorized"),
        (gold("SELECT random()"), "random"),
    ],
    ids=lambda value: value[:30],
)
def test_a_gold_that_cannot_be_used_is_bad_gold_and_says_why(verifier, text, why):
    assert verifier("SELECT 1", text) == Verdict(status=Status.BAD_GOLD)
    assert why in verifier.gold_problem(text)
    assert verifier.gold_problem(COUNT) is None


def test_the_answer_is_the_canonical_query_and_otherwise_the_folded_text(verifier):
    assert verifier("select S.name from singer s where 3 < s.age", COUNT).answer == (
        "SELECT name FROM singer WHERE age > 3"
    )
    assert verifier("SELECT  1;\nSELECT 2", COUNT).answer == "SELECT 1; SELECT 2"
    assert verifier("SELECT '\udc80'", COUNT).answer == "SELECT '\\udc80'"
    # Comments are no solutions; a query that does not run is none that does.
    for text in ("-- five\nselect 5", "SELECT 5 /* rows */;", "SELECT 5; -- rows", "SELECT  5"):
        assert verifier(text, COUNT).answer == "SELECT 5"
    one = [
        verifier(f"SELECT name FROM singer {end}", COUNT).answer
        for end in ("LIMIT 1", "FETCH FIRST 1 ROWS ONLY")
    ]
    assert len({*one}) == 2
    assert (
        verifier("select  LEN(name) -- x\nfrom singer", COUNT).answer
        == "select LEN(name) from singer"
    )


@pytest.mark.parametrize(
    ("completion", "bird", "spider", "strict"),
    [
        ("SELECT name, age FROM singer WHERE country = 'France' ORDER BY 2", 1, 1, 1),
        ("SELECT name, age FROM singer WHERE country = 'France' ORDER BY 2 DESC", 1, 0, 0),
        ("SELECT age, name FROM singer WHERE country = 'France' ORDER BY 1", 0, 1, 0),
        ("SELECT name, age FROM singer WHERE id < 3 UNION ALL SELECT 'Bo', 41", 1, 0, 0),
        ("SELECT name, age FROM singer WHERE age < = 30 ORDER BY age", 0, 0, 0),
        ("SELECT name, age FROM singer WHERE id < = 2 ORDER BY age", 0, 1, 0),
    ],
)
def test_the_comparisons_differ_in_order_duplicates_columns_and_split_operators(
    databases, completion, bird, spider, strict
):
    for compare, reward in (("bird", bird), ("spider", spider), ("strict", strict)):
        assert sql_verifier(str(databases), compare=compare)(completion, NAMES).reward == reward


def test_order_by_in_a_subquery_counts_for_spider_and_not_for_strict(databases):
    inner = gold("SELECT name FROM singer WHERE id IN (SELECT id FROM singer ORDER BY age LIMIT 9)")
    completion = "SELECT name FROM singer ORDER BY id DESC"
    assert not sql_verifier(str(databases), compare="spider")(completion, inner).correct
    assert sql_verifier(str(databases), compare="strict")(completion, inner).correct


def test_partial_credit_never_counts_as_right(databases):
    verifier = sql_verifier(str(databases), partial="column_overlap")
    columns_right_rows_wrong = "SELECT 'Ada' AS name, 41 AS age UNION SELECT 'Bo', 30"
    verdict = verifier(columns_right_rows_wrong, NAMES)
    assert (verdict.reward, verdict.correct) == (0.5, False)
    assert verifier("SELECT name FROM singer WHERE id < 3", NAMES).reward == 0.25
    assert verifier("SELECT nope", NAMES).reward == 0
    assert verifier("SELECT name, age FROM singer WHERE id < 3", NAMES).reward == 1


def test_text_that_is_not_utf8_is_read_without_its_odd_bytes(verifier):
    assert verifier("SELECT 'ab'", gold('SELECT "order" FROM concert WHERE id = 5')).correct


@pytest.mark.parametrize(
    ("limit", "completion"),
    [
        ({"max_rows": 5}, "SELECT a.id FROM singer a, singer b"),
        ({"max_result_bytes": 300}, "SELECT a.id FROM singer a, singer b"),
        ({"max_value_bytes": 1000}, "SELECT hex(zeroblob(600))"),
        ({"max_query_bytes": 100}, f"SELECT {' ' * 100} 5"),
    ],
)
def test_over_a_cap_is_wrong(databases, limit, completion):
    verifier = sql_verifier(str(databases), **limit)
    verdict = verifier(completion, COUNT)
    assert (verdict.status, verdict.reward) == (Status.GRADED, 0)
    assert verifier("SELECT 5", COUNT).correct
    assert verifier("SELECT 5", gold(completion)).status is Status.BAD_GOLD


def test_over_the_deadline_is_a_timeout_and_a_slow_gold_is_a_bad_one(databases):
    verifier = sql_verifier(str(databases), deadline=0.1)
    slow = "SELECT count(*) FROM " + ", ".join(f"singer AS s{i}" for i in range(20))
    assert verifier(slow, COUNT) == Verdict(status=Status.TIMEOUT)
    assert verifier("SELECT 5", gold(slow)).status is Status.BAD_GOLD
    assert verifier("SELECT 5", COUNT).correct


def test_a_gold_that_was_slow_once_is_run_again(databases):
    verifier = sql_verifier(str(databases), deadline=1e-6)
    slow = gold("SELECT count(*) FROM singer a, singer b, singer c, singer d, singer e, singer f")
    assert "ran over" in verifier.gold_problem(slow)
    verifier._runner = sql_verifier(str(databases))._runner
    assert verifier.gold_problem(slow) is None
    assert verifier("SELECT 5*5*5*5*5*5", slow).correct


def test_results_of_golds_are_kept_up_to_a_bound(databases, monkeypatch):
    monkeypatch.setattr("polypath.verify.sql.GOLD_CACHE_BYTES", 20_000)
    verifier = sql_verifier(str(databases))
    for number in range(100):
        assert verifier(f"SELECT {number}", gold(f"SELECT {number}")).correct
    assert 1 < len(verifier._golds) < 20
    assert verifier("SELECT 3", gold("SELECT 3")).correct


def test_without_sqlglot_the_message_says_what_to_install(databases):
    code = (
        "import sys; sys.modules['sqlglot'] = None\n"
        "from polypath.verify.sql import sql_verifier\n"
        "try: sql_verifier(sys.argv[1])\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(databases)], capture_output=True, text=True, check=True
    )
    assert "MissingExtraError" in done.stdout
    assert "pip install 'polypath[sql]'" in done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("compare", "set"),
        ("partial", "some"),
        ("partial_max", 0.8),
        ("deadline", 0),
        ("max_rows", 0),
        ("heap_bytes", -1),
    ],
)
def test_settings_out_of_range_are_refused(databases, name, value):
    with refused(ConfigError, name, value):
        sql_verifier(str(databases), **{name: value})


def test_a_missing_folder_is_said_when_the_verifier_is_made(tmp_path):
    with refused(MissingFileError, tmp_path / "none"):
        sql_verifier(str(tmp_path / "none"))


def test_threads_take_turns(verifier):
    wrong = []

    def work():
        for number in range(50):
            if not verifier(f"SELECT 5 WHERE {number} < 99", COUNT).correct:
                wrong.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_more_databases_than_are_kept_open(databases, tmp_path):
    for number in range(20):
        (tmp_path / f"m{number}").mkdir()
        shutil.copy(databases / "music" / "music.sqlite", tmp_path / f"m{number}/m{number}.sqlite")
    verifier = sql_verifier(str(tmp_path))
    for number in [*range(20), *range(20)]:
        text = gold("SELECT count(*) FROM singer", f"m{number}")
        assert verifier(f"SELECT 5 + {number} - {number}", text).correct
    assert len(verifier._runner._open) == OPEN_DATABASES


def test_a_fork_opens_files_and_keeps_time_of_its_own(databases):
    verifier = sql_verifier(str(databases), deadline=0.2)
    assert verifier("SELECT 5", COUNT).correct
    pid = os.fork()
    if pid == 0:
        slow = "SELECT count(*) FROM " + ", ".join(f"singer AS s{i}" for i in range(20))
        right = (
            verifier("SELECT 2 + 3", COUNT).correct and verifier(slow, COUNT).status == "timeout"
        )
        os._exit(0 if right else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert verifier("SELECT 5", COUNT).correct


@pytest.mark.parametrize("compare", ["bird", "spider", "strict"])
def test_every_gold_of_spider_verifies_itself(compare):
    folder, questions = spider()
    verifier = sql_verifier(str(folder), compare=compare)
    for row in questions:
        verdict = verifier(row["query"], json.dumps({"db_id": row["db_id"], "query": row["query"]}))
        assert verdict.correct, row
        assert verdict.answer


def _raw(folder, db_id, query):
    path = folder / db_id / f"{db_id}.sqlite"
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    connection.text_factory = lambda raw: raw.decode(errors="ignore")
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def _plainly_equal(compare, first, second):
    """The three rules without order, written as plainly as can be."""
    if compare == "bird":
        return set(first) == set(second)
    if compare == "strict" or not first or len(first) != len(second):
        return sorted(first, key=repr) == sorted(second, key=repr)
    return len(first[0]) == len(second[0]) and any(
        sorted(first, key=repr) == sorted((tuple(r[i] for i in order) for r in second), key=repr)
        for order in itertools.permutations(range(len(first[0])))
    )


@pytest.mark.parametrize("compare", ["bird", "spider", "strict"])
def test_the_gold_of_another_question_is_wrong_unless_its_result_is_the_same(compare):
    folder, questions = spider()
    verifier = sql_verifier(str(folder), compare=compare)
    queries = sorted({(row["db_id"], row["query"]) for row in questions})
    rows = {pair: _raw(folder, *pair) for pair in queries}
    pairs = truly_equal = wrongly_right = 0
    for first, second in itertools.permutations(queries, 2):
        if first[0] != second[0]:
            continue
        pairs += 1
        right = verifier(second[1], json.dumps({"db_id": first[0], "query": first[1]})).correct
        if _plainly_equal(compare, rows[first], rows[second]):
            truly_equal += 1
        else:
            wrongly_right += right
    print(f"{compare}: {pairs} pairs, {truly_equal} with equal results, {wrongly_right} wrong")
    assert pairs > 4000
    assert wrongly_right <= 0.01 * (pairs - truly_equal)


def test_a_pool_verifies_as_this_process_does(databases, verifier):
    options = {"databases": str(databases), "compare": "bird"}
    completions = ["SELECT 5", "SELECT 6", "five", "SELECT name FROM singer", "SELECT 1; SELECT 2"]
    with WorkerPool("polypath.verify.sql:sql_verifier", options=options, workers=2) as pool:
        verdicts = pool.verify(completions * 3, [COUNT] * 15)
    assert verdicts == [verifier(completion, COUNT) for completion in completions] * 3
