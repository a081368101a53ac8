import json

import pytest

pytest.importorskip("sqlglot")

from polypath.errors import ConfigError
from polypath.tasks import get_task
from polypath.tasks.small_sql import DATABASES, SPLITS

TASK = get_task("small_sql")
ALL = [problem for split in SPLITS for problem in TASK.problems(split)]
HELD_OUT = {"zoo", "garage"}  # what reinforcement learning never sees


def test_there_are_thousands_of_problems_and_hundreds_to_train_and_test_on():
    assert len(ALL) > 4000
    assert len(TASK.problems("train")) > 450
    assert len(TASK.problems("test")) > 300
    assert len(TASK.problems("test_ood")) > 300


def test_splits_share_no_problem_and_the_domain_keeps_to_its_databases():
    assert len(ALL) == len({p.problem_id for p in ALL}) == len({p.prompt for p in ALL})
    databases = {folder.name for folder in DATABASES.iterdir()}
    for split in ("train", "dev", "test"):
        assert {p.extra["db_id"] for p in TASK.problems(split)} == databases - HELD_OUT
    assert {p.extra["db_id"] for p in TASK.problems("test_ood")} == HELD_OUT
    assert {p.extra["db_id"] for p in TASK.problems("base")} == databases


def test_a_limit_takes_the_first_problems():
    assert TASK.problems("dev", 3) == TASK.problems("dev")[:3]
    assert TASK.problems("dev", 0) == ()


def test_gold_is_json_that_names_database_and_query():
    for problem in TASK.problems("test", 20):
        gold = json.loads(problem.gold)
        assert gold.keys() == {"db_id", "query"}
        assert problem.prompt.startswith(f"{gold['db_id']} : ")
        assert TASK.verify(gold["query"], problem.gold).correct


@pytest.mark.parametrize(
    "completion", ["", "select", "select nothing from nowhere", "drop table x"]
)
def test_what_is_no_query_is_wrong(completion):
    verdict = TASK.verify(completion, TASK.problems("test", 1)[0].gold)
    assert not verdict.correct


def test_a_repeated_completion_is_verified_alike_and_each_against_its_own_gold():
    golds = [problem.gold for problem in TASK.problems("test", 2)]
    golds.append(golds[0])
    query = json.loads(golds[0])["query"]
    assert [v.correct for v in TASK.verify_batch([query] * 3, golds)] == [True, False, True]
    assert [v.correct for v in TASK.verify_batch([query] * 3, golds)] == [True, False, True]


def test_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="tset") as refused:
        TASK.problems("tset")
    assert all(split in str(refused.value) for split in SPLITS)


def test_a_negative_limit_is_refused():
    with pytest.raises(ConfigError, match="-1"):
        TASK.problems("test", -1)
