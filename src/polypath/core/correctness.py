"""Which completions are correct, if several reward functions score them."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polypath.errors import unknown_name

# Words in the name of a reward function that say what it rewards.
RIGHT = frozenset(
    {"acc", "accuracy", "correct", "correctness", "exact", "match", "solved", "verified", "verify"}
)
FORM = frozenset({"format", "formatting", "json", "tag", "tags", "template", "xml"})
STYLE = frozenset(
    {"brevity", "cosine", "language", "len", "length", "overlong", "penalty", "punishment"}
    | {"repetition", "steps", "style", "think", "thinking"}
)
ENOUGH = 256  # scored completions of a process before a warning about their rewards


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdicts on some completions.

    Attributes:
        correct_B: which completions are correct. Those that no function scored are not.
        reward_B: raw reward of the function that scored each; NaN if none did.
        column_B: that function, as a column of the raw rewards; any column if none did.
    """

    correct_B: Tensor
    reward_B: Tensor
    column_B: Tensor


@dataclass(kw_only=True)
class Correctness:
    """Says which completions are correct: those that get a reward from the function that scored them.

    Attributes:
        columns: reward functions that decide, as columns of the raw rewards. The first of them that
            scored a completion (its reward is not NaN) decides.
        names: names of all reward functions.
        threshold: a raw reward above this is correct.
        warned: whether ``watch`` warns.
    """

    columns: tuple[int, ...]
    names: Sequence[str]
    threshold: float
    warned: bool = False
    _seen: set[float] = field(default_factory=set)
    _count: int = 0

    def __call__(self, rewards_B_F: Tensor) -> Judged:
        """Return the verdicts from the raw rewards, ``(B, functions)``."""
        rewards_B_C = rewards_B_F[:, list(self.columns)]
        first_B_1 = (~rewards_B_C.isnan()).int().argmax(dim=1, keepdim=True)
        reward_B = rewards_B_C.gather(1, first_B_1).squeeze(1)
        columns_C = torch.tensor(self.columns, device=rewards_B_F.device)
        return Judged(
            correct_B=reward_B > self.threshold,
            reward_B=reward_B,
            column_B=columns_C[first_B_1.squeeze(1)],
        )

    def watch(self, judged: Judged) -> None:
        """Warn once if the rewards of the first completions do not look like right and wrong."""
        if self._count >= ENOUGH or not self.warned:
            return
        scored = judged.reward_B[~judged.reward_B.isnan()]
        self._seen.update(scored.tolist())
        self._count += len(scored)
        if self._count < ENOUGH or self._seen == {0.0, 1.0}:
            return
        who = " and ".join(self.names[column] for column in self.columns)
        values = ", ".join(f"{value:g}" for value in sorted(self._seen)[:5])
        others = [name for n, name in enumerate(self.names) if n not in self.columns]
        other = f", or name another function ({', '.join(others)}) with correctness_reward"
        found = (
            f"gave the reward {values} to all of the first {self._count} completions (correct: above "
            f"correctness_threshold={self.threshold:g}). Check the function and the answers it compares with"
            if len(self._seen) == 1
            else f"gives rewards such as {values}. Those above correctness_threshold={self.threshold:g} "
            "count as correct. If that is not meant, set correctness_threshold"
        )
        warnings.warn(
            f"The reward function {who} decides what is correct, and {found}{other if others else ''}.",
            stacklevel=2,
        )


def find_correctness(
    chosen: str | Sequence[str] | None,
    functions: Sequence[Any],
    names: Sequence[str],
    threshold: float,
    *,
    warned: bool = False,
) -> Correctness:
    """Return which reward functions decide what is correct.

    Args:
        chosen: names of functions, as the user gave them. ``None`` looks for functions that verify: they
            have a method ``solution``, or a name such as ``accuracy_reward``. If there are none, all
            functions but those named for format, length or style are used.
        functions: the reward functions.
        names: their names.
        threshold: a raw reward above this is correct.
        warned: whether to warn about rewards that do not look like right and wrong.

    Raises:
        ConfigError: no function has one of these names.
    """
    wanted = chosen.split(",") if isinstance(chosen, str) else list(chosen or ())
    columns = []
    for name in (text.strip() for text in wanted):
        if name not in names:
            raise unknown_name("correctness_reward", name, names)
        columns.append(list(names).index(name))
    if not columns:
        ranks = [_rank(function, name) for function, name in zip(functions, names, strict=True)]
        columns = [column for column, rank in enumerate(ranks) if rank == min(ranks)]
    return Correctness(columns=tuple(columns), names=names, threshold=threshold, warned=warned)


def _rank(function: Any, name: str) -> int:
    """Return how likely a function is to decide what is correct; 0 is the most likely."""
    words = set(re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    if callable(getattr(function, "solution", None)):
        return 0
    if words & FORM:
        return 2
    if words & RIGHT:
        return 0
    return 2 if words & STYLE else 1
