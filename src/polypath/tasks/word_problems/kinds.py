"""The kinds of word problems: what is given, and the ways to solve it, each in several wordings.

A wording is a text with slots: ``{a}`` is a given number, ``{things}`` a word of the story, and
``[u = b / a]`` a calculation, which names its result. All wordings of a way compute the same quantities
(``tasks.word_problems.ways``). A way applies to a problem if all its results are whole numbers from 1
to ``LARGEST``, so which ways there are depends on the numbers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

LARGEST = 100  # number in a problem or a solution
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


RATE = Kind(
    # a things have the amount b: how much have c things?
    ranges=(range(2, 10), range(4, 61), range(2, 31)),
    ways=(
        Way(
            "one unit",
            (
                "One {thing} {verbs} [u = b / a] {unit}. So {c} {things} {verb} [x = u * c] {unit}.",
                "Find one {thing} first: [u = b / a]. Now take {c} of them: [x = c * u].",
                "{c} {things} {verb} {c} times as much as one, which {verbs} [u = b / a]. So [x = u * c].",
            ),
        ),
        Way(
            "scale up",
            (
                "The {things} grow by a factor: [k = c / a]. So do the {unit}: [x = k * b].",
                "Make groups of {a} {things}: [k = c / a]. Each group {verbs} {b} {unit}, so [x = b * k].",
                "We have [k = c / a] times as many {things}. They {verb} [x = k * b] {unit}.",
            ),
        ),
        Way(
            "cross product",
            (
                "Multiply first: [p = b * c]. Then divide by {a}: [x = p / a].",
                "By proportion, the cross product is [p = c * b]. This gives [x = p / a] {unit}.",
                "Take {b} {unit} times {c}, which is [p = b * c]. Split it by {a} to get [x = p / a].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the {unit}. Then {a} * x = {c} * {b}. Now [p = b * c]. So x = [x = p / a].",
                "Call the {unit} x: x / {c} = {b} / {a}. As [p = c * b], we get x = [x = p / a].",
                "We solve {a} * x = {b} * {c}. Here [p = b * c], so x = [x = p / a].",
            ),
        ),
    ),
)

LEFT = Kind(
    # Of a things, b go and then c: how many are left?
    ranges=(range(20, 71), range(3, 21), range(3, 21)),
    ways=(
        Way(
            "in order",
            (
                "First [u = a - b] {things} are left. Then [x = u - c] {things} are left.",
                "Take away the {b}: [u = a - b]. Take away the {c}: [x = u - c].",
                "With {b} gone there are [u = a - b]. With {c} more gone there are [x = u - c].",
            ),
        ),
        Way(
            "last one first",
            (
                "Start with the last part: [u = a - c]. Then the first part: [x = u - b].",
                "The order is free. Without {c} there are [u = a - c] {things}, and then [x = u - b].",
                "Take away the {c}: [u = a - c]. Take away the {b}: [x = u - b].",
            ),
        ),
        Way(
            "together",
            (
                "In all [s = b + c] {things} are gone. So [x = a - s] are left.",
                "Add what is gone: [s = c + b]. The rest is [x = a - s].",
                "Total minus part: [s = b + c] {things} go. This leaves [x = a - s].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {b} + {c} = {a}. Now [s = b + c]. So x = [x = a - s].",
                "Call the rest x: {a} = x + {b} + {c}. As [s = b + c], we get x = [x = a - s].",
                "We solve x + {b} + {c} = {a}. Here [s = c + b], so x = [x = a - s].",
            ),
        ),
    ),
)

CHANGE = Kind(
    # Of a things b go, and c come: how many are there now?
    ranges=(range(10, 61), range(3, 21), range(3, 21)),
    ways=(
        Way(
            "in order",
            (
                "First [u = a - b] {things} stay. Then there are [x = u + c] {things}.",
                "Take away the {b}: [u = a - b]. Add the {c}: [x = u + c].",
                "With {b} gone there are [u = a - b]. With {c} new ones there are [x = c + u].",
            ),
        ),
        Way(
            "add first",
            (
                "Add the new {things} first: [u = a + c]. Then take away the {b}: [x = u - b].",
                "The order is free. With {c} more there are [u = a + c] {things}, and then [x = u - b].",
                "All {things} together are [u = c + a]. Of these {b} go: [x = u - b].",
            ),
        ),
        Way(
            "net gain",
            (
                "More come than go: [n = c - b] more. So there are [x = a + n] {things}.",
                "The gain is [n = c - b]. Add it to the start: [x = a + n].",
                "In the end [n = c - b] {things} are added, which makes [x = n + a].",
            ),
        ),
        Way(
            "net loss",
            (
                "More go than come: [n = b - c] fewer. So there are [x = a - n] {things}.",
                "The loss is [n = b - c]. Take it from the start: [x = a - n].",
                "In the end [n = b - c] {things} are lost, which leaves [x = a - n].",
            ),
        ),
    ),
)

BOXES = Kind(
    # Of a boxes with b things each, c boxes go: how many things are left?
    ranges=(range(4, 13), range(3, 13), range(2, 11)),
    ways=(
        Way(
            "count boxes",
            (
                "There are [u = a - c] {boxes} left. They hold [x = u * b] {things}.",
                "Count {boxes} first: [u = a - c]. Each has {b} {things}, so [x = b * u].",
                "[u = a - c] {boxes} stay, with {b} {things} each: [x = u * b].",
            ),
        ),
        Way(
            "total minus part",
            (
                "All {boxes} hold [t = a * b] {things}. Of these [g = c * b] are gone. So [x = t - g] are left.",
                "At the start there are [t = b * a] {things}. Take away [g = b * c] to get [x = t - g].",
                "Total minus part: [t = a * b] and [g = c * b], so [x = t - g] {things} are left.",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {c} * {b} = {a} * {b}. Now [g = c * b] and [t = a * b]. So x = [x = t - g].",
                "Call the rest x: {a} * {b} = x + {c} * {b}. As [t = a * b] and [g = c * b], we get x = [x = t - g].",
                "We solve x + {b} * {c} = {a} * {b}. Here [t = a * b], and [g = b * c]. So x = [x = t - g].",
            ),
        ),
    ),
)

SETS = Kind(
    # Each of a groups has b of one sort and c of another: how many in all?
    ranges=(range(3, 10), range(2, 12), range(2, 12)),
    ways=(
        Way(
            "one group",
            (
                "One {group} has [u = b + c] {things}. So {a} {groups} have [x = a * u].",
                "Add in one {group}: [u = c + b]. There are {a} of them, so [x = u * a].",
                "[u = b + c] {things} in each {group} make [x = u * a] in all.",
            ),
        ),
        Way(
            "sum of parts",
            (
                "There are [p = a * b] of one sort and [q = a * c] of the other. In all [x = p + q].",
                "Count each sort: [p = a * b], and [q = a * c]. Sum of parts: [x = p + q].",
                "The first sort has [p = b * a] {things}. The second has [q = c * a]. Together [x = q + p].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the number. Then x / {a} = {b} + {c}. Now [u = b + c]. So x = [x = a * u].",
                "Call the total x: {b} + {c} = x / {a}. As [u = b + c], we get x = [x = u * a].",
                "We solve x / {a} = {c} + {b}. Here [u = c + b], so x = [x = a * u].",
            ),
        ),
    ),
)

PRICE = Kind(
    # a equal things and an extra of b make c: how much is one thing?
    ranges=(range(2, 10), range(2, 41), range(12, 100)),
    ways=(
        Way(
            "backwards",
            (
                "Go back from {c}: without the {extra} it is [u = c - b]. One {thing} is [x = u / a].",
                "The {things} alone make [u = c - b] {unit}. Share this by {a}: [x = u / a].",
                "Take off the {extra}: [u = c - b]. Then divide: [x = u / a].",
            ),
        ),
        Way(
            "divide first",
            (
                "Divide both parts by {a}: [p = c / a], and [q = b / a]. So one {thing} is [x = p - q].",
                "Per {thing} the total is [p = c / a] and the {extra} is [q = b / a]. This leaves [x = p - q].",
                "The share of the total is [p = c / a]. The share of the {extra} is [q = b / a]. So [x = p - q].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be one {thing}. Then {a} * x + {b} = {c}. Now [u = c - b]. So x = [x = u / a].",
                "Call one {thing} x: {c} = {b} + {a} * x. As [u = c - b], we get x = [x = u / a].",
                "We solve {a} * x + {b} = {c}. Here [u = c - b], so x = [x = u / a].",
            ),
        ),
    ),
)

SHARE = Kind(
    # a packs of b things are shared by c: how much does each get?
    ranges=(range(2, 13), range(3, 31), range(2, 13)),
    ways=(
        Way(
            "all things",
            (
                "There are [t = a * b] {things}. Each gets [x = t / c].",
                "Put all {things} together: [t = b * a]. Share them by {c}: [x = t / c].",
                "First multiply: [t = a * b]. Then divide: [x = t / c] {things} each.",
            ),
        ),
        Way(
            "share packs",
            (
                "Share the {packs}: each gets [k = a / c] of them. That is [x = k * b] {things}.",
                "[k = a / c] {packs} for each one, with {b} {things} in a {pack}: [x = b * k].",
                "Each takes [k = a / c] whole {packs}, which hold [x = k * b] {things}.",
            ),
        ),
        Way(
            "share each pack",
            (
                "From one {pack} each gets [k = b / c] {things}. From all {packs} it is [x = k * a].",
                "Open one {pack} and share it: [k = b / c]. Do this {a} times: [x = a * k].",
                "A {pack} gives each [k = b / c] {things}, so {a} {packs} give [x = a * k].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be one share. Then {c} * x = {a} * {b}. Now [t = a * b]. So x = [x = t / c].",
                "Call one share x: {a} * {b} = x * {c}. As [t = b * a], we get x = [x = t / c].",
                "We solve {c} * x = {b} * {a}. Here [t = a * b], so x = [x = t / c].",
            ),
        ),
    ),
)

REST_OF_RATE = Kind(
    # a things have the amount b; of the amount d, what is left after c things?
    ranges=(range(2, 10), range(4, 41), range(2, 21), range(20, 100, 5)),
    long=True,
    ways=(
        Way(
            "one unit",
            (
                "One {thing} {verbs} [u = b / a] {unit}. So {c} {things} {verb} [t = u * c]. Then [x = d - t] are left.",
                "Find one {thing} first: [u = b / a]. Take {c} of them: [t = c * u]. The rest is [x = d - t].",
            ),
        ),
        Way(
            "scale up",
            (
                "The {things} grow by a factor: [k = c / a]. So do the {unit}: [t = k * b]. Then [x = d - t] are left.",
                "Make groups of {a} {things}: [k = c / a]. They {verb} [t = b * k] {unit}. The rest is [x = d - t].",
            ),
        ),
        Way(
            "cross product",
            (
                "Multiply first: [p = b * c]. Then divide by {a}: [t = p / a]. Then [x = d - t] are left.",
                "By proportion, the cross product is [p = c * b]. This gives [t = p / a]. The rest is [x = d - t].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {b} * {c} / {a} = {d}. Now [p = b * c]. This gives [t = p / a]. So x = [x = d - t].",
                "We solve {d} = x + {c} * {b} / {a}. Here [p = c * b], and [t = p / a]. So x = [x = d - t].",
            ),
        ),
    ),
)

GIFTS = Kind(
    # Of a things, b go to each of c, and d go elsewhere: how many are left?
    ranges=(range(30, 91, 2), range(2, 8), range(3, 7), range(3, 19)),
    long=True,
    ways=(
        Way(
            "in order",
            (
                "The {friends} get [g = b * c] {things}. First [u = a - g] are left. Then [x = u - d] are left.",
                "Multiply: [g = c * b]. Take it away: [u = a - g]. Take away the {d}: [x = u - d].",
            ),
        ),
        Way(
            "last one first",
            (
                "Start with the last part: [u = a - d]. The {friends} get [g = b * c]. So [x = u - g] are left.",
                "Take away the {d}: [u = a - d]. Multiply: [g = c * b]. Take it away: [x = u - g].",
            ),
        ),
        Way(
            "together",
            (
                "The {friends} get [g = b * c] {things}. In all [s = g + d] are gone. So [x = a - s] are left.",
                "Multiply: [g = c * b]. Add what is gone: [s = d + g]. The rest is [x = a - s].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {b} * {c} + {d} = {a}. Now [g = b * c], and [s = g + d]. So x = [x = a - s].",
                "We solve {a} = x + {d} + {c} * {b}. Here [g = c * b], and [s = d + g]. So x = [x = a - s].",
            ),
        ),
    ),
)

SORTS = Kind(
    # Of a groups with b of one sort and c of another, d groups go: how many things are left?
    ranges=(range(4, 11), range(2, 9), range(2, 9), range(2, 9)),
    long=True,
    ways=(
        Way(
            "one group",
            (
                "There are [n = a - d] {groups} left. One {group} has [u = b + c] {things}. So [x = n * u] are left.",
                "Add in one {group}: [u = c + b]. Count {groups}: [n = a - d]. They have [x = u * n] {things}.",
            ),
        ),
        Way(
            "total minus part",
            (
                "One {group} has [u = b + c] {things}. All have [t = a * u]. Of these [g = d * u] go. So [x = t - g].",
                "Add in one {group}: [u = c + b]. Total minus part: [t = u * a] and [g = u * d], so [x = t - g].",
            ),
        ),
        Way(
            "sum of parts",
            (
                "There are [n = a - d] {groups} left. They have [p = n * b] and [q = n * c]. In all [x = p + q].",
                "Count {groups}: [n = a - d]. Count each sort: [p = b * n], and [q = c * n]. Together [x = q + p].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x / ({a} - {d}) = {b} + {c}. Now [n = a - d], and [u = b + c]. So x = [x = n * u].",
                "We solve x / ({a} - {d}) = {c} + {b}. Here [u = c + b], and [n = a - d]. So x = [x = u * n].",
            ),
        ),
    ),
)

KINDS: dict[str, Kind] = {
    "rate": RATE,
    "left": LEFT,
    "change": CHANGE,
    "boxes": BOXES,
    "sets": SETS,
    "price": PRICE,
    "share": SHARE,
    "rest_of_rate": REST_OF_RATE,
    "gifts": GIFTS,
    "sorts": SORTS,
}
