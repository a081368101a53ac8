"""Which completions are correct, where several reward functions score them."""

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
ENOUGH = 256  # scored completions of a process, before anything is said of their rewards


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was found of completions.

    Attributes:
        correct_B: which are correct; those that no function scored are not.
        reward_B: raw reward of the function that scored each; NaN where none did.
        column_B: which function that was, as a column of the raw rewards; any where none did.
    """

    correct_B: Tensor
    reward_B: Tensor
    column_B: Tensor


@dataclass(kw_only=True)
class Correctness:
    """Says which completions are correct: those that the reward function which scored them pays for.

    Attributes:
        columns: reward functions that say so, as columns of the raw rewards. The first of them that
            scored a completion (its reward is not NaN) decides.
        names: names of all reward functions.
        threshold: a raw reward above this is correct.
        warned: whether ``watch`` says anything.
    """

    columns: tuple[int, ...]
    names: Sequence[str]
    threshold: float
    warned: bool = False
    _seen: set[float] = field(default_factory=set)
    _count: int = 0

    def __call__(self, rewards_B_F: Tensor) -> Judged:
        """Judge completions by their raw rewards, ``(B, functions)``."""
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
        """Warn, once, when the rewards of the first completions do not look like right and wrong."""
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
    """Return which reward functions say what is correct.

    Args:
        chosen: names of functions, as the user gave them; ``None`` to look for them: those that verify (they
            have a method ``solution``, or a name such as ``accuracy_reward``); without one all but those
            named for format, length or style.
        functions: the reward functions.
        names: of them.
        threshold: a raw reward above this is correct.
        warned: whether to warn of rewards that do not look like right and wrong.

    Raises:
        ConfigError: there is no function of a name.
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
    """Return how likely it is that a function says what is correct: 0 is the likeliest."""
    words = set(re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    if callable(getattr(function, "solution", None)):
        return 0
    if words & FORM:
        return 2
    if words & RIGHT:
        return 0
    return 2 if words & STYLE else 1
