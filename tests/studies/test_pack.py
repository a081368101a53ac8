"""A packed study gives the tables of the study itself, and others go on from it."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from polypath.cli.main import run as command
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.studies.load import load_study
from polypath.studies.pack import HEAD, pack, read_pack
from polypath.studies.plan import TIMINGS
from polypath.studies.run import stages
from polypath.studies.splits import SplitSamples
from tests.studies.small_study import FinishedStudy, not_done, other_base, write

RANKING = ["pass@4", "pass@4 at equal pass@1", "distinct@4"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the small study as one whose tables need no texts."""
    folder = tmp_path_factory.mktemp("study")
    return write(folder, page=False, relations=[], ranking=RANKING)


@pytest.fixture(scope="module")
def packed(finished_study: FinishedStudy, study: Path) -> Path:
    out, file = finished_study[1], study.parent / "small.zip"
    command(["study", str(study), "--out", str(out), "--pack", str(file)])
    return file


def results(study: Path, out: Path, *more: str) -> dict[str, Any]:
    command(["study", str(study), "--out", str(out), "--workers", "1", *more])
    return dict(json.loads((out / "results.json").read_text()))


def same(mine: Any, theirs: Any) -> None:
    """Compare all numbers; entropy was stored in single precision."""
    assert type(mine) is type(theirs)
    if isinstance(mine, dict):
        assert mine.keys() == theirs.keys()
        for key in mine:
            same(mine[key], theirs[key])
    elif isinstance(mine, list):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            same(one, other)
    elif isinstance(mine, float):
        assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-9, nan_ok=True)
    else:
        assert mine == theirs


def test_tables_are_those_of_the_samples(
    finished_study: FinishedStudy, study: Path, packed: Path, tmp_path: Path
):
    shutil.copytree(finished_study[1], tmp_path / "here")  # other tests read its tables
    here = results(study, tmp_path / "here")
    there = results(study, tmp_path / "there", "--unpack", str(packed))
    for key in ("splits", "checkpoints", "cost of a step", "temperature", "notes", "job_seconds"):
        if key == "splits":
            for split in (*here[key].values(), *there[key].values()):
                for row in (*split["rows"], *split["temperatures"]):
                    row.pop("folders")
                for rows in split["method_temperatures"].values():
                    for row in rows:
                        row.pop("folders")
        if key == "job_seconds":  # the rehearsal set is made where it is needed
            del here[key]["presample rehearsal"], there[key]["presample rehearsal"]
        same(there[key], here[key])
    assert (tmp_path / "there" / "table.md").read_text().count("|") > 50
    assert not list((tmp_path / "there").glob("runs/*/*/*.safetensors"))


def test_solutions_verdicts_and_entropy_come_back(
    finished_study: FinishedStudy, study: Path, packed: Path, tmp_path: Path
):
    [mine], [theirs] = (stages(load_study(study), out) for out in (finished_study[1], tmp_path))
    read_pack(packed).unpack(theirs)
    before, after = (SplitSamples(plan, plan.study.main, None) for plan in (mine, theirs))
    for row, other in zip(before.rows, after.rows, strict=True):
        for folder, unpacked in zip(row.folders, other.folders, strict=True):
            one, two = before.values(folder), after.values(unpacked)
            for key, values_N in one.at_k.items():
                assert two.at_k[key] == pytest.approx(values_N, abs=1e-12), key


def test_only_what_it_lacks_is_run(study: Path, packed: Path, tmp_path: Path):
    [plan] = stages(load_study(study), tmp_path)
    read_pack(packed).unpack(plan)
    assert not_done(plan) == {"presample rehearsal"}
    [more] = stages(
        load_study(write(tmp_path / "more", page=False, relations=[], seeds=[0, 1, 2])),
        tmp_path,
    )
    assert all("seed 2" in name or "presample" in name for name in not_done(more))
    # What is there stays: here the time of a job, and a result.
    [seconds] = tmp_path.glob(TIMINGS)
    content = json.loads(seconds.read_text()) | {"evaluate base on test": 1e6}
    seconds.write_text(json.dumps(content))
    job = next(job for job in plan.jobs() if job.kind == "train")
    job.result.write_text("{}")
    read_pack(packed).unpack(plan)
    assert json.loads(seconds.read_text()) == content
    assert job.result.read_text() == "{}"


def test_an_unpacking_that_was_cut_off_goes_on(study: Path, packed: Path, tmp_path: Path):
    [plan] = stages(load_study(study), tmp_path)
    read_pack(packed).unpack(plan)
    lost = [job for job in plan.jobs() if job.kind.startswith("evaluate")][::2]
    for job in lost:
        job.result.unlink()
    read_pack(packed).unpack(plan)
    assert all(job.result.exists() for job in lost)
    results(study, tmp_path)


def test_a_study_that_measures_texts_is_not_packed(finished_study: FinishedStudy, tmp_path: Path):
    for changes in (
        {},
        {"page": False},
        {"page": False, "relations": [], "matched_measures": ["vendi (all)"]},
    ):
        plans = stages(load_study(write(tmp_path, **changes)), finished_study[1])
        with pytest.raises(ConfigError, match="page: false"):
            pack(plans, tmp_path / "out.zip")
    plain = load_study(write(tmp_path, page=False, relations=[]))
    with pytest.raises(ConfigError, match="No job"):
        pack(stages(plain, tmp_path / "empty"), tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_another_studys_file_is_refused_before_anything_is_written(packed: Path, tmp_path: Path):
    changed = write(
        tmp_path / "other",
        page=False,
        relations=[],
        matched_measures=[],
        base=str(other_base(tmp_path)),
    )
    [plan] = stages(load_study(changed), tmp_path / "out")
    with pytest.raises(ConfigError, match="'small'"):
        read_pack(packed).unpack(plan)
    assert not (tmp_path / "out").exists()


def rewritten(packed: Path, to: Path, **changes: Any) -> Path:
    """Copy a packed study with other values in its record."""
    with zipfile.ZipFile(packed) as before:
        members = {name: before.read(name) for name in before.namelist()}
    members[HEAD] = json.dumps(json.loads(members[HEAD]) | changes).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as after:
        for name, member in members.items():
            after.writestr(name, member)
    to.write_bytes(content.getvalue())
    return to


def test_what_is_no_packed_study_is_one_line(packed: Path, tmp_path: Path):
    with pytest.raises(MissingFileError, match="--pack"):
        read_pack(tmp_path / "none.zip")
    whole = packed.read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        read_pack(tmp_path / "half.zip")
    with pytest.raises(DataError, match="version 2"):
        read_pack(rewritten(packed, tmp_path / "later.zip", version=2))
    with pytest.raises(DataError, match="outside"):
        read_pack(rewritten(packed, tmp_path / "bad.zip", runs={"../../elsewhere": {}}))
