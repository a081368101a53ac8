"""A whole study, small: killed, gone on with, and its numbers those of ``polypath compare``."""

import json
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from polypath.errors import ConfigError
from polypath.report.analysis import compare
from polypath.report.estimates import TOO_ALIKE
from polypath.report.settings import AnalysisSettings
from polypath.rollouts.samples import load_samples
from polypath.studies.arguments import budgets
from polypath.studies.load import load_study
from polypath.studies.plan import StudyPlan
from polypath.studies.run import run_study
from polypath.studies.splits import training_seconds
from polypath.train.callbacks import read_log
from tests.studies.small_study import not_done


def test_a_killed_study_goes_on_and_ends_with_everything(finished_study):
    path, out, results, told = finished_study
    plan = StudyPlan(load_study(path), out)
    assert not_done(plan) == set()
    assert json.loads((out / "results.json").read_text()) == results
    for name in ("table.md", "report.html", "training.png", "checkpoints.png", "front-test.png"):
        assert (out / name).stat().st_size > 500, name
    for seed in (0, 1):
        run = plan.run_folder("kl", seed)
        assert [line["step"] for line in read_log(run / "log.jsonl") if "loss" in line] == [
            1,
            2,
            3,
            4,
        ]
        assert json.loads((run / "run.json").read_text())["settings"]["rehearsal_coef"] == "0.3"
    assert "Does it run?" in told
    assert "test: differences against GRPO" in told
    assert "test: at equal pass@1, against GRPO stopped early" in told
    assert "test: over training" in told


def test_rows_methods_seeds_and_temperatures_are_all_there(finished_study):
    _, _, results, _ = finished_study
    best = results["temperature"]["best"]
    assert best in (0.5, 1.0)
    assert results["temperature"]["pass@1"][f"{best:g}"] == max(
        results["temperature"]["pass@1"].values()
    )
    for split in ("test", "test_3numbers"):
        rows = results["splits"][split]["rows"]
        bases = ["base"] if best == 1.0 else ["base", "base, cooled"]
        assert [row["name"] for row in rows] == [*bases, "grpo", "half", "kl"]
        assert [row["seeds"] for row in rows] == [*([] for _ in bases), *([0, 1] for _ in range(3))]
        assert [r["temperature"] for r in results["splits"][split]["temperatures"]] == [0.5, 1.0]
    assert "greedy" in results["splits"]["test"]["rows"][2]["metrics"]
    steps = {tuple(curve["steps"]) for curve in results["checkpoints"]}
    assert steps == {(0.0, 2.0, 4.0)}


def test_numbers_are_those_of_compare(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
    evaluation = plan.study.evaluations[0]

    def samples(name: str, seed: int):
        folder = plan.samples_folder(plan.run_folder(name, seed), evaluation)
        return load_samples(folder, name=name)

    base = load_samples(plan.samples_folder(plan.base_folder(), evaluation), name="base")
    runs = [tuple(samples(name, seed) for seed in (0, 1)) for name in ("grpo", "kl")]
    expected = compare(base, runs, settings=AnalysisSettings(ks=(1, 2, 4)))
    rows = {row["name"]: row for row in results["splits"]["test"]["rows"]}
    for run, flow in zip(expected.runs, expected.flows, strict=True):
        row = rows[run.name]
        shares = {flow.keep.key: flow.keep, flow.explore.key: flow.explore}
        told = {m.key: m for m in run.metrics} | shares
        assert set(row["metrics"]) - set(told) == {"token_entropy"}
        for key, found in row["metrics"].items():
            metric = told.get(key)
            if metric is None:
                continue
            for field in ("estimate", "low", "high"):
                assert number(found[field]) == pytest.approx(getattr(metric, field), nan_ok=True)
        for d in expected.differences_of(run.name):
            if d.key in row["metrics"]:
                found = row["against_base"][d.key]
                for field in ("estimate", "low", "high", "p_holm"):
                    assert number(found[field]) == pytest.approx(getattr(d, field), nan_ok=True)
        assert results["splits"]["test"]["keep_by_luck"] == pytest.approx(flow.keep_by_luck)
    against = compare(runs[0], [runs[1]], settings=AnalysisSettings(ks=(1, 2, 4)))
    wanted = next(d for d in against.differences if d.key == "pass@4")
    found = rows["kl"]["against"]["pass@4"]
    assert (found["estimate"], found["low"]) == pytest.approx((wanted.estimate, wanted.low))


def number(value: float | None) -> float:
    """JSON has no NaN."""
    return math.nan if value is None else value


def test_costs_are_told_and_the_command_that_makes_it_again(finished_study):
    path, out, results, _ = finished_study
    cost = results["cost"]
    total, grpo = cost["total"], cost["methods"]["grpo"]
    assert total["jobs"] == total["cpu_known"] == len(StudyPlan(load_study(path), out).jobs())
    assert total["cpu"] > 1
    assert grpo["jobs"] == 2 * (1 + 2 + 1 + 1)  # training, splits, a checkpoint, a temperature
    assert (
        min(grpo["wall"]["train"], grpo["wall"]["evaluate"], cost["base"]["wall"]["presample"]) > 0
    )
    last = (out / "table.md").read_text().splitlines()[-1]
    assert last.startswith(f"{total['jobs']} jobs")
    assert last.endswith(f"Made again by: `polypath study {path}`")


def test_the_page_has_the_studys_own_tables_and_front(finished_study):
    _, out, _, _ = finished_study
    page = (out / "report.html").read_text()
    study = page[page.index('<section id="study"') : page.index('<section id="curves"')]
    assert "at equal pass@1, against GRPO stopped early" in study
    assert 'src="data:image/png;base64,' in study


def test_table_and_page_warn_of_the_short_intervals_that_the_results_warn_of(finished_study):
    _, out, results, _ = finished_study
    tables = (out / "table.md").read_text().split("\n## ")[1:]
    of_test = next(table for table in tables if table.startswith("test: 12 problems"))
    columns = [cell.strip() for cell in of_test.splitlines()[2].strip("| ").split("|")]
    rows = {row["label"]: row["metrics"] for row in results["splits"]["test"]["rows"]}
    seen = set()
    for line in of_test.splitlines():
        cells = dict(zip(columns, line.strip("| ").split(" | "), strict=False))
        for key in ("pass@1", "pass@4") if cells.get("method") in rows else ():
            warned = TOO_ALIKE in rows[cells["method"]][key]["note"]
            assert ("†" in cells[key]) == warned
            seen.add(warned)
    assert True in seen
    for table in tables:
        assert table.count(TOO_ALIKE) == bool(re.search(r"\d †", table))
    page = (out / "report.html").read_text()
    study = page[page.index('<section id="study"') : page.index('<section id="curves"')]
    assert re.search(r"\d †", study)
    assert TOO_ALIKE in study


def test_the_table_shows_the_results(finished_study):
    _, out, results, _ = finished_study
    lines = (out / "table.md").read_text().splitlines()
    head = next(line for line in lines if line.startswith("| method | greedy |"))
    row = next(line for line in lines if line.startswith("| GRPO |"))
    cells = dict(zip(head.strip("| ").split(" | "), row.strip("| ").split(" | "), strict=True))
    metric = next(r for r in results["splits"]["test"]["rows"] if r["name"] == "grpo")["metrics"]
    assert cells["pass@4"].strip("*").startswith(f"{metric['pass@4']['estimate']:.3f} ±")
    assert cells["distinct in 4"].strip("*").startswith(f"{metric['distinct@4']['estimate']:.2f}")
    training = lines[lines.index("## test: over training") :]
    end = next(line for line in training if line.startswith("| GRPO | 4 |"))
    assert end.strip("| ").split(" | ")[2:] == [
        cells[key].strip("*") for key in ("pass@1", "pass@4", "distinct in 4")
    ]


def test_methods_draw_alike_the_base_by_itself_and_entropy_is_that_of_tokens(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
    evaluation = plan.study.evaluations[0]
    folders = [plan.samples_folder(plan.base_folder(), evaluation)]
    folders += [plan.samples_folder(plan.run_folder("grpo", s), evaluation) for s in (0, 1)]
    seeds = [json.loads((f / "samples" / "manifest.json").read_text())["seed"] for f in folders]
    assert seeds == [1, 0, 0]  # the base's samples are independent of the methods'
    stored = json.loads((folders[0] / "evaluated.json").read_text())["surprisal"]
    expected = sum(total for total, _ in stored.values()) / sum(n for _, n in stored.values())
    base = results["splits"]["test"]["rows"][0]
    assert base["metrics"]["token_entropy"]["estimate"] == pytest.approx(expected)
    assert 0.1 < expected < 2


def test_two_studies_do_not_work_in_one_folder(finished_study):
    path, out, _, _ = finished_study
    fcntl = pytest.importorskip("fcntl")
    with (out / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match=re.escape(str(out))):
            run_study(load_study(path), out, console=Console(quiet=True))


def test_a_method_that_is_a_checkpoint_of_another_is_not_trained_again(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
    assert plan.run_folder("half", 1) == plan.run_folder("grpo", 1)
    assert not any("half" in job.name for job in plan.jobs())
    rows = {row["name"]: row for row in results["splits"]["test"]["rows"]}
    for seed, folder in enumerate(rows["half"]["folders"]):
        run = plan.run_folder("grpo", seed)
        assert Path(folder).parent == run / "evaluations"
        model = json.loads((Path(folder) / "evaluated.json").read_text())["model"]
        assert model == str(run / "checkpoint-2")
    curves = {c["panel"]: c for c in results["checkpoints"] if c["name"] == "grpo"}
    for key, panel in (("pass@1", "pass@1"), ("pass@4", "pass@4")):
        mean = curves[panel]["mean"][curves[panel]["steps"].index(2)]
        assert rows["half"]["metrics"][key]["estimate"] == pytest.approx(mean)
    on_other = {row["name"] for row in results["splits"]["test_3numbers"]["rows"]}
    assert "half" in on_other
    assert 0 < rows["half"]["training_seconds"] < rows["grpo"]["training_seconds"]
    assert results["training"]["half"][0]["last"]["step"] == 2
    assert budgets(plan.study, plan.recipes) == {
        "grpo": {"max_steps": 4},
        "kl": {"max_steps": 4},
        "half": {"max_steps": 2},
    }


def test_training_seconds_count_the_kept_steps_of_a_resumed_run(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    assert training_seconds(read_log(log)) is None
    lines = [{"step": 2, "step_time": 1.5}, {"step": 4, "step_time": 2.0}, {"step": 4, "loss": 1}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert training_seconds(read_log(log)) == 2 * 1.5 + 2 * 2.0
