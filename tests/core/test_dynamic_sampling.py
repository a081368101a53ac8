"""Groups without a gradient give their rows to groups with one; all else stays where it was."""

from collections import Counter
from typing import Any

import torch

from polypath.core.dynamic_sampling import draw_prompts, groups_with_gradient, replace_groups

PAD = 9


def batch(rows: int, prompt: int, width: int, start: int) -> dict[str, Any]:
    """Every row's tensors hold its own number."""
    number = torch.arange(start, start + rows).unsqueeze(1)
    return {
        "prompt_ids": number.expand(rows, prompt).clone(),
        "prompt_mask": torch.ones(rows, prompt, dtype=torch.long),
        "completion_ids": number.expand(rows, width).clone(),
        "completion_mask": torch.ones(rows, width, dtype=torch.long),
        "old_per_token_logps": -number.expand(rows, width).float(),
        "advantages": number.flatten().double(),
        "correct": number.flatten() % 2 == 0,
        "num_items_in_batch": torch.tensor(rows * width),
    }


def test_a_group_has_a_gradient_if_one_advantage_is_not_zero() -> None:
    advantages = torch.tensor([0.0, 0.0, 0.0, -1e-9, 1.0, -1.0])
    assert groups_with_gradient(advantages, 2).tolist() == [False, True, True]
    by_token = torch.zeros(4, 3)
    by_token[3, 2] = 1.0
    assert groups_with_gradient(by_token, 2).tolist() == [False, True]


def test_rows_of_chosen_groups_change_and_no_others() -> None:
    old, new = batch(6, 2, 3, 0), batch(4, 4, 2, 100)
    merged = replace_groups(old, new, [2, 0], [0, 1], group=2, pad_token_id=PAD)
    assert merged["advantages"].tolist() == [102, 103, 2, 3, 100, 101]
    assert merged["correct"].tolist() == [True, False, True, False, True, False]
    assert merged["prompt_ids"].tolist()[0] == [102] * 4
    assert merged["prompt_ids"].tolist()[2] == [PAD, PAD, 2, 2]
    assert merged["prompt_mask"].tolist()[2] == [0, 0, 1, 1]
    assert merged["completion_ids"].tolist()[0] == [102, 102, PAD]
    assert merged["completion_mask"].tolist()[0] == [1, 1, 0]
    assert merged["completion_ids"].tolist()[2] == [2, 2, 2]
    assert merged["old_per_token_logps"].tolist()[5] == [-101, -101, 0]
    assert int(merged["num_items_in_batch"]) == 18  # the engine counts again
    assert old["advantages"].tolist() == [0, 1, 2, 3, 4, 5]


def test_nothing_to_replace_leaves_the_batch() -> None:
    old, new = batch(4, 2, 3, 0), batch(4, 4, 2, 100)
    merged = replace_groups(old, new, [], [], group=2, pad_token_id=PAD)
    assert merged["advantages"].tolist() == [0, 1, 2, 3]


def test_prompts_are_random_different_and_drawn_again_the_same() -> None:
    drawn = draw_prompts(50, 20, seed=1, step=8, attempt=0)
    assert drawn == draw_prompts(50, 20, seed=1, step=8, attempt=0)
    assert len(set(drawn)) == 20
    others = [
        draw_prompts(50, 20, seed=s, step=n, attempt=a)
        for s, n, a in ((2, 8, 0), (1, 9, 0), (1, 8, 1))
    ]
    assert all(drawn != other for other in others)
    every = Counter(
        n for step in range(400) for n in draw_prompts(5, 2, seed=0, step=step, attempt=0)
    )
    assert set(every) == set(range(5))
    assert min(every.values()) > 100
    assert sorted(draw_prompts(3, 7, seed=0, step=0, attempt=0)).count(0) in (2, 3)
