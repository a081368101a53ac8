"""Metrics asked for by name are those of ``polypath diversity``, and only they are computed."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from polypath.errors import ConfigError
from polypath.report import prepared, text_measures
from polypath.report.analysis import analyse
from polypath.report.prepared import Prepared
from polypath.report.settings import AnalysisSettings, choose_sizes
from polypath.rollouts.samples import Samples
from polypath.studies.config import Evaluation
from polypath.studies.relation_metrics import check_metric, known_metrics, measure_model

EVALUATION = Evaluation(
    split="dev",
    problems=6,
    samples=9,
    greedy=True,
    ks=(1, 4, 8),
    keep_k=4,
    temperature=1.0,
    top_p=1.0,
    max_completion_length=9,
)


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Six problems from never to always solved, one of whose samples was not judged."""
    rng = np.random.default_rng(0)
    texts, correct, answers = [], [], []
    for n in range(6):
        drawn = rng.integers(1, 4, size=(9, 3))
        texts.append(tuple(f"so {a}+{b}={a + b}, then {c}*{a}={c * a}" for a, b, c in drawn))
        correct.append([bool(r) for r in rng.random(9) < n / 5])
        answers.append(tuple(f"{a} {b}" for a, b, _ in drawn))
    correct[2][3] = None
    return Samples(
        name="run",
        problem_ids=tuple("abcdef"),
        prompts=(None,) * 6,
        golds=(None,) * 6,
        completions=tuple(texts),
        correct=tuple(map(tuple, correct)),
        answers=tuple(answers),
        greedy_correct=(False, True, False, True, None, True),
    )


def prepared_run(samples: Samples) -> Prepared:
    settings = AnalysisSettings(ks=EVALUATION.ks, text_samples=9)
    return Prepared(samples, choose_sizes([samples], settings)[0], settings)


def test_every_known_metric_is_the_one_of_diversity(samples: Samples, tmp_path: Path):
    (tmp_path / "evaluated.json").write_text(
        json.dumps({"surprisal": {"a": [3.0, 4], "b": [5.0, 6], "f": [2.0, 10]}})
    )
    keys = list(known_metrics(EVALUATION))
    for key in keys:
        check_metric(key, EVALUATION, "s.yaml")
    found = measure_model(prepared_run(samples), keys, tmp_path)
    settings = AnalysisSettings(ks=(1, 4, 8), num_resamples=100, text_samples=9)
    told = {metric.key: metric for metric in analyse(samples, settings=settings).metrics}
    # diversity has Potential at one k only: the largest that is below the 8 judged samples of "c".
    more = {key for key in keys if key.startswith("potential@") and "4" not in key}
    assert set(told) == set(keys) - more - {"token_entropy"}
    for key, metric in told.items():
        assert found[key].value == pytest.approx(metric.estimate, nan_ok=True), key
        assert (found[key].label, found[key].num_problems) == (metric.label, metric.num_problems)
    assert found["token_entropy"].value == pytest.approx(10 / 20)
    assert 0 < found["potential@1"].value < found["potential@4"].value < 1
    assert 0 < sum(math.isfinite(measured.value) for measured in found.values()) == len(keys)


def test_slow_measures_wait_until_they_are_asked_for(samples: Samples, tmp_path, monkeypatch):
    def never(*_: object, **__: object) -> float:
        raise AssertionError("computed without being asked for")

    monkeypatch.setattr(prepared, "extract_equations", never)
    for name in ("self_bleu", "vendi_score_at_k"):
        monkeypatch.setattr(text_measures, name, never)
    asked = ("pass@1", "potential@8", "ngrams_per_text (all)", "distance (correct)")
    assert list(measure_model(prepared_run(samples), asked, tmp_path)) == list(asked)
    with pytest.raises(AssertionError, match="without being asked"):
        measure_model(prepared_run(samples), ["div_equ (all)"], tmp_path)


def test_a_model_without_greedy_samples_has_no_greedy_metric(samples: Samples, tmp_path: Path):
    warm = replace(samples, greedy_correct=None)
    found = measure_model(prepared_run(warm), ["greedy", "potential@8 (greedy)"], tmp_path)
    assert all(math.isnan(measured.value) for measured in found.values())


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("potental@8", r"Unknown metric 'potental@8' in s.yaml. Nearest: 'potential@8'"),
        ("div_equ", r"Nearest: 'div_equ \(all\)'.*polypath diversity"),
        ("potential@9", "'potential@9' in s.yaml needs a k between 1 and 8: dev has 9 samples"),
        ("pass@10", "needs a k between 1 and 9"),
        ("distinct@1", "needs a k between 2 and 9"),
        ("pass@4 (greedy)", "pass@k has no greedy form"),
        ("", "Unknown metric ''"),
    ],
)
def test_a_metric_that_there_is_not_is_refused_in_one_line(key: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        check_metric(key, EVALUATION, "s.yaml")
    assert "\n" not in str(caught.value)


def test_what_is_not_sampled_cannot_be_asked_for():
    fewer = replace(EVALUATION, greedy=False, samples=3, ks=(1,))
    for key in ("greedy", "potential@2 (greedy)", "vendi (correct)"):
        with pytest.raises(ConfigError, match="Unknown metric"):
            check_metric(key, fewer, "s.yaml")
    check_metric("potential@9 (greedy)", EVALUATION, "s.yaml")
    check_metric("vendi (all)", fewer, "s.yaml")
