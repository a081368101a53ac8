"""What the page's explorer shows: its index of problems, and their packed texts."""

import base64
import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from polypath.report.changes import solutions_by_problem
from polypath.report.model import Comparison
from polypath.rollouts.samples import Samples

RIGHT, WRONG, UNKNOWN = 1, 0, 2
STATUS_CODE = {"kept": "k", "lost": "l", "found": "f", "unsolved": "u", "unjudged": "?"}
CHUNK_CHARS = 400_000  # unpacked in some 5 ms
INDEX_CHARS = 2_000_000  # of prompts in the index, which every search reads


class Limits(NamedTuple):
    """How much of the texts is kept."""

    texts: int | None  # sample texts of one solution of one run; None for all of them
    chars: int  # of one sample text
    solutions: int  # of one run on one problem
    prompt_chars: int  # of a prompt or gold answer


# From all there is to next to nothing; the first that fits is taken.
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
PROBED = 64  # problems that tell how large all will be


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The explorer's texts, packed."""

    chunks: tuple[str, ...]  # base64 of deflated JSON, each a list of consecutive problems
    firsts: tuple[int, ...]  # the first problem of each chunk
    num_problems: int  # whose texts are there; those after them were left out
    limits: Limits


def index_data(comparison: Comparison, texts: Texts) -> dict[str, Any]:
    """Return the explorer's list of problems, column by column."""
    runs = [run.samples for run in comparison.everyone]
    base = runs[0]
    chars = max(80, min(600, INDEX_CHARS // max(base.num_problems, 1)))
    chunk_of = [-1] * base.num_problems
    for chunk, first in enumerate(texts.firsts):
        last = (*texts.firsts, texts.num_problems)[chunk + 1]
        chunk_of[first:last] = [chunk] * (last - first)
    solutions = [solutions_by_problem(run) for run in runs]
    return {
        "id": [name[:200] for name in base.problem_ids],
        "prompt": [_first(runs, "prompts", n)[:chars] for n in range(base.num_problems)],
        "gold": [_first(runs, "golds", n)[:200] for n in range(base.num_problems)],
        "n": [run.num_verified_N.tolist() for run in runs],
        "c": [run.num_correct_N.tolist() for run in runs],
        "chunk": chunk_of,
        "status": ["".join(STATUS_CODE[s] for s in flow.status_N) for flow in comparison.flows],
        "modes": [
            [[len(old - new), len(new - old)] for old, new in zip(solutions[0], other, strict=True)]
            for other in solutions[1:]
        ],
    }


def pack_texts(runs: Sequence[Samples], budget: int) -> Texts:
    """Pack prompts, solutions and sample texts into at most ``budget`` characters of base64."""
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
    """Return ASCII JSON that no HTML parser reads as markup, whatever strings it holds."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _first(runs: Sequence[Samples], field: str, n: int) -> str:
    """Return the first run's text that is there; an empty one where no run has it."""
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
    keys: dict[str | None, int] = {}  # tells solutions apart, also those whose text is cut
    detail = {
        "p": _cut(prompt, limits.prompt_chars) if prompt else None,
        "g": gold[: limits.prompt_chars] if gold else None,
        "r": [_run_detail(run, n, limits, keys) for run in runs],
    }
    return json.dumps(detail, separators=(",", ":"))


def _run_detail(
    run: Samples, n: int, limits: Limits, keys: dict[str | None, int]
) -> dict[str, Any]:
    """Return one run's solutions of one problem: right ones first, frequent ones first.

    A solution is its text, verdict, number of samples, sample texts and a number of its own; a
    sample text is its beginning, end, characters missing between them, and how often it came.
    """
    found: dict[tuple[str | None, int], Counter[str]] = {}
    for text, right, answer in zip(run.completions[n], run.correct[n], run.answers[n], strict=True):
        verdict = UNKNOWN if right is None else RIGHT if right else WRONG
        found.setdefault((answer, verdict), Counter())[text] += 1
    ordered = sorted(
        found.items(),
        key=lambda item: (item[0][1] != RIGHT, item[0][0] is None, -item[1].total()),
    )
    solutions = [
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
    return {"s": solutions, "more": more}


def _cut(text: str, chars: int) -> tuple[str, str, int]:
    """Return a text's beginning, end, and the number of characters left out between them.

    The end is kept because the answer is mostly in the last lines.
    """
    if len(text) <= chars:
        return text, "", 0
    tail = chars // 3
    return text[: chars - tail], text[len(text) - tail :], len(text) - chars
