"""Shape checks: the axes are in the name."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polypath.checks import check_shapes
from polypath.errors import ShapeError
from tests.refusals import refused
from tests.strategies import FAST


@FAST
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
def test_property_agreeing_shapes_pass_for_numpy_and_torch(p, g, t):
    check_shapes(
        rewards_P_G=np.zeros((p, g)),
        similarity_P_G_G=torch.zeros(p, g, g),
        ref_logp_P_T=torch.zeros(p, t),
        seed=np.zeros(()),
    )


def test_names_may_hold_words_and_capitalised_words():
    check_shapes(is_P_best_G=np.zeros((2, 3)), KL_P=np.zeros(2))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"rewards_P_G": np.zeros(6)}, r"rewards_P_G must be 2-D (P, G), but has shape (6,)."),
        ({"reward": np.zeros(2)}, "reward must be 0-D (), but has shape (2,)."),
        (
            {"rewards_P_G": np.zeros((2, 4)), "similarity_P_G_G": np.zeros((2, 3, 3))},
            "similarity_P_G_G has 3 entries on axis 1 (G), but rewards_P_G has G=4. "
            "Did a group lose a completion, or were the groups of two prompts merged?",
        ),
        (
            {"similarity_P_G_G": np.zeros((2, 4, 3))},
            "similarity_P_G_G has 3 entries on axis 2 (G), but similarity_P_G_G has G=4. "
            "Did a group lose a completion, or were the groups of two prompts merged?",
        ),
        (
            {"logp_B_T": np.zeros((2, 4)), "mask_B_T": np.zeros((2, 5))},
            "mask_B_T has 5 entries on axis 1 (T), but logp_B_T has T=4. "
            "Were prompt tokens left in one array and not in the other?",
        ),
        (
            {"correct_N_S": np.zeros((2, 4)), "level_N": np.zeros(3)},
            "level_N has 3 entries on axis 0 (N), but correct_N_S has N=2. "
            "Do both arrays hold the same problems?",
        ),
        (
            {"a_P": np.zeros(2), "b_P": np.zeros(1)},
            "b_P has 1 entries on axis 0 (P), but a_P has P=2.",
        ),
    ],
)
def test_error_names_array_axis_and_both_lengths(arrays, message):
    with pytest.raises(ShapeError) as caught:
        check_shapes(**arrays)
    assert str(caught.value) == message


def test_error_names_the_array_that_set_the_length_not_the_last_one():
    with refused(ShapeError, "c_P", "a_P", 3, 2):
        check_shapes(a_P=np.zeros(2), b_P=np.zeros(2), c_P=np.zeros(3))
