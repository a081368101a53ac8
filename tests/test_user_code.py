"""Objects of a user's own files: found, loaded once, and missed in one line."""

import pytest

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.similarity.base import Completions
from polypath.similarity.custom import CustomSimilarity
from polypath.tasks.solutions import load_solution
from polypath.user_code import blamed, load_function, load_object

HERE = "tests.test_user_code"
NUMBER = 7


def test_an_object_is_found_in_a_module():
    assert load_object(f"{HERE}:NUMBER", "Thing") is NUMBER
    assert load_function(f"{HERE}:load_object", "Thing") is load_object


def test_a_file_is_loaded_once_and_again_when_it_changed(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\nb = A()\n"
    )
    assert isinstance(load_object(f"{file}:b", "Thing"), load_object(f"{file}:A", "Thing"))
    other = tmp_path / "folder with spaces" / "mine.py"
    other.parent.mkdir()
    other.write_text("b = 2\n")
    assert load_object(f"{other}:b", "Thing") == 2
    assert load_object(f"{file}:b", "Thing").x == 1


@pytest.mark.parametrize(
    ("spec", "error", "named"),
    [
        ("no/such/file.py:f", MissingFileError, "no/such/file.py"),
        ("no_such_module:f", ConfigError, "no_such_module"),
        ("json:no_such_function", ConfigError, "no_such_function"),
        ("json:__name__", ConfigError, "str"),
        (":f", ConfigError, "module:name"),
        ("json:", ConfigError, "module:name"),
        ("plain", ConfigError, "module:name"),
    ],
)
def test_what_cannot_be_found_is_named(spec, error, named):
    with pytest.raises(error) as raised:
        load_function(spec, "Thing")
    assert named in str(raised.value)
    assert "Thing" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_run_is_told_with_its_error(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("1 / 0\n")
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        load_object(f"{file}:x", "Thing")


def fails(*_):
    raise KeyError("lost")


def test_a_users_function_that_fails_is_named_with_its_place_and_traceback():
    rows = Completions(texts=["a", "b"], token_ids=[[1], [2]], solutions=[None, None])
    similarity = CustomSimilarity(fails)
    calls = [
        lambda: similarity.matrix(similarity.features(rows), 2),
        lambda: load_solution(fails)("text", {}),
    ]
    for call in calls:
        with pytest.raises(DataError, match=r"KeyError.*lost.*test_user_code\.py") as error:
            call()
        assert isinstance(error.value.__cause__, KeyError)
        assert "\n" not in str(error.value)


def test_our_own_errors_pass_as_they_are():
    with pytest.raises(ConfigError, match=r"^ours$"), blamed("mine"):
        raise ConfigError("ours")
