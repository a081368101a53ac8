"""Errors: each is the builtin it replaces, and prints as one line."""

import pytest

from polypath import errors
from polypath.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    MissingFileError,
    PolypathError,
    ShapeError,
    unknown_name,
)

REPLACES = {
    ConfigError: ValueError,
    ShapeError: ValueError,
    DataError: ValueError,
    MissingFileError: FileNotFoundError,
    MissingExtraError: ImportError,
}


def test_every_error_of_the_module_is_listed_here():
    found = {
        e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, PolypathError)
    }
    assert found == {PolypathError, *REPLACES}


@pytest.mark.parametrize(("error", "builtin"), REPLACES.items())
def test_error_is_caught_as_ours_and_as_the_builtin(error, builtin):
    for kind in (PolypathError, builtin):
        with pytest.raises(kind, match="what happened"):
            raise error("what happened")


@pytest.mark.parametrize("error", REPLACES)
def test_error_prints_its_message_and_nothing_else(error):
    assert str(error("no such file: a/b.json")) == "no such file: a/b.json"
    assert str(error()) == ""


def test_unknown_name_suggests_the_closest_and_lists_all():
    message = str(unknown_name("similarity", "ngrams", ["ngram", "answer"]))
    assert message == "Unknown similarity 'ngrams'. Did you mean 'ngram'? Known: answer, ngram."


def test_unknown_name_does_not_guess_when_nothing_is_close():
    message = str(unknown_name("task", "zzz", ["gsm8k", "countdown"]))
    assert message == "Unknown task 'zzz'. Known: countdown, gsm8k."


def test_unknown_name_is_a_config_error_on_one_line():
    error = unknown_name("task", "x", iter(["a", "b"]))
    assert isinstance(error, ConfigError)
    assert "\n" not in str(error)
