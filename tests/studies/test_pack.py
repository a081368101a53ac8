"""A packed study gives the tables of the study itself, and others go on from it."""

import io
import json
import math
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from polypath.cli.main import run as command
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts import Rollout, RolloutManifest, RolloutStore
from polypath.rollouts.samples import load_samples
from polypath.studies.load import load_study
from polypath.studies.pack import HEAD, pack, read_pack
from polypath.studies.plan import TIMINGS
from polypath.studies.run import run_study, stages
from polypath.studies.splits import SplitSamples
from polypath.train.callbacks import read_log
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


def test_values_of_every_problem_come_back(
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


def test_samples_without_a_verdict_or_a_solution_and_failed_runs_come_back(
    finished_study: FinishedStudy, study: Path, tmp_path: Path
):
    shutil.copytree(finished_study[1], tmp_path / "here")
    [plan] = stages(load_study(study), tmp_path / "here")
    folder = plan.samples_folder(plan.base_folder(), plan.study.main)
    before = load_samples(folder)
    kinds = [("x", "graded", 1), ("x", "graded", 1), ("y", "graded", 1), (None, "graded", 1)]
    kinds += [("z", "graded", 0), (None, "no_answer", 0), (None, "timeout", 0), (None, "error", 0)]
    shutil.rmtree(folder / "samples")
    with RolloutStore.create_or_open(folder / "samples", RolloutManifest(model="m")) as store:
        store.append(
            Rollout(
                **{"problem_id": problem, "sample_id": n, "prompt": "p", "completion": "c"},
                **{"gold": "g", "status": status, "reward": float(right), "correct": bool(right)},
                **{"answer": answer, "n_tokens": None, "finish_reason": None},
            )
            for problem in before.problem_ids
            for n, (answer, status, right) in enumerate(kinds)
        )
    log = next((tmp_path / "here").glob("runs/*/*/log.jsonl"))
    log.write_text('{"step": 1, "grad_norm": NaN}\n')
    pack([plan], tmp_path / "odd.zip")
    [there] = stages(load_study(study), tmp_path / "there")
    read_pack(tmp_path / "odd.zip").unpack(there)
    found = load_samples(there.samples_folder(there.base_folder(), there.study.main))
    assert found.problem_ids == before.problem_ids
    assert found.greedy_correct == before.greedy_correct
    for answers, correct in zip(found.answers, found.correct, strict=True):
        rights = Counter(a for a, c in zip(answers, correct, strict=True) if c)
        assert sorted(rights.values()) == [1, 1, 2]
        assert rights[None] == 1
        assert (correct.count(False), correct.count(None)) == (2, 2)
    [line] = read_log(tmp_path / "there" / log.relative_to(tmp_path / "here"))
    assert math.isnan(line["grad_norm"])


def test_unpacked_samples_are_not_measured_as_texts(study: Path, packed: Path, tmp_path: Path):
    [plan] = stages(load_study(study), tmp_path / "out")
    read_pack(packed).unpack(plan)
    for changes in ({"relations": []}, {"page": False}):
        texts = load_study(write(tmp_path, **changes))
        with pytest.raises(ConfigError, match="texts"):
            read_pack(packed).unpack(stages(texts, tmp_path / "new")[0])
        with pytest.raises(ConfigError, match="texts"):
            run_study(texts, tmp_path / "out", console=Console(quiet=True))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--pack", "a.zip", "--plan"],
        ["--pack", "a.zip", "--unpack", "b.zip"],
        ["--plan", "--unpack", "b"],
    ],
)
def test_an_option_that_would_do_nothing_is_refused(study: Path, tmp_path: Path, options, capsys):
    assert command(["study", str(study), "--out", str(tmp_path / "out"), *options]) != 0
    assert "no effect" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_only_what_it_lacks_is_run(study: Path, packed: Path, tmp_path: Path):
    [plan] = stages(load_study(study), tmp_path)
    read_pack(packed).unpack(plan)
    assert not_done(plan) == {"presample rehearsal"}
    [more] = stages(
        load_study(write(tmp_path / "more", page=False, relations=[], seeds=[0, 1, 2])),
        tmp_path,
    )
    assert any("seed 2" in name for name in not_done(more))
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
        base=str(other_base(tmp_path)),
    )
    [plan] = stages(load_study(changed), tmp_path / "out")
    with pytest.raises(ConfigError, match="'small'"):
        read_pack(packed).unpack(plan)
    assert not (tmp_path / "out").exists()
    assert command(["study", str(changed), "--out", str(plan.out), "--unpack", str(packed)]) != 0
    assert [path.name for path in plan.out.iterdir()] == [".lock"]


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
    with pytest.raises(DataError, match="damaged"):
        read_pack(rewritten(packed, tmp_path / "less.zip", evaluations={}))
