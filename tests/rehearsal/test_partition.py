from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError
from polypath.rehearsal.partition import (
    Assignment,
    ProblemSet,
    Sampled,
    histogram,
    near_perfect_candidates,
    partition,
)
from polypath.rehearsal.settings import PresampleSettings
from tests.refusals import refused


def samples(pattern: str, answers: str | None = None) -> list[Sampled]:
    """Read a pattern: ``+`` right, ``-`` wrong, ``t`` right but cut off; an answer per letter."""
    answers = answers or "=" * len(pattern)
    return [
        Sampled(n, mark in "+t", None if a == "?" else a, "length" if mark == "t" else "stop")
        for n, (mark, a) in enumerate(zip(pattern, answers, strict=True))
    ]


def place(pattern: str, answers: str | None = None, **changes: Any) -> Assignment:
    settings = PresampleSettings(**{"k": 4, "threshold": 3, **changes})
    # A second problem that always makes it, so that the first may fail.
    sure = samples("+" * (settings.k + settings.confirm))
    found = partition(["x", "sure"], {"x": samples(pattern, answers), "sure": sure}, settings)
    assert found[0].problem_id == "x"
    assert found[0].sampled == settings.k
    return found[0]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("++++ +", ProblemSet.NEAR_PERFECT),
        ("-+++ +", ProblemSet.NEAR_PERFECT),
        ("++++ -", ProblemSet.EXPLORATION),  # chosen by luck, says the extra sample
        ("++++ t", ProblemSet.EXPLORATION),  # right, but its end is not the model's own
        ("tttt +", ProblemSet.NEAR_PERFECT),  # the count takes cut-off answers, as rewards do
        ("--++", ProblemSet.EXPLORATION),
        ("---+", ProblemSet.EXPLORATION),
        ("----", ProblemSet.EXPLORATION),
    ],
)
def test_threshold_and_confirmation_decide(pattern: str, expected: ProblemSet) -> None:
    placed = place(pattern.replace(" ", ""))
    assert placed.problem_set is expected
    assert placed.correct == pattern[:4].count("+") + pattern[:4].count("t")
    assert placed.chosen == ((4,) if expected is ProblemSet.NEAR_PERFECT else ())


def test_an_unconfirmed_problem_can_be_dropped() -> None:
    assert place("++++-", failed_confirm="drop").problem_set is ProblemSet.DROPPED
    assert place("++++-", failed_confirm="explore").problem_set is ProblemSet.EXPLORATION


@pytest.mark.parametrize(
    ("hopeless", "expected"),
    [
        ("keep", ProblemSet.EXPLORATION),
        ("drop", ProblemSet.DROPPED),
        ("list", ProblemSet.HOPELESS),
    ],
)
def test_never_solved_problems_go_where_they_are_told(hopeless: str, expected: ProblemSet) -> None:
    assert place("----", hopeless=hopeless).problem_set is expected
    assert place("---+", hopeless=hopeless).problem_set is ProblemSet.EXPLORATION


def test_one_usable_extra_sample_of_several_confirms() -> None:
    assert place("++++-+", confirm=2).chosen == (5,)
    assert place("++++--", confirm=2).problem_set is ProblemSet.EXPLORATION


def test_without_confirmation_the_first_usable_sample_is_rehearsed() -> None:
    assert place("-+++", confirm=0).chosen == (1,)
    assert place("-t++", confirm=0).chosen == (2,)
    assert place("ttt-", confirm=0).problem_set is ProblemSet.EXPLORATION


def test_cut_off_answers_are_rehearsed_only_when_allowed() -> None:
    assert place("+++-t", truncated="allow").chosen == (4,)
    assert place("tttt", truncated="allow", confirm=0).chosen == (0,)


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(1, (4,)), (2, (4, 0)), (3, (4, 0, 2)), (4, (4, 0, 2, 1)), (9, (4, 0, 2, 1, 3))],
)
def test_more_answers_take_new_solutions_first(count: int, chosen: tuple[int, ...]) -> None:
    # By sample number: solutions a, a, c, a of the first four, b of the extra one.
    assert place("+++++", "aacab", answers_per_problem=count).chosen == chosen


def test_answers_without_a_canonical_form_count_as_new() -> None:
    assert place("+++++", "a??ab", answers_per_problem=4).chosen == (4, 0, 1, 2)


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, (4,)), (2, (4, 0)), (3, (4, 0, 2)), (4, (4, 0, 2)), (16, (4, 0, 2))]
)
def test_dropped_repeats_leave_one_sample_of_each_answer(
    count: int, chosen: tuple[int, ...]
) -> None:
    placed = place("+++++", "aacab", answers_per_problem=count, repeated_answers="drop")
    assert placed.chosen == chosen


def test_dropping_repeats_keeps_one_of_the_samples_without_an_answer() -> None:
    changes = {"answers_per_problem": 9, "repeated_answers": "drop"}
    assert place("+++++", "a??ab", **changes).chosen == (4, 0, 1)
    assert place("+++++", "?????", **changes).chosen == (4,)


@given(st.text("ab?", min_size=6, max_size=6), st.integers(1, 6))
def test_drop_is_what_keep_stores_without_its_repeats(answers: str, count: int) -> None:
    def stored(repeated: str, number: int) -> tuple[int, ...]:
        changes = {"answers_per_problem": number, "repeated_answers": repeated}
        return place("++++++", answers, confirm=2, **changes).chosen

    everything = stored("keep", 6)
    firsts = [i for n, i in enumerate(everything) if answers[i] not in _at(everything[:n], answers)]
    assert sorted(everything) == [0, 1, 2, 3, 4, 5]
    assert stored("drop", count) == tuple(firsts[:count])
    assert len(set(_at(stored("drop", count), answers))) == min(count, len(set(answers)))


def _at(places: tuple[int, ...], answers: str) -> list[str]:
    return [answers[place] for place in places]


def test_further_samples_of_a_store_are_ignored() -> None:
    assert place("-+++-++++", answers_per_problem=9).problem_set is ProblemSet.EXPLORATION


def test_a_missing_sample_is_an_error() -> None:
    settings = PresampleSettings(k=4, threshold=3)
    with refused(DataError, "'x'", 3, 4):
        partition(["x"], {"x": samples("+++")}, settings)
    with refused(DataError, "'x'", 0, 1):
        partition(["x"], {"x": samples("++++")}, settings)


def test_an_empty_set_is_an_error_that_helps() -> None:
    settings = PresampleSettings()
    with pytest.raises(ConfigError) as caught:
        near_perfect_candidates({"a": 0, "b": 3, "c": 3, "d": 5}, settings)
    message = str(caught.value)
    assert "threshold=6" in message
    assert "0 of 8: 1, 3 of 8: 2, 5 of 8: 1" in message
    assert "threshold=5 would give 1 problem" in message
    with refused(ConfigError):
        near_perfect_candidates({"a": 0}, settings)


def test_candidates_without_a_usable_answer_are_an_error_that_helps() -> None:
    settings = PresampleSettings(k=4, threshold=3)
    with refused(ConfigError, "threshold=3"):
        partition(["x"], {"x": samples("++++t")}, settings)


@given(
    st.lists(st.lists(st.sampled_from("+-t"), min_size=7, max_size=7), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(0, 2),
    st.integers(1, 4),
    st.sampled_from(["exclude", "allow"]),
)
def test_every_problem_has_one_place_and_only_usable_answers(
    patterns: list[list[str]], threshold: int, confirm: int, answers: int, truncated: str
) -> None:
    settings = PresampleSettings(
        k=5, threshold=threshold, confirm=confirm, answers_per_problem=answers, truncated=truncated
    )
    held = {str(n): samples("".join(p)) for n, p in enumerate(patterns)}
    held["sure"] = samples("+++++++")
    placed = partition(list(held), held, settings)
    assert [a.problem_id for a in placed] == list(held)
    assert sum(histogram([a.correct for a in placed], 5)) == len(held)
    for assignment in placed:
        near = assignment.problem_set is ProblemSet.NEAR_PERFECT
        assert near == bool(assignment.chosen)
        assert not near or assignment.correct >= threshold
        assert len(set(assignment.chosen)) == len(assignment.chosen) <= answers
        for sample_id in assignment.chosen:
            sample = held[assignment.problem_id][sample_id]
            assert sample.correct
            assert sample.finish_reason == "stop" or truncated == "allow"
            assert sample_id < 5 + confirm
