import io
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from polypath.rollouts import RolloutStore
from polypath.sampling.collect import collect_from, draw_verified
from polypath.sampling.progress import ProgressReport
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings
from polypath.sampling.transformers import sample
from tests.rehearsal.adder import Addition
from tests.rollouts.rows import manifest

SETTINGS = SamplingSettings(max_new_tokens=4, batch_size=3)


def rows_of(store: RolloutStore) -> dict[tuple[str, int], dict[str, Any]]:
    rows = [r for batch in store.iter_batches() for r in batch.to_pylist()]
    return {(r["problem_id"], r["sample_id"]): r for r in rows}


def test_rows_hold_the_verdict_of_their_text(tiny: tuple[Any, Any], tmp_path: Path) -> None:
    task = Addition()
    problems = task.problems("train", 4)
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        new = collect_from(
            partial(draw_verified, partial(sample, *tiny), task.verify_batch),
            store,
            DrawRequest(problems=problems, num_samples=5, settings=SETTINGS),
        )
        rows = rows_of(store)
    assert new == len(rows) == 20
    assert len(list(tmp_path.glob("shard-*"))) == 7  # 20 rows by threes
    for row in rows.values():
        verdict = task.verify(row["completion"], row["gold"])
        assert (row["status"], row["reward"], row["answer"]) == (
            verdict.status,
            verdict.reward,
            verdict.answer,
        )
        assert row["n_tokens"] == len(row["token_ids"])
    assert len({row["answer"] for row in rows.values()}) > 1


def test_only_what_is_missing_is_sampled(tiny: tuple[Any, Any], tmp_path: Path) -> None:
    task = Addition()
    draw = partial(draw_verified, partial(sample, *tiny), task.verify_batch)

    def collect(store: RolloutStore, num_problems: int, num_samples: int) -> int:
        problems = task.problems("train", num_problems)
        request = DrawRequest(problems=problems, num_samples=num_samples, settings=SETTINGS)
        return collect_from(draw, store, request)

    with RolloutStore.create_or_open(tmp_path / "once", manifest()) as store:
        collect(store, 4, 5)
        whole = rows_of(store)
    with RolloutStore.create_or_open(tmp_path / "bits", manifest()) as store:
        assert collect(store, 2, 2) == 4
        assert collect(store, 4, 5) == 16
        assert collect(store, 4, 5) == 0
        assert rows_of(store) == whole


def test_progress_away_from_a_terminal_is_plain_lines() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=False)
    with ProgressReport("sampling", 10, done=4, console=console) as progress:
        progress.advance(6)
    assert text.getvalue().splitlines() == ["sampling: 4 of 10", "sampling: 10 of 10"]


def test_progress_in_a_terminal_is_a_bar() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80)
    with ProgressReport("sampling", 10, done=4, console=console) as progress:
        progress.advance(6)
    assert "10/10" in text.getvalue()


def test_progress_without_a_console_is_silent(capsys: Any) -> None:
    with ProgressReport("sampling", 10, console=None) as progress:
        progress.advance(10)
    assert capsys.readouterr() == ("", "")
