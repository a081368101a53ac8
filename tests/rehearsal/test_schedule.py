import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError
from polypath.rehearsal import RehearsalSchedule
from polypath.rehearsal.schedule import _epoch_order
from tests.refusals import refused

SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**63)


@given(SIZES, SIZES, SEEDS, st.integers(1, 3))
def test_every_row_comes_once_in_every_epoch(
    num_rows: int, rows_per_step: int, seed: int, epochs: int
) -> None:
    schedule = RehearsalSchedule(num_rows=num_rows, rows_per_step=rows_per_step, seed=seed)
    steps = -(-num_rows * epochs // rows_per_step)
    stream = [row for step in range(steps) for row in schedule.rows(step)]
    assert len(stream) == steps * rows_per_step
    for epoch in range(epochs):
        assert sorted(stream[epoch * num_rows : (epoch + 1) * num_rows]) == list(range(num_rows))


@given(SIZES, SIZES, SEEDS, st.permutations(range(8)))
def test_rows_of_a_step_do_not_depend_on_what_was_asked_before(
    num_rows: int, rows_per_step: int, seed: int, order: list[int]
) -> None:
    schedule = RehearsalSchedule(num_rows=num_rows, rows_per_step=rows_per_step, seed=seed)
    asked = {step: schedule.rows(step) for step in order}
    for step in range(8):
        _epoch_order.cache_clear()
        fresh = RehearsalSchedule(num_rows=num_rows, rows_per_step=rows_per_step, seed=seed)
        assert fresh.rows(step) == asked[step]


@given(SIZES, st.integers(1, 4), st.integers(1, 4), st.integers(0, 7), SEEDS)
def test_rows_that_do_not_divide_evenly_are_shared_all_the_same(
    num_rows: int, micro_steps: int, world: int, more: int, seed: int
) -> None:
    schedule = RehearsalSchedule(
        num_rows=num_rows, rows_per_step=micro_steps * world + more, seed=seed
    )
    parts = [
        schedule.part(3, micro_step, micro_steps, rank, world)
        for micro_step in range(micro_steps)
        for rank in range(world)
    ]
    sizes = {len(part) for part in parts}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert [row for part in parts for row in part] == schedule.rows(3)


@given(SIZES, st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), SEEDS, st.integers(0, 10**6))
def test_micro_steps_and_ranks_share_a_step_s_rows(
    num_rows: int, micro_steps: int, size: int, world: int, seed: int, step: int
) -> None:
    schedule = RehearsalSchedule(
        num_rows=num_rows, rows_per_step=micro_steps * world * size, seed=seed
    )
    parts = [
        schedule.part(step, micro_step, micro_steps, rank, world)
        for micro_step in range(micro_steps)
        for rank in range(world)
    ]
    assert {len(part) for part in parts} == {size}
    assert [row for part in parts for row in part] == schedule.rows(step)


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    schedule = RehearsalSchedule(num_rows=50, rows_per_step=50, seed=0)
    other = RehearsalSchedule(num_rows=50, rows_per_step=50, seed=1)
    orders = [schedule.rows(0), schedule.rows(1), schedule.rows(2), other.rows(0)]
    assert len({tuple(order) for order in orders}) == 4
    assert list(range(50)) not in orders


def test_the_order_is_the_same_in_every_version() -> None:
    # Derivation: argsort of numpy's Philox raw stream, keyed by SeedSequence([seed, epoch]); both
    # streams are guaranteed by numpy. A change here would silently change resumed runs.
    schedule = RehearsalSchedule(num_rows=10, rows_per_step=10, seed=7)
    assert schedule.rows(0) == [8, 4, 3, 6, 2, 1, 0, 5, 9, 7]


def test_rows_come_equally_often_at_every_place() -> None:
    counts = [0] * 5
    schedule = RehearsalSchedule(num_rows=5, rows_per_step=5, seed=3)
    for step in range(2000):
        counts[schedule.rows(step)[0]] += 1
    # Binomial(2000, 1/5): standard deviation 18; five of them.
    assert all(abs(count - 400) < 90 for count in counts)


@pytest.mark.parametrize("change", [{"num_rows": 0}, {"rows_per_step": 0}, {"seed": -1}])
def test_impossible_schedules_are_refused(change: dict[str, int]) -> None:
    (name,) = change
    with refused(ConfigError, name, *change.values()):
        RehearsalSchedule(**{"num_rows": 4, "rows_per_step": 2, **change})


def test_empty_parts_and_wrong_places_are_refused() -> None:
    schedule = RehearsalSchedule(num_rows=9, rows_per_step=6)
    with refused(ConfigError, 8):
        schedule.part(0, 0, 4, 0, 2)
    with refused(ConfigError, "rank", 3):
        schedule.part(0, 0, 2, 3, 3)
    with refused(ConfigError, 2, 0):
        schedule.part(0, 2, 2, 0, 3)
    with refused(ConfigError, "step"):
        schedule.rows(-1)
