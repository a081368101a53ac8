"""How kinds of word problems are described, and how solutions are written.

A wording is a text with slots: ``{a}`` is a given number, ``{things}`` a word of the story, and
``[u = b / a]`` a calculation, which names its result. All wordings of a way compute the same quantities
(``tasks.word_problems.ways``). A way applies to a problem if all its results are whole numbers from 1
to ``LARGEST``, so which ways there are depends on the numbers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

LARGEST = 60  # number in a problem or a solution
RESULT = "x"  # the last calculation of every wording names it

_CALCULATION = re.compile(r"\[([a-z]) = ([a-z]) ([-+*/]) ([a-z])\]")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to solve a kind of problem: its name, and several wordings."""

    name: str
    wordings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of problem.

    Attributes:
        ranges: the values that each given number may have, in the order a, b, c, d.
        ways: ways to solve it.
        long: whether it needs more steps than training shows.
    """

    ranges: tuple[range, ...]
    ways: tuple[Way, ...]
    long: bool = False


@cache
def calculations(wording: str) -> tuple[tuple[str, str, str, str], ...]:
    """Return name, left side, sign and right side of each calculation in a wording, in order."""
    return tuple(_CALCULATION.findall(wording))


def results(wording: str, numbers: Sequence[int]) -> dict[str, int] | None:
    """Return the given numbers and all results by name.

    ``None`` if a result is not a whole number from 1 to ``LARGEST``: the wording does not apply.
    """
    known = dict(zip("abcd", numbers, strict=False))
    for name, left, sign, right in calculations(wording):
        value = _calculate(known[left], sign, known[right])
        if value is None or not 1 <= value <= LARGEST:
            return None
        known[name] = value
    return known


def _calculate(left: int, sign: str, right: int) -> int | None:
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return left * right
    return left // right if left % right == 0 else None


def write(wording: str, numbers: Sequence[int], words: Mapping[str, str]) -> str | None:
    """Write a solution in a wording; ``None`` if the wording does not apply to the numbers.

    >>> write("Each {thing} costs [x = b / a].", (4, 12), {"thing": "pen"})
    'Each pen costs 12 / 4 = 3. The answer is 3.'
    """
    known = results(wording, numbers)
    if known is None:
        return None

    def calculation(match: re.Match[str]) -> str:
        name, left, sign, right = match.groups()
        return f"{known[left]} {sign} {known[right]} = {known[name]}"

    text = _CALCULATION.sub(calculation, wording).format(**words, **known)
    return f"{text} The answer is {known[RESULT]}."
