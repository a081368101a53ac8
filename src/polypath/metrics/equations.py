r"""What counts as an equation in a worked text, and how equations are normalised for comparison.

The papers that report "distinct equations" give no rule. This is ours, in this order:

1. GSM8K calculator notes ``<<48/2=24>>``.
2. LaTeX spans: ``\[ \]``, ``$$ $$``, ``\( \)``, ``$ $`` and the bodies of ``equation``, ``align``,
   ``gather`` and their kin. Rows of aligned spans are separate equations, and a row that starts with
   "=" inherits the left side of the row before. A single ``$`` opens a formula only if its inner
   sides both touch the formula or both have a space, and no digit follows the closing one, so
   that prices ("from $5 to $8") are not read as a formula.
3. In the remaining text, runs of numbers, one-letter names, operators and brackets, such as
   ``3 x 4 = 12`` or ``x = 5 + 3 = 8``, with at least one digit. Currencies and units are dropped: at
   most four words after a number ("3 red apples", "60 km/h"), and one letter of ``hmsgLlNJWVKCF`` apart
   from it ("2 h"; "2h" is a product). A first side that is one number in another unit than the last
   side only names what is computed, or converts it, and is dropped as well.

A span without "=", or with nothing on one side of it, is not an equation. Nor are bare numbers
that differ ("1 hour = 60 minutes"), sums of times of day, dates and versions. A chain a = b = c is one
equation. ``5! = 120`` is one, and so is ``5!=120``, but not ``x != 5``. ``normalise_equation`` is applied
last. Time grows linearly with the text, whatever it holds.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from polypath.metrics.equation_runs import improper, plain_equations

_ALIGNED = r"(?:equation|align|aligned|alignat|gather|gathered|multline|eqnarray|flalign|split)\*?"
_NOTE = re.compile(r"<<([^<>\n]*+)>>")
# Possessive quantifiers, and no content past the next opening, so an unclosed span costs no more.
# Each alternative begins with its sign, which is far faster to search than a lookbehind.
_SPAN = re.compile(
    rf"""
      \\(?<!\\\\)\[(?P<display>(?:[^\\]|\\[^\[\]])*+)\\\]
    | \\(?<!\\\\)\((?P<inline>(?:[^\\]|\\[^()])*+)\\\)
    | \\begin\{{{_ALIGNED}\}}(?P<body>(?:[^\\]|\\(?!(?:begin|end)\{{{_ALIGNED}\}}))*+)
      \\end\{{{_ALIGNED}\}}
    | \$(?<!\\\$)\$(?P<dollars>(?:[^$\\]|\\.)*+)\$\$
    | \$(?<!\\\$)(?P<dollar>(?:[^$\\\n\x00]|\\.|\n(?!\n))++)\$(?!\d)
    """,
    re.VERBOSE | re.DOTALL,
)
_INNER = re.compile(
    r"\\begin\{(?:[pbvVB]?matrix|smallmatrix|array|cases)\}(?:[^\\]|\\(?!begin\{|end\{))*+\\end\{"
)
_ROW_END = re.compile(
    r"\\\\(?:\[[^\]\n]*\])?"
    r"|\\text\{[\s,]*(?:and|because|hence|if|or|since|so|then|thus|when|where|with)?[\s,]*\}"
)
_ALIGNED_TAG = re.compile(rf"\\(?:begin|end)\{{{_ALIGNED}\}}(?:\{{\d+\}})?")
# n!=2 holds a factorial: what is not equal was marked before its spaces went.
_EQUALS_OR_BRACE = re.compile(r"(?<![<>:=])(?<![^\w)}]!)=(?!=)|[{}]")
_UNEQUAL = re.compile(r"(?<=\s)!=|(?<=[^\W\d_])!=(?![^=!]*!)")

_IN_BRACES = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*+\})*+\})*+)\}"
_TEXT = r"\\(?:text|textrm|mathrm|mbox)\s*\{"
_GAP = r"(?:\\[,;:! ]|[\s~])*+"
_UNIT = rf"{_GAP}{_TEXT}[^{{}}]*+\}}(?:\^\{{?-?\d\}}?)?(?:\s*/(?=\s*{_TEXT}))?"
_FRACTION = re.compile(r"\\frac(?:\{([^{}]*)\}\{([^{}]*)\}|\s*(\d)\s*(\d))")
_MIXED = re.compile(r"(?<![\w.)}])(\d+)\s*\\frac\{(\d+)\}\{(\d+)\}")
_MOST_FRACTIONS = 5  # nested
_LATEX = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (rf"{_TEXT}\s*(?:of|times)\s*\}}", "*"),
        (rf"(?<=[\d)}}%!])(?:{_UNIT})++", ""),
        (r"\\[,;:! ]|\\q?quad(?![A-Za-z])", ""),
        (r"\\(?:left|right|displaystyle|textstyle|limits|[bB]igg?[lr]?)(?![A-Za-z])", ""),
        (r"\\(?:text|textbf|textit|mathrm|mathbf|boxed|operatorname)" + _IN_BRACES, r"\1"),
        (r"\\[dt]frac", r"\\frac"),
        (r"\\(?:cdot|times|ast)(?![A-Za-z])", "*"),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\(?=[$€£%])", ""),
        (r"(?<=\d)\{,\}(?=\d{3}(?!\d))", ""),
    ]
]
_WORDS = re.compile(
    r"(?<=\d)\s+(?!(?:and|mod|or)\b)[a-z]{2,}(?:\s[a-z]{2,}){0,3}(?:/[a-z]+)?(?=\s*(?:[-+*/=^),.;×÷·−]|$))"
)
_ATOM = re.compile(r"[\w.!%]+|\\[A-Za-z]+|\([^()]*\)")
_SIGNS = str.maketrans("×·⋅∙∗÷∕−–", "*****//--", "~&$€£¥₹")
_LONE = re.compile(r"([-+]?(?:\d{1,60}(?:\.\d{0,60})?|\.\d{1,60}))(%?)")
_COLON = re.compile(r"\d:\d")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def extract_equations(text: str) -> list[str]:
    r"""List the equations of a response, normalised, with repeats, in no particular order.

    >>> extract_equations(r"So $x = 2\cdot 3$, and then 6 + 1 = 7. She pays $5 + $2 = $7.")
    ['x=2*3', '6+1=7', '5+2=7']
    """
    if "=" not in text:
        return []
    rows = []
    if "<<" in text:
        rows = _NOTE.findall(text)
        # The mark keeps "48/2 = <<48/2=24>>24" from being found again as plain text.
        text = _NOTE.sub("\x00", text)

    def take(match: re.Match[str]) -> str:
        content = match[match.lastgroup or 0]
        if match.lastgroup == "dollar" and content[0].isspace() != content[-1].isspace():
            return match.group()
        rows.extend(_rows(content))
        return "\n"

    rest = _SPAN.sub(take, text)
    found = map(_equation, (*rows, *plain_equations(_without_latex(rest))))
    return [equation for equation in found if equation is not None]


@lru_cache(maxsize=1 << 14)  # the samples of a problem repeat each other
def _equation(row: str) -> str | None:
    """Return an equation in its normal form; None for anything else."""
    equation = normalise_equation(row)
    return equation if _is_equation(equation) else None


def normalise_equation(equation: str) -> str:
    r"""Normalise an equation: two that read the same become equal strings.

    Dropped: white space and LaTeX spaces, ``&``, ``\left``, ``\right`` and other sizes, currency signs,
    units (``\text``, ``\mathrm`` or words after a value), other ``\text``, ``\mathrm``, ``\boxed`` (their
    content stays), commas between thousands, and ``.,;:`` at the end. Unified: ``\frac{a}{b}`` to
    ``a/b``, mixed numbers to one fraction; ``\cdot``, ``\times``, × and · to ``*``; ``\div`` and ÷ to
    ``/``; all minus signs to ``-``; ``**`` to ``^``.

    Nothing else is computed: 2+3=5 and 3+2=5 stay two equations.
    """
    equation = _UNEQUAL.sub("≠", _without_latex(equation))
    equation = "".join(_WORDS.sub("", equation).split()).translate(_SIGNS).replace("**", "^")
    return _THOUSANDS.sub("", equation).strip(".,;:")


def _without_latex(text: str) -> str:
    if "\\" not in text:
        return text
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    text = _MIXED.sub(lambda found: improper(*found.groups()), text)
    for _ in range(_MOST_FRACTIONS):
        text = _FRACTION.sub(_ratio, text)
    return text


def _ratio(match: re.Match[str]) -> str:
    """Write a fraction with a slash, with brackets where it would otherwise be misread."""
    top, bottom = (
        side.strip() for side in (match[1] or match[3] or "", match[2] or match[4] or "")
    )
    ratio = "/".join(side if _ATOM.fullmatch(side) else f"({side})" for side in (top, bottom))
    before = match.string[max(0, match.start() - 3) : match.start()].strip()[-1:]
    after = match.string[match.end() : match.end() + 3].strip()[:1]
    alone = not re.fullmatch(r"[\w.)}/^]", before) and not re.fullmatch(r"[\w({^!\\]", after)
    return ratio if alone else f"({ratio})"


def _is_equation(text: str) -> bool:
    sides = _sides(text)
    if len(sides) < 2 or not all(sides):
        return False
    if _COLON.search(text) and re.search(r"[-+]", text):
        return False  # times of day: nobody adds ratios
    numbers = [_LONE.fullmatch(side) for side in sides]
    if None in numbers:
        return True
    return len({Fraction(n[1]) / (100 if n[2] else 1) for n in numbers if n is not None}) == 1


def _sides(text: str) -> list[str]:
    """Split at equals signs outside braces; the one in a sum's ``_{i=1}`` is not a relation."""
    sides: list[str] = []
    start = depth = 0
    for match in _EQUALS_OR_BRACE.finditer(text):
        sign = match.group()
        if sign == "=" and not depth:
            sides.append(text[start : match.start()])
            start = match.end()
        depth += (sign == "{") - (sign == "}" and depth > 0)
    return [*sides, text[start:]]


def _rows(span: str) -> Iterator[str]:
    """Split an aligned span into equations; one without rows is one equation."""
    if "\\" not in span:
        yield span.replace("&", "").strip()
        return
    span = _INNER.sub(lambda m: m.group().replace("\\\\", ";").replace("&", ","), span)
    left = ""
    for row in _ROW_END.split(_ALIGNED_TAG.sub("", span)):
        bare = row.replace("&", "").strip()
        if bare.startswith("="):
            yield left + bare
        else:
            left = _sides(bare)[0]
            yield bare
