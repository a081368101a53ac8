"""A whole study, small: killed, gone on with, and its numbers those of ``polypath compare``."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console
from scipy import stats

from polypath.errors import ConfigError
from polypath.metrics import matched_difference, pass_at_k_from_counts
from polypath.recipes.callbacks import read_log
from polypath.recipes.study import load_study, run_study
from polypath.recipes.study.measure import explore_by_luck, measure
from polypath.recipes.study.plan import Plan
from polypath.recipes.study.run import _alone, plan_record
from polypath.recipes.study.sources import load, row_sources, temperature_sources
from polypath.recipes.study.stopped import match_rows
from polypath.recipes.study.tables import notes_of
from polypath.recipes.study.work import training_seconds
from polypath.rehearsal.settings import PresampleSettings
from polypath.report.analysis import AnalysisSettings, analyse, compare
from polypath.rollouts.samples import load_samples

RECIPE = {
    "task_limit": 40,
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "max_completion_length": 12,
    "max_steps": 4,  # some after the one at which the run is killed
    "save_strategy": "steps",
    "save_steps": 2,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
}
STUDY: dict[str, Any] = {
    "name": "small",
    "question": "Does it run?",
    "base": "countdown-base",
    "task": "countdown",
    "recipe": "recipe.yaml",
    "seeds": [0, 1],
    "against": "grpo",
    "settings": {"beta": 0.0},
    "presample": {"k": 4, "threshold": 1, "limit": 40},
    "methods": {
        "grpo": {"label": "GRPO", "checkpoints": [2], "temperatures": [1.0, 0.5]},
        "kl": {"settings": {"rehearsal_coef": 0.3}, "rehearsal": True},
    },
    "temperatures": [0.5, 1.0],
    "tuning": {"split": "dev", "problems": 6, "samples": 4},
    "evaluation": {
        "test": {"problems": 12, "samples": 4, "ks": [1, 2, 4]},
        "test_3numbers": {"problems": 5, "samples": 4, "ks": [1, 4], "greedy": False},
    },
    "relations": [
        {"x": "distinct@4", "y": "potential@2", "where": {"metric": "pass@1", "above": 0.1}},
        {"x": "vendi (all)", "y": "potential@4 (greedy)"},
    ],
}


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE | changes.pop("recipe_values", {})))
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}))
    return path


def plan_of(folder: Path, out: Path, **changes: Any) -> Plan:
    return Plan(load_study(write(folder, **changes)), out)


def not_done(plan: Plan) -> set[str]:
    return {entry["job"] for entry in plan_record(plan) if not entry["done"]}


def killed_in_training(command: list[str], out: Path) -> None:
    """Run the command until a run has logged a step, and kill it without a warning."""
    process = subprocess.Popen(
        [sys.executable, "-m", "polypath", *command], stdout=subprocess.DEVNULL
    )
    end = time.monotonic() + 300
    while not any(read_log(path) for path in out.glob("runs/*/seed*/log.jsonl")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(3)  # the workers look for their parent every half second


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any], str]:
    """Return the study file, its folder, the results and the output of a killed and resumed study."""
    folder = tmp_path_factory.mktemp("study")
    path, out = write(folder), folder / "out"
    killed_in_training(["study", str(path), "--out", str(out)], out)
    plan = Plan(load_study(path), out)
    lost = plan.samples_folder(plan.base_folder(), plan.study.main)
    before = load_samples(lost)
    shutil.rmtree(lost)
    assert "evaluate base on test" in not_done(plan)
    done = {entry["result"] for entry in plan_record(plan) if entry["done"]}
    assert any(result.endswith("manifest.json") for result in done)  # the pre-sampling
    written = {result: Path(result).stat().st_mtime_ns for result in done}
    with (folder / "told").open("w") as file:
        results = run_study(load_study(path), out, console=Console(file=file, width=160))
    told = (folder / "told").read_text()
    assert f"{len(done)} of {len(plan.jobs())} jobs were done before" in told
    assert {result: Path(result).stat().st_mtime_ns for result in done} == written
    assert load_samples(lost) == before
    return path, out, results, told


def test_a_killed_study_goes_on_and_ends_with_everything(finished):
    path, out, results, told = finished
    plan = Plan(load_study(path), out)
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


def test_rows_methods_seeds_and_temperatures_are_all_there(finished):
    _, _, results, _ = finished
    best = results["temperature"]["best"]
    assert best in (0.5, 1.0)
    assert results["temperature"]["pass@1"][f"{best:g}"] == max(
        results["temperature"]["pass@1"].values()
    )
    for split in ("test", "test_3numbers"):
        rows = results["splits"][split]["rows"]
        bases = ["base"] if best == 1.0 else ["base", "base, cooled"]
        assert [row["name"] for row in rows] == [*bases, "grpo", "kl"]
        assert [row["seeds"] for row in rows] == [*([] for _ in bases), [0, 1], [0, 1]]
        assert [r["temperature"] for r in results["splits"][split]["temperatures"]] == [0.5, 1.0]
    assert "greedy" in results["splits"]["test"]["rows"][2]["metrics"]
    steps = {tuple(curve["steps"]) for curve in results["checkpoints"]}
    assert steps == {(0.0, 2.0, 4.0)}


def test_numbers_are_those_of_compare(finished):
    path, out, results, _ = finished
    plan = Plan(load_study(path), out)
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


def test_methods_are_matched_with_the_reference_stopped_at_their_pass_at_1(finished):
    path, out, results, _ = finished
    plan = Plan(load_study(path), out)
    main = plan.study.main
    matched = results["splits"]["test"]["matched"]
    rows = [row["name"] for row in results["splits"]["test"]["rows"]]
    assert [row["name"] for row in matched] == [n for n in rows if n not in ("base", "grpo")]
    assert "matched" not in results["splits"]["test_3numbers"]

    def values(folder: Path) -> np.ndarray:
        samples = load_samples(folder)
        counts = samples.num_judged_N, samples.num_correct_N
        return pass_at_k_from_counts(*counts, [1, 4]).T

    def of_runs(name: str, step: int = 0) -> np.ndarray:
        runs = [plan.run_folder(name, seed) for seed in (0, 1)]
        return np.stack([values(plan.samples_folder(run, main, step)) for run in runs], axis=1)

    base = np.repeat(values(plan.samples_folder(plan.base_folder(), main))[:, None], 2, axis=1)
    reference = np.stack([base, of_runs("grpo", 2), of_runs("grpo")], axis=2)
    expected = matched_difference(*of_runs("kl"), *reference, steps_C=[0, 2, 4])
    row = matched[-1]
    found = row["differences"]["pass@4"]
    for field in ("estimate", "low", "high", "p_value"):
        assert found[field] == pytest.approx(getattr(expected, field))
    for field in ("step", "step_low", "step_high", "outside", "outside_share"):
        assert row[field] == pytest.approx(getattr(expected, field))
    assert found["p_holm"] >= found["p_value"]
    assert set(row["differences"]) == {"pass@2", "pass@4", "distinct@2", "distinct@4"}


def test_a_study_may_do_without_the_match(tmp_path: Path):
    plan = plan_of(tmp_path, tmp_path / "out", matched=False)
    assert match_rows(plan, (), {"grpo": None}, {}, ()) == ()


def test_a_method_may_have_a_reference_of_its_own(finished, tmp_path):
    _, out, results, _ = finished
    methods = {**STUDY["methods"], "kl": {**STUDY["methods"]["kl"], "against": "grpo"}}
    plan = plan_of(tmp_path, out, against="kl", matched=False, methods=methods)
    evaluation = plan.study.evaluations[1]
    samples = load(row_sources(plan, evaluation, None) + temperature_sources(plan, evaluation))
    rows = {row.name: row for row in measure(plan, evaluation, None, samples=samples).rows}
    assert rows["grpo"].against["pass@1"].base == "kl"
    assert rows["kl"].against["pass@1"].base == "grpo"
    stored = next(r for r in results["splits"]["test_3numbers"]["rows"] if r["name"] == "kl")
    assert rows["kl"].against["pass@1"].estimate == pytest.approx(
        stored["against"]["pass@1"]["estimate"]
    )


def test_a_method_over_temperatures_has_its_own_row_among_them(finished):
    _, out, results, _ = finished
    split = results["splits"]["test"]
    found = split["method_temperatures"]
    assert list(found) == ["grpo"]
    assert [row["temperature"] for row in found["grpo"]] == [0.5, 1.0]
    own = next(row for row in split["rows"] if row["name"] == "grpo")
    assert found["grpo"][1]["metrics"] == own["metrics"]
    cooler, warmer = (row["metrics"]["token_entropy"]["estimate"] for row in found["grpo"])
    assert cooler < warmer
    assert not results["splits"]["test_3numbers"]["method_temperatures"]
    table = (out / "table.md").read_text()
    assert "| GRPO at T=0.5 |" in table
    assert "## test: over temperatures, differences against the base" in table
    against = found["grpo"][0]["against"]["pass@1"]  # the same runs, warmer
    difference = (
        found["grpo"][0]["metrics"]["pass@1"]["estimate"] - own["metrics"]["pass@1"]["estimate"]
    )
    assert (against["base"], against["estimate"]) == ("grpo", pytest.approx(difference))


def test_relations_hold_every_model_of_the_main_split_against_each_other(finished):
    path, out, results, _ = finished
    plan = Plan(load_study(path), out)
    first, second = results["splits"]["test"]["relations"]
    assert "relations" not in results["splits"]["test_3numbers"]
    runs = {"base": 2, **{f"grpo, seed {s}": 3 for s in (0, 1)}, "kl, seed 0": 1, "kl, seed 1": 1}
    assert Counter(model["run"] for model in first["models"]) == runs
    assert (first["all"]["models"], first["all"]["runs"]) == (10, 5)
    # Greedy samples are drawn at the split's own temperature only.
    assert set(second["left_out"]) == {
        "base at T=0.5",
        "GRPO, seed 0, T=0.5",
        "GRPO, seed 1, T=0.5",
    }
    checkpoint = plan.samples_folder(plan.run_folder("grpo", 1), plan.study.main, 2)
    told = {
        metric.key: metric.estimate
        for metric in analyse(
            load_samples(checkpoint), settings=AnalysisSettings(ks=(1, 4))
        ).metrics
    }
    [model] = [m for m in second["models"] if (m["run"], m["step"]) == ("grpo, seed 1", 2)]
    assert model["values"] == pytest.approx(
        {"vendi (all)": told["vendi (all)"], "potential@4 (greedy)": number_of_4(checkpoint)}
    )
    points = [(m["values"]["distinct@4"], m["values"]["potential@2"]) for m in first["models"]]
    line = stats.linregress(*zip(*points, strict=True))
    assert first["all"]["slope"] == pytest.approx(line.slope)
    assert first["all"]["r_squared"] == pytest.approx(line.rvalue**2)
    chosen = [m["values"]["pass@1"] > 0.1 for m in first["models"]]
    assert [m["chosen"] for m in first["models"]] == chosen
    assert first["chosen"]["models"] == sum(chosen)


def number_of_4(folder: Path) -> float:
    """Potential@4 beyond greedy: of the problems that greedy fails, the share solved in all 4 samples."""
    samples = load_samples(folder)
    failed = [
        any(right)
        for right, greedy in zip(samples.correct, samples.greedy_correct, strict=True)
        if not greedy
    ]
    return sum(failed) / len(failed)


def test_relations_are_drawn_and_told(finished):
    _, out, results, told = finished
    assert (out / "relation-test.png").stat().st_size > 5_000
    lines = (out / "table.md").read_text().splitlines()
    fit = results["splits"]["test"]["relations"][0]["all"]
    start = "| Potential@2 against distinct correct in 4 | all | 10 | 5 |"
    [row] = [line for line in lines if line.startswith(start)]
    assert f"{fit['r_squared']:.2f} [{fit['r_squared_low']:.2f}, " in row
    assert f"| {fit['slope']:+.3g} |" in row
    assert any(
        "left out (base at T=0.5: potential@4 (greedy): no greedy samples)" in s for s in lines
    )
    assert "relation-test.png" in told
    page = (out / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert "relations of metrics over models" in page


def test_costs_are_told_and_the_command_that_makes_it_again(finished):
    path, out, results, _ = finished
    cost = results["cost"]
    total, grpo = cost["total"], cost["methods"]["grpo"]
    assert total["jobs"] == total["cpu_known"] == len(Plan(load_study(path), out).jobs())
    assert total["cpu"] > 1
    assert grpo["jobs"] == 2 * (1 + 2 + 1 + 1)  # training, splits, a checkpoint, a temperature
    assert (
        min(grpo["wall"]["train"], grpo["wall"]["evaluate"], cost["base"]["wall"]["presample"]) > 0
    )
    last = (out / "table.md").read_text().splitlines()[-1]
    assert last.startswith(f"{total['jobs']} jobs")
    assert last.endswith(f"Made again by: `polypath study {path}`")


def test_the_page_has_the_studys_own_tables_and_front(finished):
    _, out, _, _ = finished
    page = (out / "report.html").read_text()
    study = page[page.index('<section id="study"') : page.index('<section id="curves"')]
    assert "at equal pass@1, against GRPO stopped early" in study
    assert 'src="data:image/png;base64,' in study


def test_the_table_shows_the_results(finished):
    _, out, results, _ = finished
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


def test_methods_draw_alike_the_base_by_itself_and_entropy_is_that_of_tokens(finished):
    path, out, results, _ = finished
    plan = Plan(load_study(path), out)
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


def test_other_settings_go_to_another_folder_and_equal_ones_are_found_again(finished, tmp_path):
    _, out, _, _ = finished

    def names(**changes: Any) -> set[str]:
        return not_done(plan_of(tmp_path, out, **changes))

    assert names() == set()
    assert (
        names(methods=STUDY["methods"] | {"grpo": {"label": "renamed", "checkpoints": [2]}})
        == set()
    )
    of_grpo = names(methods=STUDY["methods"] | {"grpo": {"settings": {"epsilon": 0.3}}})
    assert of_grpo
    assert all("grpo" in name for name in of_grpo)
    everything = {entry["job"] for entry in plan_record(plan_of(tmp_path, out))}
    trained = {name for name in everything if "seed" in name}
    assert names(settings={"beta": 0.1}) == trained
    assert names(recipe_values={"learning_rate": 1e-4}) == trained
    of_kl = names(presample={**STUDY["presample"], "threshold": 2})
    assert "presample rehearsal" in of_kl
    assert all("kl" in name or "presample" in name for name in of_kl)
    assert names(base=str(other_base(tmp_path))) == everything
    assert all("seed 7" in name for name in names(seeds=[0, 7]))
    fewer = names(evaluation={"test": {"problems": 11, "samples": 4, "ks": [1]}})
    assert fewer
    assert all(name.startswith("evaluate") for name in fewer)


def test_dropped_repeats_make_another_set_and_kept_ones_the_set_from_before(tmp_path: Path):
    def identity(**changes: Any) -> dict[str, Any]:
        presample = {**STUDY["presample"], **changes}
        plan = plan_of(tmp_path, tmp_path / "out", presample=presample)
        return plan.method_identity("kl")["rehearsal"]

    assert identity(repeated_answers="keep") == identity()
    # As before there was such a setting: all the others, those without a value, too.
    names = {field.name for field in fields(PresampleSettings)} - {"batch_size", "repeated_answers"}
    assert names == set(identity()) - {"base", "weights", "task", "options", "split", "limit"}
    assert identity(repeated_answers="drop") == identity() | {"repeated_answers": "drop"}


def other_base(folder: Path) -> Path:
    from polypath.tasks.countdown_base import base_model_dir

    shutil.copytree(base_model_dir(), folder / "other", dirs_exist_ok=True)
    (folder / "other" / "extra.json").write_text("{}")
    return folder / "other"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": {"grpo": {"settings": {"epsilonn": 1}}}}, r"methods.grpo: .*'epsilonn'"),
        ({"methods": {"grpo": {"settings": {"epsilon": "x"}}}}, r"methods.grpo: .*epsilon"),
        ({"methods": {"grpo": {"checkpoints": [3]}}}, "checkpoint 3 is not saved"),
        (
            {"methods": {"grpo": {"settings": {"save_strategy": "no"}, "checkpoints": [2]}}},
            "checkpoints need save_strategy: steps",
        ),
        ({"settings": {"task_split": "test"}}, "would train on the test split 'test'"),
        (
            {"settings": {"task_split": "dev"}, "tuning": {"split": "dev", "samples": 4}},
            "measure on the split 'dev', on which it trains",
        ),
        ({"presample": {"split": "test_large"}}, "train on the test split 'test_large'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_runs(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        plan_of(tmp_path, tmp_path / "out", **{"against": "", **changes})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_jobs_need_only_jobs_that_exist_and_methods_of_other_budgets_are_told(tmp_path: Path):
    methods = STUDY["methods"] | {"long": {"settings": {"max_steps": 8}}}
    plan = plan_of(tmp_path, tmp_path / "out", methods=methods)
    jobs = plan.jobs()
    names = {job.name for job in jobs}
    assert len(names) == len({job.result for job in jobs}) == len(jobs)
    assert all(set(job.after) <= names for job in jobs)
    assert all(job.kind for job in jobs)
    assert plan.budgets() == {
        "grpo": {"max_steps": 4},
        "kl": {"max_steps": 4},
        "long": {"max_steps": 8},
    }


def test_two_studies_do_not_work_in_one_folder(finished):
    path, out, _, _ = finished
    with _alone(out), pytest.raises(ConfigError, match="Another study is at work"):
        run_study(load_study(path), out, console=Console(quiet=True))


def test_task_options_of_the_recipe_alone_are_refused(tmp_path: Path):
    values = {"task_options": {"data": "x"}}
    with pytest.raises(ConfigError, match="Put them into the study's task_options"):
        plan_of(tmp_path, tmp_path / "out", recipe_values=values)


def test_the_base_at_its_own_temperature_is_no_second_row(tmp_path: Path):
    plan = plan_of(tmp_path, tmp_path / "out")
    names = {t: [s.name for s in row_sources(plan, plan.study.main, t)] for t in (None, 0.5, 1.0)}
    assert names[None] == names[1.0] == ["base", "grpo", "kl"]
    assert names[0.5] == ["base", "base, cooled", "grpo", "kl"]
    assert "that is the base itself" in " ".join(notes_of(plan.study, 1.0, {}))


def test_explore_by_luck_is_what_fresh_samples_find():
    rng = np.random.default_rng(0)
    p_N, k = rng.beta(0.3, 2, size=50), 4
    solved_D_2_N = rng.random((20_000, 2, 50)) < 1 - (1 - p_N) ** k
    first, second = solved_D_2_N[:, 0], solved_D_2_N[:, 1]
    simulated = (~first & second).sum() / (~first).sum()
    exact = explore_by_luck(1 - (1 - p_N) ** k, 1 - (1 - p_N) ** (2 * k))
    assert exact == pytest.approx(simulated, abs=0.003)


def test_training_seconds_count_the_kept_steps_of_a_resumed_run(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    assert training_seconds(log) is None
    lines = [{"step": 2, "step_time": 1.5}, {"step": 4, "step_time": 2.0}, {"step": 4, "loss": 1}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert training_seconds(log) == 2 * 1.5 + 2 * 2.0
