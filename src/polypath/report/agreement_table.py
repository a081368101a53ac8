"""What a similarity sees, as tables, sentences and JSON."""

import math
from collections.abc import Sequence
from typing import Any

from polypath.metrics import Interval, PairAgreement
from polypath.report.agreement import Chosen, SimilarityAgreement
from polypath.report.numbers import ends, number, with_ends
from polypath.report.records import plain
from polypath.report.table import Cell, Cells, ReportTable

COLUMNS = (
    "similarity",
    "AUC",
    "rank correlation",
    "pooled",
    "same solution",
    "different",
    "problems",
    "pairs: same",
    "different ",
)
NOTES = (
    "AUC: chance that a pair with the same solution is more similar than a pair of the same problem with "
    "different solutions; 0.5 is chance. Rank correlation: Spearman's, of similarity with 'same solution', "
    "within problems and over all pairs together; 0 is chance. Without ties it is .87 at most.",
    "Same solution, different: mean similarity of these pairs. All but 'pooled' are means over the problems "
    "with both kinds of pairs; the number of pairs is that of all problems.",
)


def agreement_tables(found: Sequence[SimilarityAgreement]) -> list[ReportTable]:
    """Return a table of all pairs and one without the pairs of equal texts, with a row per similarity."""
    kinds = {
        "Without pairs of equal texts": [(one.name, one.different_texts) for one in found],
        "All pairs": [(one.name, one.all_pairs) for one in found],
    }
    return [
        ReportTable(
            title=title,
            columns=COLUMNS,
            rows=tuple(_row(name, measured) for name, measured in rows),
            notes=NOTES,
        )
        for title, rows in kinds.items()
    ]


def meaning(one: SimilarityAgreement) -> str:
    """Say in a sentence whether the similarity sees solutions, from the pairs of different texts."""
    auc = one.different_texts.auc
    if math.isnan(auc.estimate):
        return (
            f"{one.name}: completions with the same solution always have the same text here, so nothing says "
            "whether it sees solutions or wordings."
        )
    measured = one.different_texts
    told = with_ends(float(auc.estimate), float(auc.low), float(auc.high), places=2)
    same, different = (
        number(float(mean.estimate), places=2)
        for mean in (measured.mean_same, measured.mean_different)
    )
    return (
        f"{one.name} {_verdict(auc)}: two wordings of one solution are more similar than two solutions in "
        f"{told} of cases; 0.5 is chance, 1 is always. Mean similarity: {same} of one solution, "
        f"{different} of different ones."
    )


def agreement_record(
    name: str, chosen: Chosen, found: Sequence[SimilarityAgreement], solution: str
) -> dict[str, Any]:
    """Return the results as an object for JSON.

    Args:
        name: name of the run.
        chosen: what was compared.
        found: results of each similarity.
        solution: what a solution is, in a word.
    """
    return {
        "run": name,
        "solution": solution,
        "num_right": chosen.num_right,
        "num_without_solution": chosen.num_without_solution,
        "num_problems": len(chosen.problems),
        "num_compared": sum(len(problem.texts) for problem in chosen.problems),
        "similarities": [{**plain(one), "meaning": meaning(one)} for one in found],
    }


def reading_line(name: str, chosen: Chosen, solution: str) -> str:
    """Say what is compared."""
    compared = sum(len(problem.texts) for problem in chosen.problems)
    left_out = chosen.num_without_solution
    without = f"; {left_out:,} without a solution are left out" if left_out else ""
    return (
        f"{name}: {compared:,} of {chosen.num_right:,} right completions, of {len(chosen.problems):,} "
        f"problems with two or more{without}. Same solution: {solution}."
    )


def _verdict(auc: Interval) -> str:
    if math.isnan(auc.low):
        return "was measured on one problem only"
    if auc.low > 0.5:
        return "sees solutions"
    if auc.high < 0.5:
        return "sees wordings, not solutions"
    return "cannot be told from chance"


def _row(name: str, measured: PairAgreement) -> Cells:
    return (
        name,
        _cell(measured.auc),
        _cell(measured.rank_correlation, sign=True),
        _cell(measured.pooled_rank_correlation, sign=True),
        _cell(measured.mean_same),
        _cell(measured.mean_different),
        f"{measured.num_problems_both:,} of {measured.num_problems:,}",
        f"{measured.num_same:,}",
        f"{measured.num_different:,}",
    )


def _cell(found: Interval, *, sign: bool = False) -> Cell:
    low, high = float(found.low), float(found.high)
    return Cell(
        number(float(found.estimate), places=2, sign=sign),
        detail=ends(low, high, places=2, sign=sign),
    )
