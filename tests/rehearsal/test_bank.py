"""The bank of solutions: what it keeps and what it replays does not depend on how often solutions occur."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rehearsal.bank import SampledTokens, Seen, SolutionBank, systematic
from polypath.rehearsal.bank_file import read_bank, write_bank

PROMPTS = ((5, 6), (7,), (5, 6, 8))
SOLUTIONS = "abcdefgh"


def seen(text: str, prompt: tuple[int, ...] = PROMPTS[0]) -> list[Seen]:
    """Return a completion for each letter, whose solution it is."""
    return [Seen(prompt, letter) for letter in text]


def completion(step: int, place: int) -> SampledTokens:
    """Return tokens that tell step and place."""
    return SampledTokens(
        np.array([step, place], np.int32), np.array([-step, -place / 3], np.float32)
    )


def add(bank: SolutionBank, step: int, found: list[Seen]) -> list[int]:
    """Add completions to a bank, and return the places that it stored."""
    chosen = bank.choose(step, found)
    bank.add(step, found, {place: completion(step, place) for place in chosen})
    return chosen


def held(bank: SolutionBank, prompt: tuple[int, ...] = PROMPTS[0]) -> set[str]:
    return {entry.seen.solution for entry in bank if entry.seen.prompt == prompt}


def content(bank: SolutionBank) -> list[tuple]:
    """Return all that a bank holds, in its order, as values that compare."""
    return [
        (
            e.seen,
            e.completion.ids.tolist(),
            e.completion.logps.tolist(),
            e.step,
            e.count,
            e.priority,
        )
        for e in bank
    ]


# A few generations, each of a few completions of some problems.
GENERATIONS = st.lists(
    st.lists(st.builds(Seen, st.sampled_from(PROMPTS), st.sampled_from(SOLUTIONS)), max_size=12),
    min_size=1,
    max_size=5,
)


def test_the_latest_completion_stands_for_a_solution_and_all_are_counted() -> None:
    bank = SolutionBank(capacity=4)
    assert add(bank, 0, seen("aabac")) == [2, 3, 4]
    assert add(bank, 3, seen("cc")) == [1]
    found = {e.seen.solution: (e.completion.ids.tolist(), e.step, e.count) for e in bank}
    assert found == {"a": ([0, 3], 0, 3), "b": ([0, 2], 0, 1), "c": ([3, 1], 3, 3)}


def test_equal_solutions_of_different_problems_are_different() -> None:
    bank = SolutionBank(capacity=1)
    add(bank, 0, [Seen(prompt, "a") for prompt in PROMPTS])
    assert (len(bank), bank.problems) == (3, 3)


@given(GENERATIONS, st.integers(1, 6))
def test_a_full_bank_keeps_the_same_solutions_in_whatever_order_and_number_they_came(
    generations: list[list[Seen]], capacity: int
) -> None:
    bank, other = (SolutionBank(capacity=capacity, seed=3) for _ in range(2))
    for step, found in enumerate(generations):
        add(bank, step, found)
    once = sorted({one for found in generations for one in found}, reverse=True)
    for step, one in enumerate(once):
        add(other, step, [one] * (step + 1))
    for prompt in PROMPTS:
        assert held(bank, prompt) == held(other, prompt)
        different = {one.solution for one in once if one.prompt == prompt}
        assert len(held(bank, prompt)) == min(len(different), capacity)


def test_a_rare_solution_stays_as_often_as_a_frequent_one() -> None:
    kept: Counter[str] = Counter()
    runs = 2000
    for seed in range(runs):
        bank = SolutionBank(capacity=2, seed=seed)
        for step in range(3):
            add(bank, step, seen("aaaaaaaabbbb" + ("cd" if step == 0 else "")))
        kept.update(held(bank))
    # Each of four solutions stays in half of the banks: a binomial count, within 5 deviations.
    for solution in "abcd":
        assert abs(kept[solution] - runs / 2) < 5 * (runs / 4) ** 0.5


def test_solutions_that_were_not_sampled_for_too_long_are_dropped_and_may_return() -> None:
    bank = SolutionBank(capacity=2, max_age=4)
    add(bank, 0, seen("ab"))
    add(bank, 4, seen("a"))
    assert held(bank) == {"a", "b"}
    add(bank, 5, seen("", PROMPTS[0]))
    assert held(bank) == {"a"}
    add(bank, 9, seen("b"))
    assert held(bank) == {"b"}
    assert [entry.count for entry in bank] == [1]
    add(bank, 20, [])
    assert (len(bank), bank.problems) == (0, 0)


def test_an_old_solution_leaves_its_place_to_a_new_one() -> None:
    for first, second in ("ab", "ba"):  # whichever of them has the smaller hash
        bank = SolutionBank(capacity=1, max_age=1)
        add(bank, 0, seen(first))
        add(bank, 5, seen(second))
        assert held(bank) == {second}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(1, 12), st.integers(0, 100))
def test_every_place_is_drawn_as_often_as_its_weight_says(
    weights: list[int], rows: int, start: int
) -> None:
    array = np.array(weights, np.int64)
    total = sum(weights)
    drawn = Counter(place for n in range(total) for place in systematic(array, rows, start + n))
    for place, weight in enumerate(weights):
        assert drawn[place] == rows * weight
        expected = Fraction(rows * weight, total)
        once = systematic(array, rows, start).count(place)
        assert expected - 1 < once < expected + 1


@pytest.mark.parametrize("rows", [3, 8, 20])
@pytest.mark.parametrize("replay", ["uniform", "frequency"])
def test_replay_is_uniform_over_solutions_or_follows_their_counts(rows: int, replay: str) -> None:
    bank = SolutionBank(capacity=9, seed=1)
    add(bank, 0, seen("aaaaaab") + seen("aab", PROMPTS[1]) + seen("c", PROMPTS[2]))
    counts = {entry.seen: entry.count for entry in bank}
    steps = 2000
    drawn: Counter[Seen] = Counter()
    for step in range(steps):
        entries = bank.draw(rows, step, replay)
        assert len(entries) == rows
        drawn.update(entry.seen for entry in entries)
    for one, count in counts.items():
        share = count / 11 if replay == "frequency" else 1 / 5
        part = rows * share % 1
        # Each step draws it its expected number of times, rounded up or down: within 5 deviations.
        assert (
            abs(drawn[one] - steps * rows * share) <= 5 * (steps * part * (1 - part)) ** 0.5 + 1e-6
        )


def test_none_is_drawn_twice_while_another_is_left_out() -> None:
    bank = SolutionBank(capacity=9)
    add(bank, 0, seen("aaaaaabcdef"))
    for step in range(20):
        assert len({entry.seen for entry in bank.draw(4, step)}) == 4
        assert set(Counter(entry.seen for entry in bank.draw(12, step)).values()) == {2}
    assert bank.draw(4, 0) != bank.draw(4, 1)
    assert SolutionBank(capacity=9).draw(4, 0) == []


@given(GENERATIONS)
def test_a_restored_bank_goes_on_as_the_one_that_was_saved(generations: list[list[Seen]]) -> None:
    bank, again = (SolutionBank(capacity=2, max_age=2, seed=5) for _ in range(2))
    for step, found in enumerate(generations):
        again.restore(list(bank))
        add(bank, step, found)
        add(again, step, found)
        assert content(bank) == content(again)
        drawn, redrawn = (
            [(e.seen, e.step) for e in b.draw(3, step, "frequency")] for b in (bank, again)
        )
        assert drawn == redrawn


def test_a_file_holds_everything(tmp_path: Path) -> None:
    bank, again = (SolutionBank(capacity=2, seed=5) for _ in range(2))
    add(bank, 3, [*seen("abac"), Seen(PROMPTS[1], 'a "solution"\nof 2 lines, \u00e9')])
    write_bank(tmp_path / "deep" / "bank.parquet", bank)
    add(again, 0, seen("z", PROMPTS[2]))
    read_bank(tmp_path / "deep" / "bank.parquet", again)
    assert content(again) == content(bank)
    write_bank(tmp_path / "empty.parquet", SolutionBank(capacity=2))
    read_bank(tmp_path / "empty.parquet", again)
    assert len(again) == 0


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    bank = SolutionBank(capacity=2)
    with pytest.raises(MissingFileError, match="bank: false"):
        read_bank(tmp_path / "none.parquet", bank)
    add(bank, 0, seen("abc"))
    path = tmp_path / "bank.parquet"
    write_bank(path, bank)
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    with pytest.raises(DataError, match=r"bank\.parquet"):
        read_bank(path, bank)
    path.write_bytes(b"no table")
    with pytest.raises(DataError, match=r"bank\.parquet"):
        read_bank(path, bank)


def test_completions_must_be_those_chosen() -> None:
    bank = SolutionBank(capacity=4)
    with pytest.raises(ConfigError, match="choose"):
        bank.add(0, seen("ab"), {0: completion(0, 0)})
