r"""Values of sympy expressions at points, in 40 digits, and whether two expressions agree at all points.

A symbolic proof of equality takes seconds and often fails. Two formulas of the kind that people give as
answers are equal if they agree to 12 digits at several random points. This can miss formulas that
differ only outside the points' range (``|x - 200|`` and ``200 - x``), or by less than a part in 10^12.

Values are real if both sides allow it: ``sqrt`` and ``log`` of negative numbers are undefined, and
odd roots of negative numbers are negative. So ``x`` is not ``sqrt(x^2)``, but ``sqrt(x) sqrt(y)`` is
``sqrt(x y)``, because they agree wherever both are defined.
"""

import contextlib
import functools
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

DIGITS = 40
SAME = 1e-12  # relative
ZERO = 1e-20
# Random points: magnitude, and whether signs are mixed. Positive points come first.
_POINTS = ((1.0, False), (1.0, True), (1.0, True), (3.0, False), (3.0, True), (40.0, True))
_MOST_OPERATIONS = 12  # of what sympy is asked to evaluate
_LARGEST = 10_000  # exponents, and arguments of factorials


class Undefined(ArithmeticError):
    """The expression has no value here, or its value costs too much."""


class Opaque(TypeError):
    """An expression without any value, such as an open integral."""


@functools.cache
def _mp() -> Any:
    import mpmath

    context = mpmath.MPContext()
    context.dps = DIGITS
    return context


_FUNCTIONS = {
    "Abs": "fabs", "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc",
    "asin": "asin", "acos": "acos", "atan": "atan", "acot": "acot", "asec": "asec", "acsc": "acsc",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "coth": "coth", "sech": "sech", "csch": "csch",
    "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "exp": "exp", "factorial": "factorial",
    "gamma": "gamma", "floor": "floor", "ceiling": "ceil", "sign": "sign", "re": "re", "im": "im",
    "conjugate": "conj", "arg": "arg", "erf": "erf", "binomial": "binomial", "atan2": "atan2",
    "zeta": "zeta",
}  # fmt: skip


def opaque(expression: Any) -> bool:
    """Whether a part is known only by its name: a derivative, or an undefined function."""
    import sympy

    return isinstance(expression, sympy.Derivative | sympy.core.function.AppliedUndef)


def symbols(expression: Any) -> set[str]:
    """Return the names that need values."""
    import sympy

    if isinstance(expression, sympy.Symbol):
        return {expression.name}
    if opaque(expression):
        return {str(expression)}
    if isinstance(expression, sympy.concrete.expr_with_limits.ExprWithLimits | sympy.Limit):
        return {str(symbol) for symbol in expression.free_symbols}
    return set().union(*map(symbols, getattr(expression, "args", ())))


def value(expression: Any, point: Mapping[str, Any], *, real: bool) -> Any:
    """Value at a point, an ``mpf``, or an ``mpc`` where ``real`` is off.

    Raises:
        Undefined: there is no value, or it is not real and should be.
        Opaque: it cannot be computed at any point.
    """
    import sympy

    mp = _mp()
    inner = functools.partial(value, point=point, real=real)
    if isinstance(expression, sympy.Symbol):
        return point[expression.name]
    if opaque(expression):
        return point[str(expression)]
    if isinstance(expression, sympy.Rational):
        return mp.mpf(expression.p) / expression.q
    if isinstance(expression, sympy.Float):
        return mp.mpf(str(expression))
    if expression is sympy.I:
        if real:
            raise Undefined
        return mp.mpc(0, 1)
    if isinstance(expression, sympy.NumberSymbol):
        return mp.mpf(expression.evalf(DIGITS + 5)._mpf_)
    if isinstance(expression, sympy.Add):
        return mp.fsum(map(inner, expression.args))
    if isinstance(expression, sympy.Mul):
        return mp.fprod(map(inner, expression.args))
    if isinstance(expression, sympy.Pow):
        return _power(inner(expression.base), expression.exp, inner, real=real)
    if isinstance(expression, sympy.log):
        base = inner(expression.args[1]) if len(expression.args) > 1 else None
        of = inner(expression.args[0])
        if of == 0 or base in (0, 1):
            raise Undefined
        return _checked(mp.log(of) if base is None else mp.log(of) / mp.log(base), real=real)
    if isinstance(expression, sympy.Max | sympy.Min):
        values = [inner(part) for part in expression.args]
        return (max if isinstance(expression, sympy.Max) else min)(values)
    if isinstance(expression, sympy.UnevaluatedExpr):
        return inner(expression.args[0])
    name = _FUNCTIONS.get(type(expression).__name__)
    if name is None or not isinstance(expression, sympy.Function):
        return _by_sympy(expression)
    arguments = [inner(part) for part in expression.args]
    if name in ("factorial", "gamma", "binomial") and any(abs(x) > _LARGEST for x in arguments):
        raise Undefined
    return _checked(getattr(mp, name)(*arguments), real=real)


def _by_sympy(expression: Any) -> Any:
    """Let sympy evaluate what stands for one number: a definite integral, a small limit or sum."""
    import sympy

    if not isinstance(expression, sympy.Expr) or expression.free_symbols:
        raise Opaque
    if not isinstance(expression, sympy.Integral):
        if expression.count_ops() > _MOST_OPERATIONS:
            raise Opaque
        expression = expression.doit()
    number = expression.evalf(15)
    if not number.is_Float and not number.is_Integer:
        raise Opaque
    return _mp().mpf(str(number))


def _checked(number: Any, *, real: bool) -> Any:
    mp = _mp()
    if mp.isnan(number) or mp.isinf(number):
        raise Undefined
    if real and isinstance(number, mp.mpc):
        if abs(number.imag) > ZERO:
            raise Undefined
        return number.real
    return number


def _power(base: Any, exponent: Any, inner: Callable[[Any], Any], *, real: bool) -> Any:
    import sympy

    mp = _mp()
    power = inner(exponent)
    if abs(power) > _LARGEST or (base == 0 and not power > 0):
        raise Undefined
    whole = isinstance(power, mp.mpf) and power == mp.floor(power)
    if real and base < 0 and not whole:
        if not isinstance(exponent, sympy.Rational) or exponent.q % 2 == 0:
            raise Undefined
        return (-1) ** (exponent.p % 2) * mp.power(-base, power)
    return _checked(mp.power(base, int(power) if whole else power), real=real)


def _keys(names: list[set[str]]) -> dict[str, str]:
    """The variable that each name stands for: ``A`` and ``a`` are one, unless both occur."""
    every = set().union(*names)
    if any(len({name.casefold() for name in own}) < len(own) for own in names):
        return {name: name for name in every}
    return {name: name.casefold() for name in every}


def _points(keys: Iterable[str]) -> Iterable[dict[str, Any]]:
    mp, names = _mp(), sorted(set(keys))
    for number, (size, mixed) in enumerate(_POINTS):
        point = {}
        for name in names:
            draw = zlib.crc32(f"{name} {number}".encode()) / 2**32
            sign = -1 if mixed and zlib.crc32(f"{number} {name}".encode()) % 2 else 1
            point[name] = mp.mpf(sign * size * (0.3 + draw))
        if mixed and all(value > 0 for value in point.values()) and names:
            point[names[number % len(names)]] *= -1
        yield point
    for number in range(2, 6):  # (-1)^n has real values at whole numbers only
        yield {name: mp.mpf(number + 2 * place) for place, name in enumerate(names)}


def same_value(left: Any, right: Any, same: float = SAME) -> bool:
    """Whether two values agree to a part in ``1 / same``."""
    return bool(abs(left - right) <= same * max(abs(left), abs(right)) + ZERO**2)


def values(expressions: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the values of all expressions at each point at which all have one.

    Values are real if there are such points, else complex.

    Raises:
        Opaque: one of the expressions has no values.
    """
    keys = _keys([symbols(part) for part in expressions])
    imaginary = "i" in keys and not keys.keys() & {"j", "k"}  # beside j and k it is a vector
    for real in (False,) if imaginary else (True, False):
        found = False
        for drawn in _points(keys.values()) if keys else [{}]:
            point = {name: drawn[key] for name, key in keys.items()}
            if imaginary:
                point["i"] = _mp().mpc(0, 1)
            with contextlib.suppress(ArithmeticError, ValueError):
                at_point = [value(part, point, real=real) for part in expressions]
                found = True
                yield at_point
        if found:
            return


def agree(left: Any, right: Any) -> bool:
    """Whether two expressions have the same value at every point, and have a value at one at least.

    ``A`` and ``a`` are one variable, unless one of the expressions has both.

    Raises:
        Opaque: one of them has no values.
    """
    import sympy

    if isinstance(left, sympy.Rational) and isinstance(right, sympy.Rational):
        return bool(left == right)
    constant = (
        not any(map(symbols, (left, right)))
        and not left.has(sympy.Float)
        and not right.has(sympy.Float)
    )
    same = SAME**2 if constant else SAME
    compared = 0
    for one, other in itertools.islice(values([left, right]), len(_POINTS)):
        if not same_value(one, other, same):
            return False
        compared += 1
    return compared > 0


def number_of(expression: Any) -> Fraction | None:
    """Value of a real expression without variables, to about 36 digits; ``None`` if it has none."""
    import sympy

    if symbols(expression):
        return None
    if isinstance(expression, sympy.Rational):
        return Fraction(int(expression.p), int(expression.q))
    try:
        number = next(values([expression]))[0]
        return None if isinstance(number, _mp().mpc) else Fraction(_mp().nstr(number, DIGITS - 3))
    except (Opaque, StopIteration, ValueError, ArithmeticError):
        return None
