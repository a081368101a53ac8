"""What counts as one solution, and what is refused where nothing says so."""

import pytest

from polypath.core.solutions import find_solution_function, require_different_solutions
from polypath.core.verdicts import completion_text
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.tasks import get_task
from polypath.tasks.solutions import SOLUTIONS
from tests.refusals import refused


class Rewards:
    """A reward function that knows solutions."""

    def solution(self, text, row):
        return f"{text} of {row['x']}"


class OneAnswer(Rewards):
    """Of a task with final answers."""

    task = get_task("math500")


def plain():
    """A reward function that knows none."""


def solve(name, text):
    return SOLUTIONS[name](text, {})


def test_texts_are_compared_without_their_white_space():
    assert solve("text", " a\n b ") == "a b"
    assert solve("text", " \n") is None


WORKED = "She has 3 + 4 = 7 apples, twice: $7 \\times 2 = 14$."
REWORDED = "First $4+4=8$. Then double it: 8*2 = 16, done."


def test_equations_are_a_set():
    assert solve("equations", WORKED) == solve("equations", f"{WORKED} Again: 3+4=7.")
    assert solve("equations", WORKED) != solve("equations", REWORDED)
    assert solve("equations", "Seven, I think.") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3+4=7, 7*2=14", "+ *"),
        ("8 - 5 = 3", "-"),
        ("2(3+4)*5=70", "+*"),
        ("-3 + 5 = 2", "+"),
        (r"$\frac{6}{2}=3$ and $3^2 = 9$", "/ ^"),
        ("x = 5 + 3 = 8", None),
        ("no formula", None),
    ],
)
def test_operations_are_those_of_the_left_sides_in_order(text, expected):
    assert solve("operations", text) == expected


def test_operations_do_not_see_numbers_or_words():
    assert solve("operations", "3+4=7. 7*2=14.") == solve("operations", "So 1+9=10; next 10*5=50")
    assert solve("operations", "7*2=14, 3+4=7") != solve("operations", "3+4=7, 7*2=14")


def test_the_reward_function_says_so_unless_something_is_chosen(tmp_path):
    found = find_solution_function(None, [plain, Rewards()])
    assert found("a", {"x": 1}) == "a of 1"
    assert find_solution_function(None, [plain]) is None
    assert find_solution_function("text", [Rewards()]) is SOLUTIONS["text"]
    assert (
        find_solution_function(lambda text, row: text[0] + row["x"], [])("abc", {"x": "d"}) == "ad"
    )
    file = tmp_path / "mine.py"
    file.write_text("def first(text, row):\n    return text[:1] or None\n")
    found = find_solution_function(f"{file}:first", [Rewards()])
    assert (found("abc", {}), found("", {})) == ("a", None)


def test_mistakes_are_named(tmp_path):
    with refused(ConfigError, "solution_fn", "'equation'", "equations"):
        find_solution_function("equation", [])
    with pytest.raises(MissingFileError):
        find_solution_function(f"{tmp_path}/none.py:f", [])
    with refused(ConfigError, "solution_fn", "3"):
        find_solution_function(3, [])
    with refused(DataError, "solution_fn", "42", "abc"):
        find_solution_function(lambda text, row: len(text) * 14 + len(row), [])("abc", {})


def test_answers_are_not_compared_where_they_tell_nothing_apart():
    with refused(ConfigError, "answer", "solution_fn", "ngram"):
        require_different_solutions(None, [plain])
    with refused(ConfigError, "answer", "math500", "solution_fn"):
        require_different_solutions(None, [OneAnswer()])
    require_different_solutions("operations", [OneAnswer()])
    require_different_solutions(None, [Rewards()])


def say(role, content):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("42", "42"),
        ([say("assistant", "42")], "42"),
        ([say("assistant", "Let me compute"), say("tool", "42")], "Let me compute"),
        ([say("assistant", "a"), say("tool", "42"), say("assistant", "b")], "a\nb"),
        ([say("user", "42"), say("system", "42"), say("assistant", "no")], "no"),
        ([say("assistant", None), say("assistant", "4")], "4"),
        ([say("assistant", [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}])], "42"),
        ([say("assistant", ["4", {"type": "image"}, {"type": "text", "text": "2"}])], "42"),
        ([say("assistant", "")], ""),
        ([{"content": "42"}], "42"),
        ([], ""),
    ],
)
def test_only_what_the_model_wrote_counts(completion, expected):
    assert completion_text(completion) == expected


@pytest.mark.parametrize("content", [42, [42], {"text": 1}, [{"txt": "42"}]])
def test_content_that_is_no_text_is_named(content):
    with refused(DataError, "content", "42" if "42" in str(content) else "1"):
        completion_text([say("assistant", content)])
