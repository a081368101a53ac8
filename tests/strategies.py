"""Random but legal inputs, shared by the property tests."""

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

FAST = settings(max_examples=40)

seeds = st.integers(0, 2**31 - 1)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def scored_groups(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw ``(rewards_P_G, similarity_P_G_G)``: rewards in [-1, 3], cosines of both signs.

    Some completions are copies of others, as in real groups: ties and singular matrices.
    """
    prompts, group = draw(st.integers(1, 3)), draw(st.integers(2, 7))
    rng = generator(draw(seeds))
    x_P_G_D = torch.randn(prompts, group, 4, generator=rng, dtype=torch.float64)
    if draw(st.booleans()):
        x_P_G_D[:, 1] = x_P_G_D[:, 0]
    unit_P_G_D = torch.nn.functional.normalize(x_P_G_D, dim=2)
    levels = torch.tensor(draw(st.sampled_from([[0.0, 1.0], [-0.5, 0.0, 1.0, 3.0], [-1.0, 1.0]])))
    rewards_P_G = levels[torch.randint(len(levels), (prompts, group), generator=rng)].double()
    return rewards_P_G, unit_P_G_D @ unit_P_G_D.mT


@st.composite
def token_batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw ``(logp_B_T, behaviour_logp_B_T, mask_B_T, correct_B)``; some rows may be all padding."""
    rows, length = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    rng = generator(draw(seeds))
    logp_B_T, behaviour_B_T = -3 * torch.rand(2, rows, length, generator=rng, dtype=torch.float64)
    tokens_B = torch.randint(length + 1, (rows,), generator=rng)
    mask_B_T = torch.arange(length) < tokens_B.unsqueeze(1)
    return logp_B_T, behaviour_B_T, mask_B_T, torch.rand(rows, generator=rng) < 0.6
