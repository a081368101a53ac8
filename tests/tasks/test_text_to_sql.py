"""Text to SQL: questions with their schema, verified on their database."""

import json
import shutil
from pathlib import Path
from typing import get_args

import pytest

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.tasks import get_task
from polypath.tasks.checking import check_golds
from polypath.tasks.text_to_sql import COMPARE, PARTIAL
from tests.tasks.data import SQL_ROWS, real, write_databases, write_rows

pytest.importorskip("sqlglot")


@pytest.fixture
def spider(tmp_path: Path) -> Path:
    """Return a folder as Spider's: dev.json, train_spider.json, database/."""
    write_rows(tmp_path / "dev.json", SQL_ROWS)
    write_rows(tmp_path / "train_spider.json", SQL_ROWS[:1])
    write_databases(tmp_path / "database")
    return tmp_path


def test_a_folder_as_it_is_downloaded_is_read(spider: Path) -> None:
    task = get_task("spider", {"data": str(spider)})
    problems = task.problems("dev")
    assert [json.loads(p.gold) for p in problems] == [
        {"db_id": row["db_id"], "query": row["query"]} for row in SQL_ROWS
    ]
    assert len(task.problems("train")) == 1
    prompt = problems[0].prompt
    assert isinstance(prompt, list)
    assert "CREATE TABLE item(name TEXT, price INTEGER);" in prompt[1]["content"]
    assert prompt[1]["content"].endswith("Question: How many items are there?")
    assert problems[2].extra["db_id"] == "zoo"
    plain = get_task("spider", {"data": str(spider), "prompt": "plain"}).problems("dev")
    assert plain[0].prompt == "How many items are there?"
    assert [p.problem_id for p in plain] == [p.problem_id for p in problems]


def test_evidence_of_bird_is_in_the_prompt(tmp_path: Path) -> None:
    row = {
        "question_id": 7,
        "db_id": "shop",
        "question": "How many cheap items?",
        "evidence": "cheap means price = 2",
        "SQL": "SELECT count(*) FROM item WHERE price = 2",
    }
    write_rows(tmp_path / "dev.json", [row, {**row, "question_id": 8, "evidence": ""}])
    write_databases(tmp_path / "dev_databases")
    first, second = get_task("bird", {"data": str(tmp_path)}).problems("dev")
    assert (first.problem_id, second.problem_id) == ("7", "8")
    assert "External knowledge: cheap means price = 2" in str(first.prompt)
    assert "External knowledge" not in str(second.prompt)
    assert json.loads(first.gold)["query"] == row["SQL"]


def test_golds_are_right_and_others_of_their_database_wrong(spider: Path) -> None:
    task = get_task("spider", {"data": str(spider)})
    done = check_golds(task, "dev", task.problems("dev"))
    assert (done.num_problems, done.failed) == (3, ())
    assert (done.num_shuffled, done.accepted) == (2, ())


def test_real_golds_are_right_by_themselves() -> None:
    task = get_task("spider", {"data": real("spider")})
    done = check_golds(task, "dev", task.problems("dev", 120))
    assert done.failed == ()
    assert done.share_wrong_when_shuffled is not None
    assert done.share_wrong_when_shuffled > 0.8


def test_a_gold_that_cannot_run_is_reported_with_its_status(spider: Path) -> None:
    rows = [*SQL_ROWS, {"db_id": "zoo", "question": "?", "query": "SELECT wings FROM animal"}]
    write_rows(spider / "dev.json", rows)
    task = get_task("spider", {"data": str(spider)})
    done = check_golds(task, "dev", task.problems("dev"))
    assert [(f.status, json.loads(f.gold)["query"]) for f in done.failed] == [
        ("bad_gold", "SELECT wings FROM animal")
    ]


def test_a_query_is_verified_by_its_result(spider: Path) -> None:
    task = get_task("spider", {"data": str(spider)})
    gold = task.problems("dev")[1].gold
    texts = [
        "```sql\nSELECT name FROM item WHERE price < 3\n```",
        "SELECT name FROM item",
        "SELECT nonsense FROM nothing",
    ]
    assert [v.correct for v in task.verify_batch(texts, [gold] * 3)] == [True, False, False]


def test_databases_are_found_named_or_missed_in_one_line(spider: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(spider / "database", moved)
    task = get_task("spider", {"data": str(spider)})
    with pytest.raises(ConfigError, match="databases="):
        task.problems("dev")
    named = get_task("spider", {"data": str(spider), "databases": str(moved)})
    assert len(named.problems("dev")) == 3
    assert named.options["databases"] == str(moved)
    with pytest.raises(MissingFileError, match=r"databases=.*gone"):
        get_task("spider", {"data": str(spider), "databases": str(tmp_path / "gone")}).problems(
            "dev"
        )
    shutil.rmtree(moved / "zoo")
    with pytest.raises(MissingFileError, match=r"row 3.*zoo\.sqlite"):
        get_task("spider", {"data": str(spider), "databases": str(moved)}).problems("dev")
    (moved / "zoo").mkdir()
    (moved / "zoo" / "zoo.sqlite").write_bytes(b"no database at all, though long enough" * 30)
    with pytest.raises(DataError, match=r"zoo\.sqlite"):
        get_task("spider", {"data": str(spider), "databases": str(moved)}).problems("dev")


def test_two_folders_of_databases_must_be_told_apart(tmp_path: Path) -> None:
    write_rows(tmp_path / "dev.json", SQL_ROWS)
    write_databases(tmp_path / "dev_databases")
    write_databases(tmp_path / "train_databases")
    with pytest.raises(ConfigError, match=r"dev_databases.*train_databases"):
        get_task("bird", {"data": str(tmp_path)}).problems("dev")


def test_bird_without_data_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match=r"bird.*data="):
        get_task("bird").problems("dev")


def test_bad_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'brid'.*'bird'"):
        get_task("spider", {"compare": "brid"})
    with pytest.raises(ConfigError, match="'boxed'"):
        get_task("spider", {"prompt": "boxed"})


def test_choices_are_those_of_the_verifier() -> None:
    from polypath.verify import sql

    assert get_args(sql.Compare) == COMPARE
    assert get_args(sql.Partial) == PARTIAL
