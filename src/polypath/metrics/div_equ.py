r"""Div-Equ: the share of a problem's equations that are different.

.. math:: \mathrm{Div\text{-}Equ} = \frac{1}{N} \sum_i \frac{|U_i|}{|A_i|}

over the different equations U and all equations A of the responses to problem i. Wu 2024, "Progress or
Regress? Self-Improvement Reversal in Post-training", arXiv:2407.05013, as used by "R1-zero-Div",
arXiv:2505.23433, which gives it times 100.

The papers that report "distinct equations" give no rule, so here is one, in this order:

1. GSM8K calculator notes ``<<48/2=24>>``.
2. LaTeX spans: ``\[ \]``, ``$$ $$``, ``\( \)``, ``$ $`` and the bodies of ``equation``, ``align``,
   ``gather`` and their kin. Rows of aligned spans are separate equations, and a row that starts with
   "=" takes over the left side of the row before. A single ``$`` opens a formula only if its inner
   sides both touch the formula or both have a space, and no digit follows the closing one, so
   that prices ("from $5 to $8") are no formula.
3. In the text that is left, runs of numbers, one-letter names, operators and brackets, such as
   ``3 x 4 = 12`` or ``x = 5 + 3 = 8``, with at least one digit.

A span without "=", or with nothing on one side of it, is no equation. A chain a = b = c is one
equation. Then ``normalise_equation``. Time grows linearly with the text, whatever it holds.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polypath.errors import ConfigError
from polypath.metrics.equal_k import expected_distinct
from polypath.metrics.pass_at_k import FloatArray

_ALIGNED = r"(?:equation|align|aligned|alignat|gather|gathered|multline|eqnarray|flalign|split)\*?"
_NOTE = re.compile(r"<<([^<>\n]*+)>>")
# Possessive quantifiers, and no content runs past the next opening: an unclosed span costs no more.
_SPAN = re.compile(
    rf"""
      (?<!\\)\\\[(?P<display>(?:[^\\]|\\[^\[\]])*+)\\\]
    | (?<!\\)\\\((?P<inline>(?:[^\\]|\\[^()])*+)\\\)
    | \\begin\{{{_ALIGNED}\}}(?P<body>(?:[^\\]|\\(?!(?:begin|end)\{{{_ALIGNED}\}}))*+)
      \\end\{{{_ALIGNED}\}}
    | (?<!\\)\$\$(?P<dollars>(?:[^$\\]|\\.)*+)\$\$
    | (?<!\\)\$(?P<dollar>(?:[^$\\\n\x00]|\\.|\n(?!\n))++)\$(?!\d)
    """,
    re.VERBOSE | re.DOTALL,
)
_INNER = re.compile(
    r"\\begin\{(?:[pbvVB]?matrix|smallmatrix|array|cases)\}(?:[^\\]|\\(?!begin\{|end\{))*+\\end\{"
)
_ROW_END = re.compile(r"\\\\(?:\[[^\]\n]*\])?")
_ALIGNED_TAG = re.compile(rf"\\(?:begin|end)\{{{_ALIGNED}\}}(?:\{{\d+\}})?")
_EQUALS_OR_BRACE = re.compile(r"(?<![<>!:=])=(?!=)|[{}]")

_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+", re.MULTILINE)
_TOKEN = re.compile(
    r"(?P<times>(?<=[\d)%])[ ]*[xX][ ]*(?=[\d($]))|(?P<number>(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)%?)"
    r"|(?P<name>(?<![^\W\d_])[^\W\d_](?![^\W\d_]))|(?P<op>(?<=[\w)])\*\*(?=[\w(])|\*(?!\*)|[-+/^×÷−·])"
    r"|(?P<equals>=)|(?P<open>\()|(?P<close>\))|(?P<money>\\?[$€£](?=\d))|(?P<other>\S)"
)
_BREAK = re.compile(r"[^\W\d_]{2,}|\n")
_MOST_TRIMS = 20  # each costs the length of the run
_VALUES = ("number", "name", "close")

_IN_BRACES = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*+\})*+\})*+)\}"
_LATEX = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\[,;:! ]|\\q?quad(?![A-Za-z])", ""),
        (r"\\(?:left|right|displaystyle|textstyle|limits|[bB]igg?[lr]?)(?![A-Za-z])", ""),
        (r"\\(?:text|textbf|textit|mathrm|mathbf|boxed|operatorname)" + _IN_BRACES, r"\1"),
        (r"\\[dt]frac", r"\\frac"),
        (r"\\(?:cdot|times)(?![A-Za-z])", "*"),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\(?=[$€£%])", ""),
        (r"(?<=\d)\{,\}(?=\d{3}(?!\d))", ""),
    ]
]
_SIGNS = str.maketrans("×·⋅÷−–", "***/--", "~&$€£")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True, kw_only=True)
class DivEqu:
    """Div-Equ of a data set, with what each problem adds."""

    k: int | None  # responses it is for; None = all responses of each problem
    value: float  # mean of ``ratio_N`` over the problems that have one; NaN if none has
    # In (0, 1]; NaN without equations or with fewer than k responses. For ``bootstrap_mean``.
    ratio_N: FloatArray
    distinct_N: FloatArray  # different equations, expected in k responses
    total_N: FloatArray  # equations, expected in k responses
    without_equations: int  # problems skipped because no response holds an equation
    too_few_responses: int  # problems skipped because they have fewer than k responses


def div_equ(equations_N_S: Sequence[Sequence[Sequence[str]]], *, k: int | None = None) -> DivEqu:
    """Compute Div-Equ from the equations of every response.

    The ratio falls as responses are added, so values for different numbers do not compare. With k,
    it is the expected number of different equations in k of the responses by the expected number of
    equations, both exact. (A mean of ratios over draws would be slightly different.)

    Args:
        equations_N_S: per problem and response, ``extract_equations(response)``. For correct
            responses only, leave the others out.
        k: responses per problem, >= 1; None takes all there are.

    Returns:
        In (0, 1], higher = more diverse. A repeat within one response counts like one between two.

    Raises:
        ConfigError: k is below 1.

    Differs from the papers: they give no rule for what an equation is (ours is above), nor say
    what is done with problems that have none.
    """
    if k is not None and k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    size_N = np.array([len(responses) for responses in equations_N_S], dtype=np.int64)
    distinct_N, total_N = np.full((2, len(size_N)), np.nan)
    for i, responses in enumerate(equations_N_S):
        drawn = len(responses) if k is None else k
        if 1 <= drawn <= len(responses):
            having = Counter(equation for row in responses for equation in set(row))
            distinct_N[i] = expected_distinct(list(having.values()), len(responses), drawn)
            total_N[i] = sum(len(row) for row in responses) * drawn / len(responses)
    some_N = total_N > 0  # False for NaN
    ratio_N = np.where(some_N, distinct_N / np.where(some_N, total_N, 1.0), np.nan)
    return DivEqu(
        k=k,
        value=float(ratio_N[some_N].mean()) if some_N.any() else float("nan"),
        ratio_N=ratio_N,
        distinct_N=distinct_N,
        total_N=total_N,
        without_equations=int((total_N == 0).sum()),
        too_few_responses=int((size_N < (k or 1)).sum()),
    )


def extract_equations(text: str) -> list[str]:
    r"""List the equations of a response, normalised, with repeats, in no particular order.

    >>> extract_equations(r"So $x = 2\cdot 3$, and then 6 + 1 = 7. She pays $5 + $2 = $7.")
    ['x=2*3', '6+1=7', '5+2=7']
    """
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
    found = [normalise_equation(row) for row in (*rows, *_plain(rest))]
    return [equation for equation in found if _is_equation(equation)]


def normalise_equation(equation: str) -> str:
    r"""Write an equation in one way: two that read the same become equal strings.

    Dropped: white space and LaTeX spaces, ``&``, ``\left``, ``\right`` and other sizes, ``\text``,
    ``\mathrm``, ``\boxed`` (their content stays), currency signs, commas between thousands, and
    ``.,;:`` at the end. Unified: ``\dfrac`` and ``\tfrac`` to ``\frac``; ``\cdot``, ``\times``, × and
    · to ``*``; ``\div`` and ÷ to ``/``; all minus signs to ``-``; ``**`` to ``^``.

    Nothing is computed: 2+3=5 and 3+2=5 stay two equations.
    """
    if "\\" in equation:
        for pattern, replacement in _LATEX:
            equation = pattern.sub(replacement, equation)
    equation = "".join(equation.split()).translate(_SIGNS).replace("**", "^")
    return _THOUSANDS.sub("", equation).strip(".,;:")


def _is_equation(text: str) -> bool:
    sides = _sides(text)
    return len(sides) > 1 and all(sides)


def _sides(text: str) -> list[str]:
    """Split at the equals signs outside of braces; the one in a sum's ``_{i=1}`` is no relation."""
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
    span = _INNER.sub(lambda m: m.group().replace("\\\\", ";").replace("&", ","), span)
    left = ""
    for row in _ROW_END.split(_ALIGNED_TAG.sub("", span)):
        bare = row.replace("&", "").strip()
        if bare.startswith("="):
            yield left + bare
        else:
            left = _sides(bare)[0]
            yield bare


def _plain(text: str) -> Iterator[str]:
    """Find runs of numbers, one-letter names, operators and brackets that hold an equals sign."""
    # Words and line ends cannot be part of a run; most text goes here, fast.
    for piece in _BREAK.split(_BULLET.sub("", text)):
        if "=" in piece:
            yield from _runs(piece)


def _runs(piece: str) -> Iterator[str]:
    run: list[str] = []
    last, end = "", -1
    for match in _TOKEN.finditer(piece):
        kind = match.lastgroup or ""
        if kind == "money":
            continue
        # Two values side by side belong together only when they touch: 2x, but not "all 5 3+4=7".
        apart = kind in ("number", "name", "open") and last in _VALUES and match.start() != end
        if kind == "other" or apart:
            yield from _trim(run)
            run = []
        if kind != "other":
            run.append("*" if kind == "times" else match.group())
        last, end = kind, match.end()
    yield from _trim(run)


def _trim(run: list[str]) -> Iterator[str]:
    """Cut from both ends what belongs to the sentence and not to the equation."""
    if "=" not in run:
        return
    text = "".join(run)
    for _ in range(_MOST_TRIMS):
        before = text
        text = text.lstrip("+*/^×÷·=)").rstrip("+-*/^×÷−·=(")
        if text.count("(") > text.count(")") and text.startswith("("):
            text = text[1:]
        if text.count(")") > text.count("(") and text.endswith(")"):
            text = text[:-1]
        if text == before:
            break
    if any(character.isdigit() for character in text):
        yield text
