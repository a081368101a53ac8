"""Metrics asked for by name are those of ``polypath diversity``, and only they are computed."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from polypath.errors import ConfigError
from polypath.metrics import TextGroups
from polypath.report import text_values
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
    keys = known_metrics(EVALUATION)
    for key in keys:
        check_metric(key, EVALUATION, "s.yaml")
    found = measure_model(prepared_run(samples), keys, tmp_path)
    settings = AnalysisSettings(ks=tuple(range(1, 9)), num_resamples=100, text_samples=9)
    told = {metric.key: metric for metric in analyse(samples, settings=settings).metrics}
    # diversity has Potential at one k only: the largest that is below the 8 verified samples of "c".
    more = {key for key in keys if key.startswith("potential@") and "7" not in key}
    more |= {key for key in keys if "@9" in key or "^9" in key}
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

    monkeypatch.setattr(text_values, "extract_equations", never)
    for name in ("self_bleu", "vendi"):
        monkeypatch.setattr(TextGroups, name, never)
    asked = ("pass@1", "potential@8", "ngrams_per_text (all)", "distance (correct)")
    assert list(measure_model(prepared_run(samples), asked, tmp_path)) == list(asked)
    with pytest.raises(AssertionError, match="without being asked"):
        measure_model(prepared_run(samples), ["div_equ (all)"], tmp_path)


def test_a_model_without_greedy_samples_has_no_greedy_metric(samples: Samples, tmp_path: Path):
    warm = replace(samples, greedy_correct=None)
    found = measure_model(prepared_run(warm), ["greedy", "potential@8 (greedy)"], tmp_path)
    assert all(math.isnan(measured.value) for measured in found.values())


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("potental@8", "'potential@8'"),
        ("div_equ", "'div_equ (all)'"),
        ("potential@9", "'potential@"),
        ("pass@10", "'pass@1'"),
        ("distinct@1", "'distinct@"),
        ("pass@4 (greedy)", "'potential@4 (greedy)'"),
        ("", "'"),
    ],
)
def test_a_metric_that_there_is_not_is_refused_with_the_nearest(key: str, near: str):
    with pytest.raises(ConfigError) as caught:
        check_metric(key, EVALUATION, "s.yaml")
    message = str(caught.value)
    assert all(part in message for part in (repr(key), "s.yaml", near))
    assert "\n" not in message


def test_what_is_not_sampled_cannot_be_asked_for():
    fewer = replace(EVALUATION, greedy=False, samples=3, ks=(1,))
    for key in ("greedy", "potential@2 (greedy)", "vendi (correct)"):
        with pytest.raises(ConfigError, match=re.escape(key)):
            check_metric(key, fewer, "s.yaml")
    check_metric("potential@9 (greedy)", EVALUATION, "s.yaml")
    check_metric("vendi (all)", fewer, "s.yaml")
