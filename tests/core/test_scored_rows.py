"""Scores with a dictionary each: what is correct, what a solution is, what was paid for what."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from polypath.core.scored_rows import ScoreReader
from polypath.errors import ConfigError

NAN = math.nan


def read(scores, infos, *, chosen=None, threshold=0.5, solution_fn=None):
    reader = ScoreReader(chosen=chosen, threshold=threshold, solution_fn=solution_fn)
    texts = [f"text {n}" for n in range(len(infos))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return reader(torch.tensor(scores), infos, texts)


def test_a_key_says_what_is_correct_and_the_rest_of_the_score_stays():
    found = read([1.2, 0.2, -1.0], [{"acc": 1.0}, {"acc": False}, {"acc": np.bool_(False)}])
    assert found.correct_B.tolist() == [True, False, False]
    expected = torch.tensor([[1.0, 0.2], [0.0, 0.2], [0.0, -1.0]], dtype=torch.float64)
    assert_close(found.rewards_B_2, expected, rtol=0, atol=1e-7)


def test_without_such_a_key_the_score_decides():
    found = read([1.0, 0.0], [{"kl": 3.0, "pred": "7"}, {"kl": 0.0, "pred": "8"}])
    assert found.correct_B.tolist() == [True, False]
    assert found.rewards_B_2.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_the_user_can_name_the_key():
    infos = [{"acc": 1.0, "strict": 0.0}, {"acc": 1.0, "strict": 1.0}]
    assert read([1.0, 1.0], infos, chosen=["strict"]).correct_B.tolist() == [False, True]
    with pytest.raises(ConfigError, match="strct"):
        read([1.0, 1.0], infos, chosen=["strct"])


def test_a_row_without_the_key_is_neither_right_nor_wrong_and_keeps_its_score():
    found = read([1.0, 0.5], [{"acc": 1.0}, {}])
    assert found.known_B.tolist() == [True, False]
    assert found.rewards_B_2.nansum(dim=1).tolist() == [1.0, 0.5]
    assert not found.unscored


def test_what_nobody_could_score_has_no_reward_at_all():
    found = read([0.0, 1.0], [{"acc": 0.0, "scored": False}, {"acc": 1.0, "scored": True}])
    assert found.rewards_B_2[0].isnan().all()
    assert found.known_B.tolist() == [False, True]
    assert found.unscored


def test_sums_are_exact_where_the_parts_are_not():
    scores = [0.1 + 0.7, 0.3]
    found = read(scores, [{"acc": 0.7}, {"acc": 0.1}])
    assert_close(found.rewards_B_2.sum(dim=1).float(), torch.tensor(scores), rtol=0, atol=0)


def test_solutions_come_from_the_key_or_the_function_or_are_not_known():
    infos = [{"solution": "2+3"}, {"solution": None}]
    assert read([1.0, 0.0], infos).solutions == ["2+3", None]
    by_text = read([1.0, 0.0], infos, solution_fn=lambda text, _: text.upper())
    assert by_text.solutions == ["TEXT 0", "TEXT 1"]
    assert read([1.0, 0.0], [{}, {}]).solutions is None


def test_unknown_solutions_are_said_once():
    reader = ScoreReader(chosen=None, threshold=0.5)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            reader(torch.tensor([1.0]), [{}], ["text"])
    assert sum("solution" in str(one.message) for one in told) == 1


def test_verdicts_are_counted_where_they_are_given():
    infos = [{"status": "graded"}, {"status": "timeout"}, {"status": "odd"}, {}]
    assert read([1.0, 0.0, 0.0, 0.0], infos).metrics["verify/timeout"] == 0.5
    assert read([1.0], [{}]).metrics == {}
