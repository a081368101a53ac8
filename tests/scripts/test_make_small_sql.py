"""What makes the small SQL task makes what ships, and makes good questions."""

import gzip
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

pytest.importorskip("sqlglot")
pytest.importorskip("make_small_sql", reason="scripts/ is not here")

from make_small_sql import write_questions
from polypath.tasks import get_task, small_sql
from polypath.verify import Status
from small_sql.databases import make_databases
from small_sql.joins import TEMPLATES
from small_sql.questions import PARTS, all_questions, result_of
from small_sql.schema import DATABASES

TASK = get_task("small_sql")
GOLDS = {p.problem_id: p.gold for split in TASK.splits for p in TASK.problems(split)}


def verify(pairs):
    """Verify pairs of question and query."""
    golds = [GOLDS[question.question_id] for question, _ in pairs]
    return TASK.verify_batch([query for _, query in pairs], golds)


def dump(path):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())


def test_shipped_questions_are_what_the_script_makes(tmp_path):
    made = tmp_path / "questions.jsonl.gz"
    write_questions(made)
    assert gzip.decompress(small_sql.QUESTIONS.read_bytes()) == gzip.decompress(made.read_bytes())


def test_shipped_databases_are_what_the_script_makes(tmp_path):
    made = list(make_databases(tmp_path))
    assert len(made) == len(DATABASES) == 8
    for path in made:
        shipped = small_sql.DATABASES / path.relative_to(tmp_path)
        assert dump(shipped) == dump(path)
        assert shipped.stat().st_size < 16_000


def test_databases_are_small_chains_with_valid_keys():
    for name in DATABASES:
        path = small_sql.DATABASES / name / f"{name}.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            assert connection.execute("pragma foreign_key_check").fetchall() == []
            for table in DATABASES[name].tables:
                (rows,) = connection.execute(f"select count(*) from {table.name}").fetchone()
                assert rows == table.rows
                assert 20 <= rows <= 60


def test_column_names_repeat_only_as_keys():
    for database in DATABASES.values():
        names = Counter(column for table in database.tables for column in table.columns)
        repeated = {name for name, count in names.items() if count > 1}
        assert repeated == {database.owner.key, database.item.key}


def test_every_query_of_every_question_gives_the_gold_result_and_is_another_solution():
    # Every ninth question through the verifier: all its queries.
    pairs = [(question, query) for question in all_questions()[::9] for query in question.queries]
    answers = {}
    for (question, query), verdict in zip(pairs, verify(pairs), strict=True):
        assert verdict.correct, (question.question_id, query)
        answers.setdefault(question.question_id, []).append(verdict.answer)
    for found in answers.values():
        assert len(set(found)) == len(found) >= 2
    for question in all_questions():
        results = {result_of(question.database, query) for query in question.queries}
        assert len(results) == 1
        assert None not in results


def test_queries_of_other_readings_and_habits_run_and_are_wrong():
    pairs = [(q, query) for q in all_questions()[::9] for query in (*q.others[:1], q.habit)]
    verdicts = verify(pairs)
    assert {verdict.status for verdict in verdicts} == {Status.GRADED}
    assert not any(verdict.correct for verdict in verdicts)
    assert None not in {result_of(q.database, q.habit) for q in all_questions()}


def test_queries_fit_the_completion_length():
    texts = [text for q in all_questions() for text in (*q.queries, *q.others, q.habit)]
    assert max(len(text.split()) for text in texts) + 1 <= TASK.max_completion_length


def test_no_question_has_an_empty_result_or_one_that_queries_give_by_chance():
    for question in all_questions():
        rows = list(result_of(question.database, question.queries[0]))
        assert rows
        assert rows not in [[((value,), 1)] for value in (None, 0, 1)]


def test_every_template_has_questions_on_every_database():
    kinds = {(question.database, question.template) for question in all_questions()}
    assert len(kinds) == len(DATABASES) * len(TEMPLATES)


def test_parts_come_at_their_shares():
    counts = Counter(question.part for question in all_questions())
    for part, percent in PARTS.items():
        assert counts[part] / len(all_questions()) == pytest.approx(percent / 100, abs=0.03)


def test_every_reading_is_meant_at_about_its_share():
    # "bound" has two readings, the first with 0.75: the bound itself left out.
    chosen = [q for q in all_questions() if q.template == "bound"]
    strict = sum(q.share > 0.5 for q in chosen) / len(chosen)
    assert strict == pytest.approx(0.75, abs=0.1)


def test_duplicates_count():
    question = next(
        q for q in all_questions() if q.template == "having_some" and "distinct" in q.queries[0]
    )
    wrong = question.queries[0].replace("distinct ", "")
    verdicts = verify([(question, question.queries[0]), (question, wrong)])
    assert [verdict.correct for verdict in verdicts] == [True, False]
