"""Countdown: reach a target with given numbers, each used at most once, by + - * / and brackets.

Grammar of a completion (the whole text, ASCII whitespace ignored; no text around the expression):

    expression = product {("+" | "-") product}
    product    = atom {("*" | "/") atom}
    atom       = digits | "(" expression ")"

There is no unary minus, no decimal point and no trailing ``= 24``. Values are exact fractions.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal, Self

from polypath.verify.base import Status, Verdict

Operator = Literal["+", "-", "*", "/"]

# Bounds that make every text cheap to verify. An answer with n numbers needs n + (n - 1) tokens and at
# most n - 2 useful pairs of brackets: 128 tokens leave room for more than 30 numbers.
MAX_TOKENS = 128
MAX_DIGITS = 9

_TOKEN = re.compile(r"\s*([-+*/()]|\d+)", re.ASCII)
_GOLD = re.compile(r"(\d{1,9}) from (\d{1,9}(?: \d{1,9}){0,30})", re.ASCII)
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """An exact value with its normal form.

    The normal form is a number, a signed sum (a multiset of added and one of subtracted terms) or
    a product (a multiset of factors and one of divisors). Sums contain no sums, and products no products.
    The value of every sum is made non-negative by moving its sign outwards. Two expressions
    have the same form exactly if these identities turn one into the other:

    - ``a + b = b + a``, ``a * b = b * a``, and every bracketing of a chain of either;
    - ``a - (b - c) = a + c - b`` and similar: a chain of + and - is a signed sum;
    - ``a / (b / c) = a * c / b`` and similar: a chain of * and / is a product;
    - ``(a - b) * c = -((b - a) * c)``: the direction in which a difference is written (and for an
      expression of value zero, the sign).

    Not folded: distributivity (``a * (b + c)``, ``a * b + a * c``), neutral elements (``a * 1``,
    ``a / 1``, ``a``) and numeric accidents (``2 + 2``, ``2 * 2``). Equal numbers are
    interchangeable.

    Attributes:
        magnitude: absolute value.
        negative: whether the value is minus the magnitude; the form describes the magnitude.
        kind: which of the three forms this is.
        upper: the number, the added terms, or the factors, sorted.
        lower: the subtracted terms, or the divisors, sorted.
    """

    magnitude: Fraction
    negative: bool
    kind: Literal["number", "sum", "product"]
    upper: tuple[str, ...]
    lower: tuple[str, ...]

    @classmethod
    def number(cls, value: int) -> Self:
        """Wrap a number that is not negative."""
        return cls(
            magnitude=Fraction(value), negative=False, kind="number", upper=(str(value),), lower=()
        )

    @property
    def value(self) -> Fraction:
        """The exact value."""
        return -self.magnitude if self.negative else self.magnitude

    @property
    def text(self) -> str:
        """The form of the magnitude, without spaces, in the grammar of completions."""
        up, down = "*/" if self.kind == "product" else "+-"
        return up.join(self.upper) + "".join(down + part for part in self.lower)

    @property
    def canonical(self) -> str:
        """A text that is the same for equal forms only; ``-(...)`` around a negative one."""
        return f"-({self.text})" if self.value < 0 else self.text

    def combine(self, operator: Operator, other: Self) -> Self | None:
        """Return ``self operator other``, or ``None`` for a division by zero."""
        if operator in "+-":
            return self._add(other, flip=operator == "-")
        if operator == "/" and other.magnitude == 0:
            return None
        return self._multiply(other, flip=operator == "/")

    def _add(self, other: Self, *, flip: bool) -> Self:
        added, taken = self._terms(flip=False)
        more_added, more_taken = other._terms(flip=flip)
        upper, lower = _sorted(added + more_added), _sorted(taken + more_taken)
        value = self.value - other.value if flip else self.value + other.value
        # A sum of value zero has no natural direction: the greater list of terms counts as added.
        negative = value < 0 or (value == 0 and lower > upper)
        if negative:
            upper, lower = lower, upper
        return type(self)(
            magnitude=abs(value), negative=negative, kind="sum", upper=upper, lower=lower
        )

    def _multiply(self, other: Self, *, flip: bool) -> Self:
        factors, divisors = self._factors()
        more_factors, more_divisors = other._factors()
        if flip:
            more_factors, more_divisors = more_divisors, more_factors
        magnitude = other.magnitude if not flip else 1 / other.magnitude
        return type(self)(
            magnitude=self.magnitude * magnitude,
            negative=self.negative != other.negative,
            kind="product",
            upper=_sorted(factors + more_factors),
            lower=_sorted(divisors + more_divisors),
        )

    def _terms(self, *, flip: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read this, or minus this, as a signed sum: added terms, subtracted terms."""
        upper, lower = ((self.text,), ()) if self.kind == "product" else (self.upper, self.lower)
        return (lower, upper) if self.negative != flip else (upper, lower)

    def _factors(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Read the magnitude as a product: factors, divisors."""
        return ((f"({self.text})",), ()) if self.kind == "sum" else (self.upper, self.lower)


def _sorted(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(parts, key=lambda part: (len(part), part)))


def _tokens(text: str) -> Iterator[str]:
    """Split into numbers and signs; an empty token stands for anything that is neither."""
    text = text.strip(" \t\n\r\f\v")
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            yield ""
            return
        position = match.end()
        yield match[1]


def parse_expression(text: str) -> tuple[Expression, tuple[int, ...]] | None:
    """Read an expression in the grammar of this module.

    Args:
        text: any text at all.

    Returns:
        The expression and the numbers it uses in reading order; ``None`` if the text is not one
        expression, divides by zero, has more than ``MAX_TOKENS`` tokens, or a number of more than
        ``MAX_DIGITS`` digits.
    """
    # Operator precedence with two stacks. There is no recursion, so depth does no harm.
    values: list[Expression] = []
    operators: list[str] = []
    numbers: list[int] = []

    def reduce_to(precedence: int) -> bool:
        """Apply waiting operators of at least this precedence; False if one divides by zero."""
        while operators and _PRECEDENCE.get(operators[-1], 0) >= precedence:
            right, left = values.pop(), values.pop()
            # Not "(", whose precedence is 0.
            result = left.combine(operators.pop(), right)  # type: ignore[arg-type]
            if result is None:
                return False
            values.append(result)
        return True

    operand_is_next = True
    for count, token in enumerate(_tokens(text)):
        if count == MAX_TOKENS:
            return None
        if operand_is_next and token == "(":
            operators.append(token)
        elif operand_is_next and token.isdigit() and len(token) <= MAX_DIGITS:
            numbers.append(int(token))
            values.append(Expression.number(numbers[-1]))
            operand_is_next = False
        elif operand_is_next:
            return None
        elif token == ")" and reduce_to(1) and operators:
            operators.pop()
        elif token in _PRECEDENCE and reduce_to(_PRECEDENCE[token]):
            operators.append(token)
            operand_is_next = True
        else:
            return None
    if operand_is_next or not reduce_to(1) or operators:
        return None
    return values[0], tuple(numbers)


@lru_cache(maxsize=4096)
def parse_gold(gold: str) -> tuple[int, tuple[int, ...]] | None:
    """Read ``"24 from 3 5 7 9"`` as target and numbers; ``None`` if it is not of that form."""
    match = _GOLD.fullmatch(gold)
    if match is None:
        return None
    return int(match[1]), tuple(int(number) for number in match[2].split())


def format_gold(target: int, numbers: tuple[int, ...]) -> str:
    """Write a target and its numbers as ``parse_gold`` reads them.

    >>> format_gold(24, (3, 5, 7, 9))
    '24 from 3 5 7 9'
    """
    return f"{target} from {' '.join(map(str, numbers))}"


@lru_cache(maxsize=4096)  # half or more of a group's completions are repeats
def verify_countdown(completion: str, gold: str) -> Verdict:
    """Verify a Countdown answer; the whole completion must be the expression.

    Args:
        completion: what the model wrote, special tokens removed. Any text is safe.
        gold: target and numbers, as ``"24 from 3 5 7 9"``.

    Returns:
        ``BAD_GOLD`` if ``gold`` cannot be read; ``NO_ANSWER`` if the completion is not an
        expression with a value (see ``parse_expression``); otherwise ``GRADED`` with reward 1 if
        the value is the target and no number is used more often than given, else 0. The answer is
        ``Expression.canonical``, also for wrong expressions.

    >>> verify_countdown("7 + (9 - 5) + 3 * 1", "17 from 3 5 7 9").reward  # 1 was not given
    0.0
    >>> verify_countdown("(9 - 5) * 7 - 3", "25 from 3 5 7 9").answer
    '7*(9-5)-3'
    """
    problem = parse_gold(gold)
    if problem is None:
        return Verdict(status=Status.BAD_GOLD)
    parsed = parse_expression(completion)
    if parsed is None:
        return Verdict(status=Status.NO_ANSWER)
    expression, used = parsed
    target, given = problem
    right = expression.value == target and Counter(used) <= Counter(given)
    return Verdict(status=Status.GRADED, reward=float(right), answer=expression.canonical)
