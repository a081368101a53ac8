"""Speed of the math verifier, in a pool of workers and called directly: the reference.

Wall time, since a pool works in other processes, taken in turns; ratios are round by round.

    python benchmarks/verify.py --out benchmarks/results/verify.json
    python benchmarks/verify.py --data DIR     # MATH-500 of DIR/math, too
"""

import json
import random
import time
from pathlib import Path
from typing import Any

from machine import environment
from results_file import at_least, at_most, finish, in_turns, parser, ratio, spread

from polypath.verify.math_extract import find_answer
from polypath.verify.math_number import read_number
from polypath.verify.math_reading import answer_shape
from polypath.verify.pool import WorkerPool

ENOUGH = 300  # answers a second, with two workers
COST = 0.2  # most that a pool of one may add to direct calls
MATH = "polypath.verify.math:math_verifier"
PROSE = "Let us think step by step. " * 20


def generated_math(rng: random.Random, answers: int) -> list[tuple[str, str]]:
    """Golds in the proportions of MATH: most are numbers, some fractions, roots and formulas."""
    rows = []
    for _ in range(answers):
        a, b, c = (rng.randint(2, 99) for _ in range(3))
        golds = [str(a)] * 6 + [rf"\frac{{{a}}}{{{b}}}"] * 2
        golds += [rf"{a}\sqrt{{{b}}}", rf"({a},{b})", rf"{a}x^2+{b}x+{c}", rf"{a}\pi"]
        gold = rng.choice(golds)
        answer = gold if rng.random() < 0.5 else rng.choice(golds)
        rows.append((rf"{PROSE}So it is $\boxed{{{answer}}}$.", gold))
    return rows


def real_math(folder: Path, rng: random.Random, answers: int) -> list[tuple[str, str]]:
    """Reference solutions of MATH-500, half of them against another row's gold."""
    with (folder / "math" / "math500.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = []
    for _ in range(answers):
        row = rng.choice(rows)
        other = row if rng.random() < 0.5 else rng.choice(rows)
        pairs.append((row["solution"], other["answer"]))
    return pairs


def formula_golds(folder: Path, rng: random.Random, answers: int) -> list[tuple[str, str]]:
    """Golds of three sets that are no numbers: a quarter against themselves, in braces."""
    golds = []
    for name in ("math500", "minerva_math", "college_math"):
        with (folder / "math" / f"{name}.jsonl").open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        field = "answer" if "answer" in rows[0] else None
        texts = [row[field] if field else find_answer(row["solution"]).text for row in rows]
        golds += [text.strip("$ ") for text in map(str, texts)]
    golds = [
        gold
        for gold in golds
        if read_number(gold) is None and "$" not in gold and answer_shape(gold) is not None
    ]
    pairs = []
    for _ in range(answers):
        gold = rng.choice(golds)
        answer = f"{{{gold}}}" if rng.random() < 0.25 else rng.choice(golds)
        pairs.append((rf"\boxed{{{answer}}}", gold))
    return pairs


def math_rows(what: str, pairs: list[tuple[str, str]], options: Any) -> list[dict[str, Any]]:
    from polypath.verify.math import math_verifier

    completions, golds = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    verifier = math_verifier()
    with WorkerPool(MATH, workers=1) as one, WorkerPool(MATH, workers=2) as two:
        for warm in (one, two):  # start the processes, fill the caches of golds
            warm.verify(completions, golds)
            warm.verify(completions, golds)
        for completion, gold in pairs:
            verifier(completion, gold)
        times = in_turns(
            [
                lambda: [verifier(completion, gold) for completion, gold in pairs],
                lambda: one.verify(completions, golds),
                lambda: two.verify(completions, golds),
            ],
            options.repeats,
            time.perf_counter,
        )
        right = sum(verdict.correct for verdict in two.verify(completions, golds))
    return table(what, times, right, options.answers)


def table(
    what: str, times: list[list[float]], right: int, answers: int, **more: list[float | None]
) -> list[dict[str, Any]]:
    """Return a row for direct calls, a pool of one and a pool of two, in this order."""
    ways = ("called directly", "pool of 1", "pool of 2")
    return [
        {
            "what": what,
            "way": way,
            "answers": answers,
            "right": right / answers,
            "seconds": spread(taken),
            "per_second": answers / spread(taken)[1],
            "ratio_to_direct": ratio(taken, times[0]),
            **{name: values[place] for name, values in more.items()},
        }
        for place, (way, taken) in enumerate(zip(ways, times, strict=True))
    ]


def bars(rows: list[dict[str, Any]], enough: float) -> list[dict[str, Any]]:
    found = []
    for one, two in zip(rows[1::3], rows[2::3], strict=True):  # after direct calls
        cost = one["ratio_to_direct"][1]
        found.append(at_most(f"{one['what']}: pool of 1, times direct", cost, 1 + COST))
        found.append(at_least(f"{two['what']}: pool of 2, a second", two["per_second"], enough))
    return found


def arguments(doc: str | None) -> Any:
    made = parser(doc)
    made.add_argument("--data", type=Path, help="folder with published test sets, verified as well")
    made.add_argument("--answers", type=int, default=1000)
    made.add_argument("--repeats", type=int, default=5)
    return made.parse_args()


def main() -> None:
    options = arguments(__doc__)
    machine = environment("math-verify", "latex2sympy2-extended", "sympy")
    made = generated_math(random.Random(0), options.answers)
    rows = math_rows("math, generated answers", made, options)
    if options.data:
        real = real_math(options.data, random.Random(0), options.answers)
        rows += math_rows("math, MATH-500 solutions", real, options)
        formulas = formula_golds(options.data, random.Random(0), options.answers)
        rows += math_rows("math, formula golds", formulas, options)
    finish(
        options.out,
        benchmark="verify",
        environment=machine,
        settings={"answers": options.answers},
        rows=rows,
        bars=bars(rows, ENOUGH),
    )


if __name__ == "__main__":
    main()
