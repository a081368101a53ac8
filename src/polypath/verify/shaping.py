r"""Rewards for the form and the length of a completion, as the papers use them besides correctness.

These are pure functions from texts, verdicts and lengths to one float per completion. Errors of a paper's
released code are named where they are corrected; docs/verifiers.md has the list.

DAPO's soft overlong punishment is not here: TRL has it.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from polypath.errors import ConfigError, ShapeError
from polypath.verify.base import Status, Verdict
from polypath.verify.math_extract import boxes

# A lookahead, so that two tags that share a line break count as two.
_END_OF_THINKING = re.compile(r"(?=\n</think>\n)")
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
# "Step 3:", "2." or a bullet at the beginning of a line, and words that go on.
_STEP = re.compile(r"step \d+:|^\s*(?:\d+\.|[-*])\s|\b(?:first|second|next|finally),", re.I | re.M)


def boxed_format_reward(texts: Sequence[str]) -> list[float]:
    r"""1 if the completion has its answer in a box, else 0.

    The format reward of R1-zero-Div, which asks for the final answer in ``\boxed{}``; the paper
    gives neither its values nor its weight. A box counts if it is closed and not empty.
    """
    return [float(any(text[begin:end].strip() for _, begin, end in boxes(text))) for text in texts]


def think_format_reward(texts: Sequence[str]) -> list[float]:
    r"""1 if the completion holds exactly one ``"\n</think>\n"``, else 0.

    The format reward of DRA-GRPO; the opening tag is in its prompt. Their ``str.count`` does not detect
    overlaps, so ``"\n</think>\n</think>\n"`` counted as one there; here it is two.
    """
    return [float(len(_END_OF_THINKING.findall(text)) == 1) for text in texts]


def think_answer_format_reward(texts: Sequence[str]) -> list[float]:
    """1 if the completion is thinking and then an answer, each between its tags, else 0.

    Corresponds to open-r1's ``format``, which also requires a line break after each tag. White space between
    and around the two parts is free here. Each tag may occur only once.
    """
    found = []
    for text in texts:
        places = [text.find(tag) for tag in _TAGS]
        between = text[places[1] + len(_TAGS[1]) : places[2]]
        rest = text[: max(places[0], 0)] + between + text[places[3] + len(_TAGS[3]) :]
        once = all(text.count(tag) == 1 for tag in _TAGS)
        found.append(float(once and places == sorted(places) and not rest.strip()))
    return found


def tag_count_reward(texts: Sequence[str]) -> list[float]:
    """A quarter for each of ``<think>``, ``</think>``, ``<answer>``, ``</answer>`` that occurs exactly once.

    Open-r1's ``tag_count`` also requires line breaks beside the tags.
    """
    return [sum(text.count(tag) == 1 for tag in _TAGS) / len(_TAGS) for text in texts]


def reasoning_steps_reward(texts: Sequence[str]) -> list[float]:
    """A third for each step that is marked as one, at most 1: open-r1's ``reasoning_steps``."""
    return [min(1.0, len(_STEP.findall(text)) / 3) for text in texts]


def length_reward(
    texts: Sequence[str], verdicts: Sequence[Verdict], groups: Sequence[object]
) -> list[float]:
    """0.5 for the shortest completion of a group, -0.5 for the longest; wrong ones at most 0.

    The length reward of Kimi k1.5 (arXiv:2501.12599, section 2.3.3), over characters; 0 if all are
    equally long. Open-r1's ``length`` compares all completions of a batch, whatever their prompt.

    Args:
        texts: completions.
        verdicts: verdicts of the same completions.
        groups: the prompt of each; completions with equal ones are compared.
    """
    rewards = []
    for text, verdict, group in zip(texts, verdicts, groups, strict=True):
        lengths = [len(t) for t, other in zip(texts, groups, strict=True) if other == group]
        span = max(lengths) - min(lengths)
        value = 0.5 - (len(text) - min(lengths)) / span if span else 0.0
        rewards.append(value if verdict.correct else min(0.0, value))
    return rewards


@dataclass(frozen=True, kw_only=True, slots=True)
class CosineLength:
    r"""How the reward of an answer falls with its length.

    With progress p = length / max_length, clamped to 1:

        reward = long + (short - long) * (1 + cos(pi * p)) / 2

    where ``short`` and ``long`` are ``right_short``, ``right_long`` for right answers and
    ``wrong_short``, ``wrong_long`` for wrong ones. The defaults are the values of DRA-GRPO's runs:
    right answers in [0.5, 1], wrong ones in [-0.5, 0], both falling with length.

    Attributes:
        max_length: length at which the reward reaches ``long``, >= 1, in ``unit``.
        unit: unit of lengths. DRA-GRPO measured characters, with ``max_length`` 1000.
        right_short: reward of a right answer of length 0.
        right_long: reward of a right answer of ``max_length`` or more.
        wrong_short: reward of a wrong answer of length 0.
        wrong_long: reward of a wrong answer of ``max_length`` or more. The authors' docstring wants longer
            wrong answers to be punished less, but their values do the opposite. Swap the two for the
            former.
        bad_gold: reward if the gold answer cannot be read. It is the same for every completion of the
            problem, so that nothing is learnt from it. The authors' code gives 1.
        clamp: ``False`` for the authors' code: without the clamp the cosine is periodic, and an
            answer of ``2 * max_length`` gets the reward of an empty one.

    Raises:
        ConfigError: if a value is out of range.
    """

    max_length: int
    unit: Literal["tokens", "characters"] = "tokens"
    right_short: float = 1.0
    right_long: float = 0.5
    wrong_short: float = 0.0
    wrong_long: float = -0.5
    bad_gold: float = 0.0
    clamp: bool = True

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ConfigError(f"max_length must be at least 1, got {self.max_length}.")
        if self.unit not in ("tokens", "characters"):
            raise ConfigError(f"unit must be 'tokens' or 'characters', got {self.unit!r}.")
        for name in ("right_short", "right_long", "wrong_short", "wrong_long", "bad_gold"):
            if not math.isfinite(value := getattr(self, name)):
                raise ConfigError(f"{name} must be a finite number, got {value}.")

    def reward(self, verdict: Verdict, length: int) -> float:
        """Return the reward of one completion of that length."""
        if verdict.status is Status.BAD_GOLD:
            return self.bad_gold
        progress = length / self.max_length
        if self.clamp:
            progress = min(1.0, progress)
        share = (1.0 + math.cos(math.pi * progress)) / 2.0
        short, long = (
            (self.right_short, self.right_long)
            if verdict.correct
            else (self.wrong_short, self.wrong_long)
        )
        return long + (short - long) * share


def cosine_length_reward(
    settings: CosineLength,
    texts: Sequence[str],
    verdicts: Sequence[Verdict],
    num_tokens: Sequence[int] | None = None,
) -> list[float]:
    """Reward every completion by verdict and length.

    DRA-GRPO's cosine reward (their ``rewards.py``), with these errors corrected: lengths beyond
    ``max_length`` no longer come round again (``settings.clamp``); lengths may be in tokens
    (``settings.unit``); the verdict is this library's, with the gold first, where theirs swaps the arguments
    of an asymmetric function; an unreadable gold is not a right answer (``settings.bad_gold``).

    Args:
        settings: shape of the reward.
        texts: completions.
        verdicts: verdicts of the same completions. No answer, a timeout and an error count as wrong.
        num_tokens: lengths of the same completions; needed if the unit is tokens.

    Raises:
        ConfigError: if the unit is tokens and ``num_tokens`` is missing.
        ShapeError: if the numbers of texts, verdicts and lengths differ.
    """
    if settings.unit == "characters":
        lengths: Sequence[int] = [len(text) for text in texts]
    elif num_tokens is not None:
        lengths = num_tokens
    else:
        raise ConfigError(
            "num_tokens is missing and unit is 'tokens'. Pass the lengths, or set unit='characters'."
        )
    if not len(texts) == len(verdicts) == len(lengths):
        raise ShapeError(
            "texts, verdicts and num_tokens must have the same length, got "
            f"{len(texts)}, {len(verdicts)} and {len(lengths)}."
        )
    pairs = zip(verdicts, lengths, strict=True)
    return [settings.reward(verdict, length) for verdict, length in pairs]
