"""Detects answers that do not tell solutions apart, so that comparing by them has no effect."""

import warnings

import torch
from torch import Tensor

ENOUGH = 64  # groups with two or more correct completions before a warning


class UninformativeAnswers:
    """Looks at the first groups and warns once.

    ``similarity: answer`` needs canonical solutions. If the verifier returns final results, as in
    mathematics, all correct completions of a group are alike. If nothing returns canonical answers,
    whole texts are compared, and these are almost never equal.
    """

    def __init__(self) -> None:
        self._groups = 0
        self._alike = self._different = False

    def see(self, similarity_P_G_G: Tensor, correct_P_G: Tensor) -> None:
        """Add groups: ``(P, G, G)`` similarities by answer, ``(P, G)`` booleans."""
        if self._groups >= ENOUGH:
            return
        pairs_P_G_G = correct_P_G.unsqueeze(1) & correct_P_G.unsqueeze(2)
        pairs_P_G_G = pairs_P_G_G.to(similarity_P_G_G.device).triu(diagonal=1)
        same = similarity_P_G_G[pairs_P_G_G] > 0.5
        self._alike |= bool(same.any())
        self._different |= not bool(same.all())
        self._groups += int(torch.any(pairs_P_G_G.flatten(1), dim=1).sum())
        if self._groups >= ENOUGH and not (self._alike and self._different):
            found = "the same answer" if self._alike else "different answers"
            warnings.warn(
                f"similarity 'answer': in {self._groups} groups all correct completions had {found}, so it "
                "does not tell solutions apart. Answers must be canonical solutions; to compare texts, "
                "set similarity to ngram or embedding.",
                stacklevel=2,
            )
