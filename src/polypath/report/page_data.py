"""Data for the page's scripts: the numbers of the charts, and the explorer's problems with packed texts."""

import base64
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from polypath.report.changes import solutions_by_problem
from polypath.report.html_text import about
from polypath.report.measures import EXPLAINED
from polypath.report.model import STATUSES, Comparison, Curve, Metric, RunAnalysis
from polypath.report.sentences import shares, solutions
from polypath.rollouts.samples import Samples

MAX_LOG_POINTS = 300
RIGHT, WRONG, UNKNOWN = 1, 0, 2
STATUS_CODE = {"kept": "k", "lost": "l", "found": "f", "unsolved": "u", "unjudged": "?"}
CHUNK_CHARS = 400_000  # unpacks in some 5 ms
INDEX_CHARS = 2_000_000  # for prompts in the index, which every search reads


class Limits(NamedTuple):
    """How much of the texts is kept.

    Attributes:
        texts: sample texts of one solution of one run; ``None`` for all.
        chars: characters of one sample text.
        solutions: solutions of one run on one problem.
        prompt_chars: characters of a prompt or gold answer.
    """

    texts: int | None
    chars: int
    solutions: int
    prompt_chars: int


# From everything to almost nothing; the first that fits is used.
LIMITS = (
    Limits(None, 20_000, 1_000, 20_000),
    Limits(None, 4_000, 1_000, 8_000),
    Limits(8, 4_000, 200, 4_000),
    Limits(4, 4_000, 100, 4_000),
    Limits(2, 4_000, 50, 4_000),
    Limits(2, 2_000, 50, 2_000),
    Limits(1, 2_000, 50, 2_000),
    Limits(1, 1_500, 40, 2_000),
    Limits(1, 1_000, 30, 2_000),
    Limits(1, 700, 20, 1_000),
    Limits(1, 500, 15, 1_000),
    Limits(1, 300, 8, 500),
    Limits(0, 0, 4, 300),
)
PROBED = 64  # problems from which the size of all is estimated


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The explorer's texts, packed.

    Attributes:
        chunks: base64 of deflated JSON, each a list of consecutive problems.
        firsts: the first problem of each chunk.
        num_problems: number of problems whose texts are included, from the first on.
        limits: the limits to which the texts were cut.
    """

    chunks: tuple[str, ...]
    firsts: tuple[int, ...]
    num_problems: int
    limits: Limits


def chart_data(comparison: Comparison) -> dict[str, Any]:
    """Return the numbers behind every chart; NaN becomes null."""
    runs = comparison.everyone
    return {
        "pass": _points([run.pass_curve for run in runs]),
        "difference": _points([None, *(flow.difference_curve for flow in comparison.flows)]),
        "distinct": _points([run.distinct_curve for run in runs]),
        "bars": _bars(runs),
        "fits": _fits(comparison),
        "flows": [
            {
                "run": i,
                "problems": {status: flow.problems.get(status, 0) for status in STATUSES},
                "keep": shares(flow),
                "modes": solutions(flow),
            }
            for i, flow in enumerate(comparison.flows, 1)
        ],
        "training": _training([run.samples.training_log for run in runs]),
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _points(curves: Sequence[Curve | None]) -> list[dict[str, Any]]:
    """Return the points of curves: estimate, interval at this k, and band of the whole curve."""
    keys = ("e", "lo", "hi", "blo", "bhi")
    return [
        {
            "run": run,
            "x": k,
            **{key: _number(value) for key, value in zip(keys, values, strict=True)},
        }
        for run, curve in enumerate(curves)
        if curve is not None
        for k, *values in zip(
            *(curve.ks, curve.estimate, curve.low, curve.high, curve.band_low, curve.band_high),
            strict=True,
        )
    ]


def _bars(runs: Sequence[RunAnalysis]) -> list[dict[str, Any]]:
    """Return a panel for each measure of diversity, with all samples and correct samples together."""
    panels: dict[str, list[tuple[int, Metric]]] = {}
    for run, analysis in enumerate(runs):
        for metric in _diversities(analysis):
            stem = metric.key.removesuffix(" (all)").removesuffix(" (correct)")
            panels.setdefault(stem.partition("@")[0], []).append((run, metric))
    return [
        {
            "title": found[0][1].label,
            "about": about(found[0][1].key),
            "direction": f"higher is {found[0][1].higher_is}",
            "rows": [
                {
                    "run": run,
                    "over": f"{m.over} samples" + (f", {m.k} of a problem" if m.k else ""),
                    "e": _number(m.estimate),
                    "lo": _number(m.low),
                    "hi": _number(m.high),
                }
                for run, m in found
            ],
        }
        for found in panels.values()
        if any(math.isfinite(m.estimate) for _, m in found)  # else the table says why
    ]


def _diversities(run: RunAnalysis) -> list[Metric]:
    """Return a run's measures of diversity. Of a measure at several k, return the last."""
    last = {re.sub(r"@\d+$", "", m.key): m for m in run.metrics if m.group != "correctness"}
    return list(last.values())


def _fits(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the figures of diversity against Potential@k."""
    shown = {metric.key for metric in _diversities(comparison.base)}
    data = []
    for fit in comparison.fits:
        if fit.key not in shown:
            continue
        potential = comparison.base.metric(fit.potential_key)
        ends = (
            [min(fit.x), max(fit.x)] if math.isfinite(fit.slope) else []
        )  # without spread there is no line
        r_squared = f"R² = {fit.r_squared:.2f}" if math.isfinite(fit.r_squared) else "R² undefined"
        points = enumerate(zip(fit.x, fit.y, strict=True))
        data.append(
            {
                "title": fit.label,
                "about": about(fit.key),
                "y": potential.label if potential else fit.potential_key,
                "note": f"{r_squared} over {len(fit.x)} runs; with few runs R² is high by chance",
                "points": [{"run": run, "x": x, "y": y} for run, (x, y) in points],
                "ends": [[x, fit.intercept + fit.slope * x] for x in ends],
            }
        )
    return data


def _training(logs: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    panels = []
    logged = {key for log in logs for line in log for key in line}
    known = [key.removeprefix("log/") for key in EXPLAINED if key.startswith("log/")]
    titles = {key: (EXPLAINED[f"log/{key}"].name, about(f"log/{key}")) for key in known}
    for key in sorted(logged):
        if key.startswith("probe/pass@"):
            measure = key.removeprefix("probe/")
            titles[key] = f"{measure} on the probe set", about(measure)
    for key, (title, meaning) in titles.items():
        rows = []
        for run, log in enumerate(logs):
            lines = [
                (float(line.get("step", place)), float(line[key]))
                for place, line in enumerate(log)
                if isinstance(line.get(key), int | float)
            ]
            lines = lines[:: math.ceil(len(lines) / MAX_LOG_POINTS) or 1]
            rows += [
                {"run": run, "x": x, "e": _number(y)}
                for x, y in lines
                if math.isfinite(x) and math.isfinite(y)
            ]
        if rows:
            panels.append({"title": title, "about": meaning, "rows": rows})
    return panels


def index_data(comparison: Comparison, texts: Texts) -> dict[str, Any]:
    """Return the explorer's list of problems, column by column.

    Args:
        comparison: a base with its runs.
        texts: texts of the same runs, from ``pack_texts``.
    """
    runs = [run.samples for run in comparison.everyone]
    base = runs[0]
    chars = max(80, min(600, INDEX_CHARS // max(base.num_problems, 1)))
    chunk_of = [-1] * base.num_problems
    for chunk, first in enumerate(texts.firsts):
        last = (*texts.firsts, texts.num_problems)[chunk + 1]
        chunk_of[first:last] = [chunk] * (last - first)
    found = [solutions_by_problem(run) for run in runs]
    return {
        "id": [name[:200] for name in base.problem_ids],
        "prompt": [_first(runs, "prompts", n)[:chars] for n in range(base.num_problems)],
        "gold": [_first(runs, "golds", n)[:200] for n in range(base.num_problems)],
        "n": [run.num_verified_N.tolist() for run in runs],
        "c": [run.num_correct_N.tolist() for run in runs],
        "chunk": chunk_of,
        "status": ["".join(STATUS_CODE[s] for s in flow.status_N) for flow in comparison.flows],
        "modes": [
            [[len(old - new), len(new - old)] for old, new in zip(found[0], other, strict=True)]
            for other in found[1:]
        ],
    }


def pack_texts(runs: Sequence[Samples], budget: int) -> Texts:
    """Pack prompts, solutions and sample texts into at most ``budget`` characters of base64.

    Args:
        runs: runs with the base first, on the same N problems in the same order.
        budget: characters, at least 0.

    Returns:
        The texts within the widest of ``LIMITS`` that fits. If none fits, those of the first problems.
    """
    num_problems = runs[0].num_problems
    step = max(1, num_problems // PROBED)
    for limits in LIMITS:
        probe = [_packed_detail(runs, n, limits) for n in range(0, num_problems, step)]
        likely = len(_deflate(",".join(probe))) * num_problems / max(len(probe), 1)
        if likely > 1.05 * budget and limits is not LIMITS[-1]:
            continue
        texts = _pack(runs, limits, budget)
        if texts.num_problems == num_problems:
            break
    return texts


def to_json(value: Any) -> str:
    """Return ASCII JSON that no HTML parser reads as markup, whatever strings it contains.

    Args:
        value: dictionaries, lists, texts and finite numbers.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _first(runs: Sequence[Samples], field: str, n: int) -> str:
    """Return the first run's text that exists; an empty one if no run has it."""
    return next((text for run in runs if (text := getattr(run, field)[n]) is not None), "")


def _pack(runs: Sequence[Samples], limits: Limits, budget: int) -> Texts:
    """Pack problems in order; stop at the first chunk that doesn't fit."""
    chunks: list[str] = []
    firsts: list[int] = []
    waiting: list[str] = []
    first, size = 0, 0
    num_problems = runs[0].num_problems
    for n in range(num_problems):
        waiting.append(_packed_detail(runs, n, limits))
        if n + 1 < num_problems and sum(map(len, waiting)) < CHUNK_CHARS:
            continue
        packed = _deflate("[" + ",".join(waiting) + "]")
        size += len(packed)
        if size > budget:
            break
        chunks.append(packed)
        firsts.append(first)
        first, waiting = n + 1, []
    return Texts(chunks=tuple(chunks), firsts=tuple(firsts), num_problems=first, limits=limits)


def _deflate(text: str) -> str:
    # Level 4 packs texts nearly as small as 6 in a third of the time. -15: raw, for the browser.
    packer = zlib.compressobj(4, zlib.DEFLATED, -15)
    return base64.b64encode(packer.compress(text.encode("ascii")) + packer.flush()).decode("ascii")


def _packed_detail(runs: Sequence[Samples], n: int, limits: Limits) -> str:
    prompt, gold = _first(runs, "prompts", n), _first(runs, "golds", n)
    keys: dict[str | None, int] = {}  # tells solutions apart, even if their text is cut
    detail = {
        "p": _cut(prompt, limits.prompt_chars) if prompt else None,
        "g": gold[: limits.prompt_chars] if gold else None,
        "r": [_run_detail(run, n, limits, keys) for run in runs],
    }
    return json.dumps(detail, separators=(",", ":"))


def _run_detail(
    run: Samples, n: int, limits: Limits, keys: dict[str | None, int]
) -> dict[str, Any]:
    """Return one run's solutions of one problem: right ones first, then by frequency.

    A solution is its text, verdict, number of samples, sample texts and its own number. A sample
    text is its beginning, its end, the number of characters left out between them, and its count.
    """
    found: dict[tuple[str | None, int], Counter[str]] = {}
    for text, right, answer in zip(run.completions[n], run.correct[n], run.answers[n], strict=True):
        verdict = UNKNOWN if right is None else RIGHT if right else WRONG
        found.setdefault((answer, verdict), Counter())[text] += 1
    ordered = sorted(
        found.items(),
        key=lambda item: (item[0][1] != RIGHT, item[0][0] is None, -item[1].total()),
    )
    shown = [
        [
            None if answer is None else answer[: limits.prompt_chars],
            verdict,
            texts.total(),
            [[*_cut(t, limits.chars), times] for t, times in islice(texts.items(), limits.texts)],
            keys.setdefault(answer, len(keys)),
        ]
        for (answer, verdict), texts in ordered[: limits.solutions]
    ]
    more = sum(texts.total() for _, texts in ordered[limits.solutions :])
    return {"s": shown, "more": more}


def _cut(text: str, chars: int) -> tuple[str, str, int]:
    """Return a text's beginning, end, and the number of characters left out between them.

    The end is kept because the answer is usually in the last lines.
    """
    if len(text) <= chars:
        return text, "", 0
    tail = chars // 3
    return text[: chars - tail], text[len(text) - tail :], len(text) - chars
