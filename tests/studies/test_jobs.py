"""Jobs: order, resumption, failures that name their reason."""

import time
from pathlib import Path

import pytest
from rich.console import Console

from polypath.studies.jobs import Job, JobFailed, run_jobs


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


def silent() -> Console:
    return Console(quiet=True)


def test_jobs_run_after_what_they_need_whatever_their_order(tmp_path: Path):
    jobs = [
        job(tmp_path, "c", after=("b",), needs=str(tmp_path / "b")),
        job(tmp_path, "b", after=("a",), needs=str(tmp_path / "a")),
        job(tmp_path, "a"),
    ]
    seconds = run_jobs(
        jobs, workers=2, log=tmp_path / "log", timings=tmp_path / "t.json", console=silent()
    )
    assert set(seconds) == {"a", "b", "c"}


def test_a_failure_names_job_reason_and_log_and_keeps_what_was_done(tmp_path: Path):
    jobs = [job(tmp_path, "good"), job(tmp_path, "bad", fail, after=("good",))]
    with pytest.raises(JobFailed, match=r"bad failed: cannot make bad .*log"):
        run_jobs(
            jobs, workers=1, log=tmp_path / "log", timings=tmp_path / "t.json", console=silent()
        )
    assert (tmp_path / "good").exists()
    assert "some output" in (tmp_path / "log").read_text()
    (tmp_path / "good").write_text("kept")
    again = [jobs[0], job(tmp_path, "bad", after=("good",))]
    (tmp_path / "t.json").unlink()
    assert set(
        run_jobs(
            again, workers=1, log=tmp_path / "log", timings=tmp_path / "t.json", console=silent()
        )
    ) == {"bad"}
    assert (tmp_path / "good").read_text() == "kept"


def test_a_worker_that_dies_is_reported(tmp_path: Path):
    with pytest.raises(JobFailed, match="died"):
        run_jobs(
            [job(tmp_path, "a", die)],
            workers=1,
            log=tmp_path / "log",
            timings=tmp_path / "t.json",
            console=silent(),
        )


def test_seconds_of_every_job_are_kept_over_calls(tmp_path: Path):
    def call(*names: str) -> dict[str, float]:
        jobs = [job(tmp_path, name) for name in names]
        timings = tmp_path / "t.json"
        return run_jobs(jobs, workers=1, log=tmp_path / "log", timings=timings, console=silent())

    first = call("a")
    second = call("a", "b")
    assert set(second) == {"a", "b"}
    assert second["a"] == first["a"] > 0
    assert call("a", "b") == second


def test_nothing_to_do_starts_no_worker(tmp_path: Path):
    (tmp_path / "a").write_text("x")
    assert (
        run_jobs(
            [job(tmp_path, "a")],
            workers=1,
            log=tmp_path / "log",
            timings=tmp_path / "t.json",
            console=silent(),
        )
        == {}
    )
    assert not (tmp_path / "log").exists()
