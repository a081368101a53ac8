import hashlib
import json

import pytest

pytest.importorskip("math_verify")

from polypath.errors import ConfigError
from polypath.metrics.equations import extract_equations
from polypath.tasks import Problem, get_task
from polypath.tasks.word_problems import SPLITS, solutions
from polypath.tasks.word_problems.make import all_problems
from polypath.verify.base import Status

TASK = get_task("word_problems")
ALL = {split: TASK.problems(split) for split in SPLITS}


def test_there_are_thousands_of_problems_and_hundreds_to_train_and_test_on():
    assert len(ALL["base"]) > 3500
    assert len(ALL["train"]) > 500
    assert len(ALL["dev"]) > 150
    assert min(len(ALL[split]) for split in SPLITS if split.startswith("test")) > 250


def test_splits_share_no_problem():
    problems = [problem for split in SPLITS for problem in ALL[split]]
    assert len(problems) == len({p.problem_id for p in problems})
    assert len(problems) == len({p.prompt[0]["content"] for p in problems})
    numbers = [(p.extra["story"], *p.extra["numbers"]) for p in problems]
    assert len(problems) == len({*numbers})


def test_what_training_never_shows_has_a_split_of_its_own():
    kinds = {split: {p.extra["kind"] for p in ALL[split]} for split in SPLITS}
    stories = {split: {p.extra["story"] for p in ALL[split]} for split in SPLITS}
    for split in ("train", "dev", "test"):
        assert not kinds[split] & kinds["test_more_steps"]
        assert not stories[split] & stories["test_new_stories"]
        assert kinds[split] == kinds["test_new_stories"]
        assert stories[split] == stories["train"]
    assert stories["base"] == set.union(*stories.values())


def test_more_steps_are_needed_in_every_way_of_the_long_kinds():
    def fewest(split):
        texts = [v[0] for p in ALL[split][:40] for v in solutions(p).values()]
        return min(len(extract_equations(text)) for text in texts)

    assert fewest("test") == 2
    assert fewest("test_more_steps") == 3


def test_problems_and_their_order_are_the_same_on_every_machine():
    ids = "\n".join(problem.problem_id for problem in all_problems())
    assert hashlib.sha256(ids.encode()).hexdigest()[:12] == "daa78d4b2c3e"


def test_problems_can_be_columns_of_a_data_set():
    for split in SPLITS:
        problem = ALL[split][0]
        assert json.loads(json.dumps(dict(problem.extra))) == problem.extra
        assert [message["role"] for message in problem.prompt] == ["user"]


def test_every_worked_text_is_right_and_its_solution_is_its_way():
    for problem in ALL["test"][:30] + ALL["test_more_steps"][:10]:
        known = solutions(problem)
        pairs = [(key, text) for key, texts in known.items() for text in texts]
        verdicts = TASK.verify_batch([t for _, t in pairs], [problem.gold] * len(pairs))
        assert [v.answer for v in verdicts] == [key for key, _ in pairs]
        assert all(verdict.correct for verdict in verdicts)


def test_working_must_be_sound_even_where_the_answer_is_right():
    (text, *_), *_ = solutions(problem := ALL["test"][0]).values()
    answer = problem.gold.split()[0]
    bare = TASK.verify(f"The answer is {answer}.", problem.gold)
    assert (bare.status, bare.correct, bare.answer) == (Status.GRADED, False, None)
    unsound = TASK.verify(f"1 + 1 = 3. {text}", problem.gold)
    assert (unsound.correct, unsound.answer) == (False, None)
    other = TASK.verify(text.replace(f"is {answer}.", "is 1000."), problem.gold)
    assert not other.correct


def test_a_wrong_answer_keeps_the_way_that_led_to_it():
    verdict = TASK.verify("7 - 2 = 5. The answer is 5.", "9 from 7 2")
    assert (verdict.status, verdict.reward, verdict.answer) == (Status.GRADED, 0.0, "a - b")


def test_statuses_of_what_cannot_be_graded():
    assert TASK.verify("", "9 from 7 2").status is Status.NO_ANSWER
    assert TASK.verify("7 + 2 = 9. The answer is 9.", "no gold").status is Status.BAD_GOLD


def test_a_gold_is_written_as_a_worked_text():
    for problem in ALL["dev"][:20]:
        assert TASK.verify(TASK.gold_completion(problem.gold), problem.gold).correct
    with pytest.raises(ConfigError, match="1 from 1"):
        TASK.gold_completion("1 from 1")


def test_a_limit_takes_the_first_problems_and_an_unknown_split_names_the_known_ones():
    assert TASK.problems("dev", 3) == ALL["dev"][:3]
    with pytest.raises(ConfigError, match="-1"):
        TASK.problems("dev", -1)
    with pytest.raises(ConfigError, match="tset") as refused:
        TASK.problems("tset")
    assert all(split in str(refused.value) for split in SPLITS)


def test_solutions_of_a_foreign_problem_are_refused():
    with pytest.raises(ConfigError, match="not a word problem"):
        solutions(Problem(problem_id="pens-0", prompt="", gold="9 from 7 2"))
