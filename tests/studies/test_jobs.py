"""Jobs: order, resumption, the time left, failures that name their reason."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from polypath.studies.jobs import Job, JobFailed, run_jobs, time_left


def write(*, path: str, needs: str = "", text: str = "x") -> None:
    """Write a file; fail when a file it needs is not there yet."""
    if needs:
        assert Path(needs).exists(), f"{needs} should have been written before"
    time.sleep(0.05)
    Path(path).write_text(text)


def fail(*, path: str) -> None:
    print("some output of the job")
    raise ValueError(f"cannot make\n{Path(path).name}")


def die(*, path: str) -> None:
    import os

    del path
    os._exit(9)


def job(folder: Path, name: str, function=write, after: tuple[str, ...] = (), **arguments) -> Job:
    path = folder / name
    return Job(
        name=name,
        function=function,
        arguments={"path": str(path), **arguments},
        result=path,
        after=after,
    )


def call(folder: Path, *jobs: Job, workers: int = 1) -> dict[str, float]:
    return run_jobs(
        jobs,
        workers=workers,
        log=folder / "log",
        timings=folder / "t.json",
        console=Console(quiet=True),
    )


def test_jobs_run_after_what_they_need_whatever_their_order(tmp_path: Path):
    jobs = [
        job(tmp_path, "c", after=("b",), needs=str(tmp_path / "b")),
        job(tmp_path, "b", after=("a",), needs=str(tmp_path / "a")),
        job(tmp_path, "a"),
    ]
    assert set(call(tmp_path, *jobs, workers=2)) == {"a", "b", "c"}


def test_a_failure_names_job_reason_and_log_and_keeps_what_was_done(tmp_path: Path):
    jobs = [job(tmp_path, "good"), job(tmp_path, "bad", fail, after=("good",))]
    with pytest.raises(JobFailed, match=r"bad.*cannot make bad .*log"):
        call(tmp_path, *jobs)
    assert (tmp_path / "good").exists()
    assert "some output" in (tmp_path / "log").read_text()
    (tmp_path / "good").write_text("kept")
    (tmp_path / "t.json").unlink()
    assert set(call(tmp_path, jobs[0], job(tmp_path, "bad", after=("good",)))) == {"bad"}
    assert (tmp_path / "good").read_text() == "kept"


def test_a_worker_that_dies_is_reported(tmp_path: Path):
    with pytest.raises(JobFailed, match=r"a .*log"):
        call(tmp_path, job(tmp_path, "a", die))


def test_seconds_of_every_job_are_kept_over_calls(tmp_path: Path):
    first = call(tmp_path, job(tmp_path, "a"))
    second = call(tmp_path, job(tmp_path, "a"), job(tmp_path, "b"))
    assert set(second) == {"a", "b"}
    assert second["a"] == first["a"] > 0
    assert call(tmp_path, job(tmp_path, "a"), job(tmp_path, "b")) == second


def test_nothing_to_do_starts_no_worker(tmp_path: Path):
    (tmp_path / "a").write_text("x")
    assert call(tmp_path, job(tmp_path, "a")) == {}
    assert not (tmp_path / "log").exists()


def of_kind(name: str, kind: str, total: int = 0, units: int = 0) -> Job:
    return Job(
        name=name,
        function=write,
        arguments={},
        result=Path(name),
        kind=kind,
        total=total,
        done=(lambda: units) if total else None,
    )


def test_time_left_is_what_jobs_of_the_kind_took_shared_by_the_workers():
    jobs = [of_kind(name, "train") for name in "abcd"] + [of_kind("e", "evaluate")]
    seconds = {"a": 100.0, "b": 140.0, "e": 10.0}
    left = time_left(jobs, [jobs[3]], {"c": 30.0}, seconds, 2)
    assert left == pytest.approx((120 - 30 + 120) / 2)
    assert time_left(jobs, [], {"c": 30.0}, seconds, 2) == pytest.approx(90)  # one cannot be shared
    assert time_left(jobs, [], {"c": 500.0}, seconds, 2) == 0
    assert time_left(jobs, [jobs[3]], {}, {"e": 10.0}, 2) is None
    assert time_left([of_kind("x", "")], [of_kind("x", "")], {}, {"x": 5.0}, 2) is None


def test_a_job_at_work_tells_of_its_kind_by_its_own_pace():
    running = of_kind("a", "train", total=100, units=25)
    waiting = of_kind("b", "train")
    assert time_left([running, waiting], [waiting], {"a": 30.0}, {}, 1) == pytest.approx(90 + 120)
    not_begun = of_kind("a", "train", total=100, units=0)
    assert time_left([not_begun, waiting], [waiting], {"a": 30.0}, {}, 1) is None


def test_after_a_failure_what_does_not_need_it_is_still_done(tmp_path: Path):
    jobs = [
        job(tmp_path, "bad", fail),
        job(tmp_path, "needs", after=("bad",)),
        job(tmp_path, "needs more", after=("needs",)),
        job(tmp_path, "free"),
    ]
    with pytest.raises(JobFailed) as caught:
        call(tmp_path, *jobs)
    assert [word for word in ("bad", "cannot make bad", "2") if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"free", "log", "t.json"}
