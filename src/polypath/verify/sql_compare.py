"""Whether two query results are the same, by three rules, and how much of a wrong one is right.

All rules compare values as Python does (``1 == 1.0``, ``NULL`` equals ``NULL``, text by the letter,
text never equals a blob or a number). Floats are first rounded to ``FLOAT_DIGITS`` significant digits:
the order in which a query plan adds floats is not the model's mistake.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

Compare = Literal["bird", "spider", "strict"]
Value = int | float | str | bytes | None
Row = tuple[Value, ...]

COMPARISONS: tuple[Compare, ...] = get_args(Compare)
FLOAT_DIGITS = 12
# Most search steps of the column matching; each takes time linear in the rows. Results that need
# more have many columns with equal values in a different order; they count as different.
MAX_MATCH_CELLS = 2_000_000

_ORDER_BY = re.compile(r"\border\s+by\b", re.IGNORECASE)


def rounded(value: float) -> float:
    """Round to ``FLOAT_DIGITS`` significant digits.

    >>> rounded(0.1 + 0.2)
    0.3
    """
    return float(f"{value:.{FLOAT_DIGITS}g}")


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """The result of a query.

    Attributes:
        width: number of columns.
        rows: the rows in the order SQLite gave them, floats rounded by ``rounded``.
        size: approximate bytes of the rows.
    """

    width: int
    rows: list[Row] = field(repr=False)
    size: int = 0

    @cached_property
    def row_set(self) -> frozenset[Row]:
        """The distinct rows."""
        return frozenset(self.rows)

    @cached_property
    def row_counts(self) -> Counter[Row]:
        """How often each row occurs."""
        return Counter(self.rows)

    @cached_property
    def columns(self) -> list[Row]:
        """The columns, each as the values of all rows in order."""
        return [*zip(*self.rows, strict=True)] if self.rows else [()] * self.width

    @cached_property
    def column_bags(self) -> list[frozenset[tuple[Value, int]]]:
        """The values of each column with their counts, in no order."""
        return [frozenset(Counter(column).items()) for column in self.columns]

    @cached_property
    def column_sets(self) -> list[frozenset[Value]]:
        """The distinct values of each column."""
        return [frozenset(column) for column in self.columns]


def has_order_by(query: str) -> bool:
    """Whether ``ORDER BY`` is written anywhere: by Spider's evaluation order then counts.

    The official script looks for the two words with one space between; here any white space
    will do.
    """
    return _ORDER_BY.search(query) is not None


def same_result(gold: QueryResult, answer: QueryResult, compare: Compare, *, ordered: bool) -> bool:
    """Say whether a result is the gold result.

    Args:
        gold: what the gold query returned.
        answer: what the query to verify returned.
        compare: the rule.

            - ``"bird"``: the sets of rows are equal; duplicates and order never count.
            - ``"spider"``: the rows are equal as multisets (as lists if ``ordered``) after some
              permutation of the columns. Two empty results are equal whatever their columns.
            - ``"strict"``: the same number of columns, in the same order, and the rows are equal
              as multisets (as lists if ``ordered``).
        ordered: whether the order of rows counts; ``"bird"`` ignores it.
    """
    if compare == "bird":
        return gold.row_set == answer.row_set
    if compare == "spider" and not gold.rows and not answer.rows:
        return True
    if gold.width != answer.width or len(gold.rows) != len(answer.rows):
        return False
    if gold.rows == answer.rows:
        return True
    if compare == "strict":
        return not ordered and gold.row_counts == answer.row_counts
    if ordered:
        # Some permutation makes the lists equal exactly if the columns are the same multiset.
        return Counter(gold.columns) == Counter(answer.columns)
    return gold.row_counts == answer.row_counts or _permuted(gold, answer)


def column_overlap(gold: QueryResult, answer: QueryResult) -> float:
    """Return the share of columns with the right values: ``c^2 / (gold columns * columns)``.

    ``c`` is the number of gold columns for which a column of the answer holds the same set of
    values. In [0, 1]. In DPH-RL's scorer one column of an answer may stand for several equal gold
    columns, which lets the share exceed 1; here each stands for one.
    """
    if not gold.width or not answer.width:
        return 0.0
    matched = (Counter(gold.column_sets) & Counter(answer.column_sets)).total()
    return matched**2 / (gold.width * answer.width)


def _permuted(gold: QueryResult, answer: QueryResult) -> bool:
    """Whether some permutation of the answer's columns gives the gold rows as a multiset."""
    if gold.width == 1 or Counter(gold.column_bags) != Counter(answer.column_bags):
        return False
    candidates = [
        [place for place, bag in enumerate(answer.column_bags) if bag == wanted]
        for wanted in gold.column_bags
    ]
    # Columns with few candidates first: they fix which rows belong together.
    order = sorted(range(gold.width), key=lambda place: len(candidates[place]))
    cells = 0

    def fits(depth: int, gold_ids: list[int], answer_ids: list[int], used: set[int]) -> bool:
        """Whether ``order[depth:]`` can be matched; depth first, one gold column after another.

        Rows that agree in the columns assigned so far share one number, the same on both sides. A
        branch ends as soon as the two multisets of numbers differ.
        """
        nonlocal cells
        if depth == len(order):
            return True
        numbers: dict[tuple[int, Value], int] = {}
        wanted = zip(gold_ids, gold.columns[order[depth]], strict=True)
        finer = [numbers.setdefault(key, len(numbers)) for key in wanted]
        counts = Counter(finer)
        tried: set[Row] = set()
        for place in candidates[order[depth]]:
            column = answer.columns[place]
            if place in used or column in tried:
                continue
            tried.add(column)
            cells += len(finer)
            if cells > MAX_MATCH_CELLS:
                return False
            answer_finer = [numbers.get(key, -1) for key in zip(answer_ids, column, strict=True)]
            if Counter(answer_finer) == counts and fits(
                depth + 1, finer, answer_finer, used | {place}
            ):
                return True
        return False

    start = [0] * len(gold.rows)
    return fits(0, start, start, set())
