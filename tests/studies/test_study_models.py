"""What a study says about its models beyond the rows of its tables: checkpoints, temperatures, relations."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from polypath.metrics import matched_difference, pass_at_k_from_counts
from polypath.report.analysis import analyse, compare
from polypath.report.measures import measure
from polypath.report.prepared import Prepared
from polypath.report.records import plain
from polypath.report.settings import AnalysisSettings
from polypath.rollouts.samples import load_samples
from polypath.studies.load import load_study
from polypath.studies.over_training import match, read_trails
from polypath.studies.plan import StudyPlan
from polypath.studies.ranking import runs_of
from polypath.studies.splits import SplitSamples, measure_split
from tests.studies.small_study import STUDY, plan_of


def test_methods_are_matched_with_the_reference_stopped_at_their_pass_at_1(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
    main = plan.study.main
    matched = results["splits"]["test"]["matched"]
    rows = [row["name"] for row in results["splits"]["test"]["rows"]]
    assert [row["name"] for row in matched] == [n for n in rows if n not in ("base", "grpo")]
    assert "matched" not in results["splits"]["test_3numbers"]

    def values(folder: Path) -> np.ndarray:
        samples = load_samples(folder)
        counts = samples.num_verified_N, samples.num_correct_N
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
    at_k = {"pass@2", "pass@4", "distinct@2", "distinct@4"}
    assert set(row["differences"]) - {"vendi (correct)"} == {*at_k, "vendi (all)"}


def test_measures_of_texts_are_matched_on_the_problems_that_have_them(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
    samples = SplitSamples(plan, plan.study.main, None)

    def vendi(over: str, folder: Path) -> np.ndarray:
        run = Prepared(
            load_samples(folder).subset(samples.shared), samples.sizes, AnalysisSettings()
        )
        [values] = measure(run, f"vendi ({over})".__eq__)
        return np.stack([run.pass_at([1])[:, 0], values.top_N])

    def of_runs(over: str, name: str, step: int = 0) -> np.ndarray:
        runs = [plan.run_folder(name, seed) for seed in (0, 1)]
        folders = [plan.samples_folder(run, plan.study.main, step) for run in runs]
        return np.stack([vendi(over, folder) for folder in folders], axis=1)

    found = results["splits"]["test"]["matched"][-1]["differences"]
    for over in ("all", "correct"):
        base = vendi(over, plan.samples_folder(plan.base_folder(), plan.study.main))
        trail = [
            np.repeat(base[:, None], 2, axis=1),
            of_runs(over, "grpo", 2),
            of_runs(over, "grpo"),
        ]
        arrays = of_runs(over, "kl"), np.stack(trail, axis=2)
        gaps = [np.isnan(part[1]).reshape(-1, len(samples.shared)).any(axis=0) for part in arrays]
        known = int((~np.any(gaps, axis=0)).sum())
        key = f"vendi ({over})"
        assert (key in found) == (known >= 2), known
        if key in found:
            expected = matched_difference(*arrays[0], *arrays[1])
            assert found[key]["num_problems"] == known
            for field in ("estimate", "low", "high"):
                assert found[key][field] == pytest.approx(getattr(expected, field))
    assert "vendi (all)" in (out / "table.md").read_text()


def test_pairs_are_compared_on_every_split_and_held_to_the_path_of_the_second(finished_study):
    path, out, results, _ = finished_study
    rows = {row["name"]: row for row in results["splits"]["test"]["rows"]}
    for split in ("test", "test_3numbers"):
        first, second = results["splits"][split]["pairs"]
        assert (first["method"], first["against"]) == ("kl", "grpo")
        assert (second["method"], second["against"]) == ("kl", "half")
    against_grpo, against_half = results["splits"]["test"]["pairs"]
    assert against_grpo["differences"] == rows["kl"]["against"]
    gap = (
        rows["kl"]["metrics"]["pass@4"]["estimate"] - rows["half"]["metrics"]["pass@4"]["estimate"]
    )
    assert against_half["differences"]["pass@4"]["estimate"] == pytest.approx(gap)
    # half has no checkpoints of its own, so nothing to stop at
    [pair] = results["splits"]["test"]["matched_pairs"]
    assert pair == next(m for m in results["splits"]["test"]["matched"] if m["name"] == "kl")
    table = (out / "table.md").read_text()
    assert "## test_3numbers: differences in pairs" in table
    assert "| kl against GRPO, half |" in table
    assert "at equal pass@1, against the other stopped early, in pairs" in table
    study = load_study(path)
    assert study.only(["kl", "grpo"], None).pairs == (("kl", "grpo"),)


def test_rows_are_ranked_with_what_cannot_be_told_apart(finished_study):
    path, out, results, _ = finished_study
    split, found = results["splits"]["test"], {}
    for ranking in split["rankings"]:
        found[ranking["measure"]] = ranking["rows"]
        values = [row["value"] for row in ranking["rows"]]
        assert values == sorted(values, reverse=True)
        apart = {(p["place"], p["other"]) for p in ranking["pairs"] if p["low"] > 0}
        for row in ranking["rows"]:
            place, others = row["place"], set(range(1, len(values) + 1)) - {row["place"]}
            shown = {b for a, b in apart if a == place} | {a for a, b in apart if b == place}
            assert set(row["alike"]) == others - shown
            assert row["best_rank"] <= place <= row["worst_rank"]
    metrics = {row["name"]: row["metrics"] for row in split["rows"]}
    for key in ("pass@4", "distinct@4"):
        assert {row["name"] for row in found[key]} == set(metrics)
        for row in found[key]:
            assert row["value"] == pytest.approx(metrics[row["name"]][key]["estimate"])
    at_equal = {row["name"]: row["differences"]["pass@4"]["estimate"] for row in split["matched"]}
    ranked = {row["name"]: row["value"] for row in found["pass@4 at equal pass@1"]}
    assert ranked == pytest.approx(at_equal | {"grpo": 0.0}, abs=1e-9)
    table = (out / "table.md").read_text()
    assert "## test: ranking by pass@4 at equal pass@1" in table
    assert "| GRPO, stopped early |" in table
    fewer = load_study(path).only(["kl"], None)
    assert fewer.ranking == ("pass@4", "distinct@4")  # there is no reference to stop
    assert runs_of([1, 2, 3, 5, 7, 8]) == "1–3, 5, 7–8"


def test_crossings_are_those_of_compare(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
    folders = {row["name"]: row["folders"] for row in results["splits"]["test"]["rows"]}
    base, kl, grpo = (
        tuple(load_samples(folder, name=name) for folder in folders[name])
        for name in ("base", "kl", "grpo")
    )
    settings = AnalysisSettings(ks=plan.study.main.ks)
    row = next(row for row in results["splits"]["test"]["rows"] if row["name"] == "kl")
    for other, key in ((base, "crossing_base"), (grpo, "crossing")):
        [flow] = compare(other, [kl], settings=settings).flows
        assert row[key] == plain(flow.crossing)
    table = (out / "table.md").read_text()
    assert "## test: where pass@k crosses" in table
    assert "| method | the base's | GRPO's |" in table


def test_the_cost_of_a_step_is_what_training_recorded(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
    logs = [plan.log("grpo", seed) for seed in (0, 1)]
    assert all(line["cpu_seconds"] > 0 for log in logs for line in log)
    expected = sum(log[-1]["cpu_seconds"] / 4 for log in logs) / 2
    assert results["cost of a step"]["grpo"]["cpu_seconds"] == pytest.approx(expected)
    assert results["cost of a step"]["grpo"]["tokens"] > 10
    assert "## cost of training" in (out / "table.md").read_text()


def test_a_study_may_do_without_the_match(finished_study, tmp_path: Path):
    plan = plan_of(tmp_path, finished_study[1], matched=False)
    main = SplitSamples(plan, plan.study.main, None)
    assert match(main, [("kl", "grpo")], read_trails(main)) == ()


def test_a_method_may_have_a_reference_of_its_own(finished_study, tmp_path):
    _, out, results, _ = finished_study
    methods = {**STUDY["methods"], "kl": {**STUDY["methods"]["kl"], "against": "grpo"}}
    plan = plan_of(tmp_path, out, against="kl", matched=False, methods=methods)
    evaluation = plan.study.evaluations[1]
    rows = {row.name: row for row in measure_split(SplitSamples(plan, evaluation, None)).rows}
    assert rows["grpo"].against["pass@1"].base == "kl"
    assert rows["kl"].against["pass@1"].base == "grpo"
    stored = next(r for r in results["splits"]["test_3numbers"]["rows"] if r["name"] == "kl")
    assert rows["kl"].against["pass@1"].estimate == pytest.approx(
        stored["against"]["pass@1"]["estimate"]
    )


def test_a_method_over_temperatures_has_its_own_row_among_them(finished_study):
    _, out, results, _ = finished_study
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


def test_relations_hold_every_model_of_the_main_split_against_each_other(finished_study):
    path, out, results, _ = finished_study
    plan = StudyPlan(load_study(path), out)
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


def test_relations_are_drawn_and_told(finished_study):
    _, out, results, told = finished_study
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
