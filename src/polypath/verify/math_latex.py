r"""Read the expressions that most answers consist of: numbers, letters, powers, roots, fractions, functions.

The library's grammar reads far more, at 10 to 60 ms for an expression with a power in it. This reader takes
0.04 to 0.6 ms. It raises ``Unread`` for whatever it is not sure about, and then the library reads the
expression.
Where both read an expression they agree, with these exceptions: decimals are exact here, ``x(x+1)`` is a
product (the library takes every letter before a bracket for a function), and letters keep their case.
"""

import re
from typing import Any

_TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+|\\[A-Za-z]+|[A-Za-z]|[-+*/^_()\[\]{}|!&=,⏎])")
_GREEK = frozenset(
    re.findall(
        r"\w+",
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho"
        " sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi"
        " Omega ell hbar",
    )
)
CIRCULAR = ("sin", "cos", "tan", "cot", "sec", "csc")
_FUNCTIONS = {
    **{name: name for name in (*CIRCULAR, "sinh", "cosh", "tanh", "coth", "exp")},
    **{f"arc{name}": f"a{name}" for name in CIRCULAR},
}
_FACES = frozenset(["mathbf", "mathrm", "boldsymbol", "mathit", "text", "bm"])
_ACCENTS = frozenset(["hat", "bar", "vec", "tilde", "overline", "overrightarrow", "dot", "ddot"])
_CALLED = frozenset("fghFGH")  # letters that are functions before any bracket
_TIMES = frozenset(["*", "\\cdot", "\\times"])
_OVER = frozenset(["/", "\\div"])
_MOST_POWER = 1_000
_MOST_BITS = 20_000
_MOST_TERMS = 200  # of a sum that is added up
_GRIDS = frozenset(["matrix", "pmatrix", "bmatrix", "array", "smallmatrix", "vmatrix"])


class Unread(ValueError):
    """This reader is not sure what the text means."""


def read(text: str) -> Any:
    """Return the expression of a text.

    Raises:
        Unread: if it holds anything else than this reader knows.
    """
    import sympy

    tokens, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise Unread
        tokens.append(match[1])
        place = match.end()
    reader = _Reader(tokens)
    try:
        found = reader.sum()
    except Unread:
        raise
    except (
        ArithmeticError,
        AttributeError,
        IndexError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise Unread from error  # what sympy cannot combine: a matrix and a number
    if reader.place < len(tokens) or found.has(sympy.nan, sympy.zoo):
        raise Unread
    return found


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = [*tokens, ""]
        self.place = 0
        self.in_function = 0  # 30 degrees are pi/6 there, and 30 elsewhere

    @property
    def next(self) -> str:
        return self.tokens[self.place]

    def take(self, *wanted: str) -> str:
        token = self.next
        if not token or (wanted and token not in wanted):
            raise Unread
        self.place += 1
        return token

    def sum(self) -> Any:
        found = self.product()
        while self.next in ("+", "-"):
            found = found + self.product() if self.take() == "+" else found - self.product()
        return found

    def product(self) -> Any:
        found = self.signed()
        while self.next in _TIMES or self.next in _OVER:
            times = self.take() in _TIMES
            found = found * self.signed() if times else _ratio(found, self.signed())
        return found

    def signed(self) -> Any:
        if self.next in ("+", "-"):
            return self.signed() if self.take() == "+" else -self.signed()
        return self.run()

    def _begins(self) -> bool:
        token = self.next
        closing = token in (*")]}|&=,⏎", "\\end") or token in _TIMES or token in _OVER
        return bool(token) and not closing and token not in ("+", "-", "^", "_", "!")

    def run(self, *, argument: bool = False) -> Any:
        """Factors next to one another, which bind closer than a slash: ``1/2x`` is ``1/(2x)``."""
        found, after_number = None, False
        while found is None or self._begins():
            token = self.next
            if (
                argument
                and found is not None
                and (token in "([" or token[1:] in _FUNCTIONS or token == "\\ln")
            ):
                if token in "([":
                    raise Unread
                break
            if (
                token[0].isdigit()
                and found is not None
                and self.tokens[self.place - 1][0].isdigit()
            ):
                raise Unread
            factor = self.power()
            if after_number and token == "\\frac" and factor.is_Rational and not factor.is_Integer:
                found = found + factor
            else:
                found = factor if found is None else found * factor
            after_number = token[0].isdigit()
        return found

    def power(self) -> Any:
        import sympy

        found = self.atom()
        while True:
            if self.next == "!":
                self.take()
                if found.is_number and (not found.is_Integer or not 0 <= found <= 300):
                    raise Unread
                found = sympy.factorial(found)
            elif self.next == "^":
                self.take()
                if (degree := self._degree()) > 0:
                    self.place += degree
                    found = found * sympy.pi / 180 if self.in_function else found
                else:
                    found = _power(found, self.exponent())
            else:
                return found

    def _degree(self) -> int:
        """How many tokens the sign of degrees takes here; 0 for none."""
        for sign in (["\\circ"], ["{", "\\circ", "}"]):
            if self.tokens[self.place : self.place + len(sign)] == sign:
                return len(sign)
        return 0

    def exponent(self) -> Any:
        token = self.next
        if token == "{":
            return self.braces()
        if token[0] in "-+" or (token[0].isdigit() and len(token) > 1):
            raise Unread
        return self.atom()

    def braces(self) -> Any:
        self.take("{")
        found = self.sum()
        self.take("}")
        return found

    def atom(self) -> Any:
        import sympy

        token = self.take()
        if token[0].isdigit() or token[0] == ".":
            if self.next == "_":  # the base of 52_8
                self.take()
                self.index()
            return sympy.Rational(token.rstrip("."))
        if token in ("(", "[", "{"):
            found = self.sum()
            self.take({"(": ")", "[": "]", "{": "}"}[token])
            return found
        if token == "|":
            found = self.sum()
            self.take("|")
            return found.det() if isinstance(found, sympy.MatrixBase) else sympy.Abs(found)
        if token == "\\begin":
            return self.grid()
        if token in ("\\sum", "\\prod"):
            return self.series(token)
        if token == "\\frac":
            if self.tokens[self.place : self.place + 2] in (["{", "d"], ["{", "\\partial"]):
                return self.derivative()
            return _ratio(self.argument(), self.argument())
        if token == "\\binom":
            top, bottom = self.argument(), self.argument()
            if top.is_number and not abs(top) <= 300:
                raise Unread
            return sympy.binomial(top, bottom)
        if token == "\\sqrt":
            root = 2
            if self.next == "[":
                self.take()
                root = self.sum()
                self.take("]")
            return _power(self.argument(), 1 / sympy.sympify(root))
        if token in ("\\pi", "\\infty"):
            return sympy.pi if token == "\\pi" else sympy.oo
        if token[1:] in _FUNCTIONS or token in ("\\ln", "\\log"):
            return self.function(token[1:])
        return self.symbol(token)

    def grid(self) -> Any:
        import sympy

        name = self.index()
        if name[1:-1] not in _GRIDS:
            raise Unread
        if name == "{array}":
            self.index()  # how columns are aligned
        rows: list[list[Any]] = [[]]
        while self.next != "\\end":
            rows[-1].append(self.sum())
            if self.next == "⏎":
                self.take()
                rows.append([])
            elif self.next != "\\end":
                self.take("&")
        self.take()
        self.index()
        found = sympy.ImmutableMatrix([row for row in rows if row])
        return found.det() if name == "{vmatrix}" else found

    def series(self, token: str) -> Any:
        """A sum or a product: added up if it is short, else known by its terms and bounds."""
        import sympy

        self.take("_")
        self.take("{")
        variable = self.atom()
        self.take("=")
        first = self.sum()
        self.take("}")
        self.take("^")
        last = self.infinity() or self.exponent()
        body = self.product()
        short = first.is_Integer and last.is_Integer and 0 <= last - first <= _MOST_TERMS
        if not variable.is_Symbol or not isinstance(body, sympy.Expr):
            raise Unread
        if short:
            terms = [body.subs(variable, place) for place in range(int(first), int(last) + 1)]
            return sympy.Add(*terms) if token == "\\sum" else sympy.Mul(*terms)
        body = body.subs(variable, sympy.Symbol("index"))
        return sympy.Function(token[1:])(body, first, last)

    def infinity(self) -> Any:
        import sympy

        for text in (["{", "\\infty", "}"], ["\\infty"]):
            if self.tokens[self.place : self.place + len(text)] == text:
                self.place += len(text)
                return sympy.Symbol("infinity")
        return None

    def derivative(self) -> Any:
        """A derivative, known by its function, its variable and its order."""
        import sympy

        orders, parts = [], []
        for _ in range(2):
            self.take("{")
            self.take("d", "\\partial")
            order = self._order()
            parts.append(self.atom())
            orders.append(order + self._order())
            self.take("}")
        return sympy.Function(f"d{orders[0]}_{parts[1]}{orders[1]}")(parts[0])

    def _order(self) -> str:
        return str(self.exponent()) if self.next == "^" and self.take() else ""

    def argument(self) -> Any:
        """The argument of a command: in braces, or one digit or letter."""
        if self.next == "{":
            return self.braces()
        if len(self.next) > 1 and self.next[0] != "\\":
            raise Unread  # \frac12 is read from its characters by the library
        return self.atom()

    def symbol(self, token: str) -> Any:
        import sympy

        name = token.lstrip("\\")
        if token[0] == "\\" and (name in _FACES or name in _ACCENTS):
            self.take("{")
            letter = self.take()
            self.take("}")
            if len(letter) > 1 and letter[1:] not in _GREEK:
                raise Unread
            letter = letter.lstrip("\\")
            name = letter if name in _FACES else f"{name}{{{letter}}}"
        elif token[0] == "\\" and name not in _GREEK:
            raise Unread
        if self.next == "_":
            self.take()
            name += "_" + self.index()
        elif name == "e":
            return sympy.E
        if self.next == "(":
            return self.called(name)
        if self.tokens[self.place : self.place + 5] == ["^", "{", "-", "1", "}"] and (
            self.tokens[self.place + 5] == "("
        ):
            raise Unread  # an inverse function
        return sympy.Symbol(name)

    def called(self, name: str) -> Any:
        import sympy

        self.take("(")
        inner = self.sum()
        if self.next == ",":
            rest = [inner]
            while self.next == "," and self.take():
                rest.append(self.sum())
            self.take(")")
            return sympy.Function(name)(*rest)
        self.take(")")
        # x(x+1) is a product, but A(6), x(t) and p_Z(1) are values of functions.
        if name[0] in _CALLED or inner.is_Symbol or inner.is_number:
            return sympy.Function(name)(inner)
        if self.next == "^":
            inner = self._raised(inner)
        return sympy.Symbol(name) * inner

    def _raised(self, base: Any) -> Any:
        self.take("^")
        return _power(base, self.exponent())

    def index(self) -> str:
        """The text of an index, or of the name of an environment."""
        if self.next != "{":
            return self.take().lstrip("\\")
        depth = 0
        parts: list[str] = []
        while True:
            token = self.take()
            depth += (token == "{") - (token == "}")
            if depth == 0:
                inner = "".join(parts[1:])
                return inner if len(inner) == 1 else f"{{{inner}}}"
            parts.append(token)

    def function(self, name: str) -> Any:
        import sympy

        base = sympy.Integer(10) if name == "log" else None
        power = None
        for _ in range(2):
            if self.next == "^":
                self.take()
                power = self.exponent()
            elif self.next == "_" and name == "log":
                self.take()
                base = self.exponent()
        self.in_function += 1
        bracket = self.next in ("(", "[", "{")
        inner = self.atom() if bracket else self.run(argument=True)
        self.in_function -= 1
        if not bracket and self.next == "(":
            raise Unread
        if name in ("ln", "log"):
            found = sympy.log(inner) if base is None else sympy.log(inner, base)
        elif power == -1:
            return getattr(sympy, f"a{_FUNCTIONS[name]}", _unread)(inner)
        else:
            found = getattr(sympy, _FUNCTIONS[name])(inner)
        return found if power is None else _power(found, power)


def _unread(_: Any) -> Any:
    raise Unread


def _ratio(top: Any, bottom: Any) -> Any:
    if bottom.is_zero:
        raise Unread
    return top / bottom


def _power(base: Any, exponent: Any) -> Any:
    """Raise, unless that is a number nobody wants to write down, or a matrix."""
    import sympy

    if isinstance(base, sympy.MatrixBase) or isinstance(exponent, sympy.MatrixBase):
        raise Unread
    if base.is_number and exponent.is_number and not abs(exponent) <= _MOST_POWER:
        raise Unread
    if base.is_Rational and exponent.is_Rational:
        bits = int(base.p).bit_length() + int(base.q).bit_length()
        if bits * abs(exponent) > _MOST_BITS:
            raise Unread
    return base**exponent
