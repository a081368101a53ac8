"""What a study needs of its jobs: the time left, and going on after a failure."""

from pathlib import Path

import pytest
from rich.console import Console

from polypath.studies.jobs import Job, JobFailed, run_jobs, time_left
from tests.studies.test_jobs import fail, job, write


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
    with pytest.raises(
        JobFailed, match=r"bad failed: cannot make bad.* 2 jobs .* not run"
    ) as caught:
        run_jobs(
            jobs,
            workers=1,
            log=tmp_path / "log",
            timings=tmp_path / "t.json",
            console=Console(quiet=True),
            keep_going=True,
        )
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"free", "log", "t.json"}
