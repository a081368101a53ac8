"""The published test sets, their gold answers, and changed answers with a known relation to them.

Run as a program it prints the table of docs/verifiers.md:

    POLYPATH_TEST_DATA=DIR python -m tests.verify.math_data

DIR holds math/NAME.jsonl for each of SETS.
"""

import json
import os
import random
import re
from collections import Counter
from pathlib import Path

from polypath.verify.math_extract import find_answer
from polypath.verify.pool import WorkerPool

SETS = ("gsm8k", "math500", "aime24", "amc23", "minerva_math", "college_math")
ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("POLYPATH_TEST_DATA", ROOT.parent / "shared" / "data")) / "math"


def load(name):
    """Pairs of gold answer and reference solution (``None`` where the set has none)."""
    with (FOLDER / f"{name}.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if name == "gsm8k":
        return [(row["answer"].split("####")[-1].strip(), row["answer"]) for row in rows]
    if name == "minerva_math":
        return [(find_answer(row["solution"]).text, row["solution"]) for row in rows]
    return [(str(row["answer"]), row.get("solution")) for row in rows]


def boxed(answer):
    return rf"So the result: $\boxed{{{answer}}}$."


def changes(gold):
    """Yield (kind, answer): the gold in other clothes, and answers near it."""
    yield "same", gold
    yield "sign", gold[1:] if gold.startswith("-") else f"-{gold}"
    yield "plus one", f"{gold}+1"
    yield "plus zero", f"{gold}+0"
    yield from _number_changes(gold)
    yield from _list_changes(gold)
    if r"\circ" in gold:
        yield "unit removed", gold.replace(r"^\circ", "")
        yield "unit in words", gold.replace(r"^\circ", r"\text{ degrees}")
    if r"\text{" in gold:
        yield "text unwrapped", re.sub(r"\\text\{(.*)\}", r"\1", gold).strip()
        yield "text in bold", gold.replace(r"\text", r"\textbf")


def digit_changes(golds):
    """Yield (answer, gold) for two changes of every digit of every gold."""
    for gold in golds:
        for digit in re.finditer(r"\d", gold):
            for step in (1, 5):
                other = str((int(digit[0]) + step) % 10)
                yield gold[: digit.start()] + other + gold[digit.end() :], gold


def _number_changes(gold):
    if re.fullmatch(r"-?\d+", gold):
        value = int(gold)
        yield "next integer", str(value + 1)
        yield "decimal form", f"{gold}.0"
        yield "half more", f"{gold}.5"
        yield "fraction", rf"\frac{{{2 * value}}}{{2}}"
        yield "percent", rf"{gold}\%"
        yield "unit added", rf"{gold} \text{{ cm}}"
        yield "commas", f"{value:,}"
        yield "equation", f"x={gold}"
    elif re.fullmatch(r"-?\d*\.\d+", gold):
        yield "rounded", f"{float(gold):.1f}"
        yield "scientific", f"{float(gold):.6e}"
        yield "ten times", f"{float(gold) * 10:.12g}"
    if match := re.fullmatch(r"(-?)\\d?frac\{(\d+)\}\{(\d+)\}", gold):
        sign, top, bottom = match.groups()
        yield "six decimals", f"{sign}{int(top) / int(bottom):.6f}"
        yield "three decimals", f"{sign}{int(top) / int(bottom):.3f}"
        yield "slash", f"{sign}{top}/{bottom}"
        yield "turned over", rf"{sign}\frac{{{bottom}}}{{{top}}}"
    if match := re.fullmatch(r"([\d.]+)e(-?\d+)", gold):
        mantissa, exponent = match.groups()
        yield "scientific, times", rf"{mantissa}\times 10^{{{exponent}}}"
        yield "scientific, unit", rf"{mantissa} \cdot 10^{{{exponent}}} \mathrm{{~cm}}"
        yield "scientific, next", f"{mantissa}e{int(exponent) + 1}"


def _list_changes(gold):
    plain = gold.replace(r"\left", "").replace(r"\right", "")
    if plain.startswith("(") and plain.endswith((")", "]")) and "," in plain:
        inner = plain[1:-1].split(",")
        yield "tuple swapped", f"({','.join(inner[::-1])})"
        yield "brackets removed", ",".join(inner)
        yield "interval closed", f"[{','.join(inner)}]"
    elif "," in gold and "!" not in gold:
        parts = gold.split(",")
        yield "reordered", ",".join(parts[::-1])
        yield "joined by and", r" \text{ and } ".join(parts)


def direct(gold, completion):
    """What math-verify says by itself, with its defaults."""
    import math_verify

    parsed = math_verify.parse(rf"\boxed{{{gold}}}"), math_verify.parse(completion)
    return math_verify.verify(*parsed)


def reason(kind, gold, answer, verdict):
    """Name the known reason for which verdicts of the two may differ; ``None`` for none."""
    if verdict.status == "timeout":
        return "out of time"
    if re.search(r"\d[eE][+-]?\d", gold + " " + answer):
        return "e-notation"
    if kind == "percent":
        return "percent sign"
    # The library takes a lone m or c for a unit; a word and a zero are no expression.
    if kind == "plus zero" and (verdict.correct or re.search(r"[A-Z]{4}|[a-z]{4} ", gold)):
        return "plus zero"
    if kind == "sign" and re.search(r"\\frac\{d |\\hbar|\\dot", gold):
        return "the library drops what it cannot read"
    if re.search(r"(?<![A-Za-z\\])E_|np\.|\d\./|\\odot", gold):
        return "gold the library cannot parse"
    return None


def shuffled(golds, seed=0):
    """Another row's gold for each row, differing as text."""
    rng = random.Random(seed)
    found = []
    for gold in golds:
        other = rng.choice(golds)
        while other == gold:
            other = rng.choice(golds)
        found.append(other)
    return found


def compare(pool, name, every=1):
    """Count pairs and differences from the library by reason; list those without one."""
    golds = list(dict.fromkeys(gold for gold, _ in load(name)))[::every]
    cases = [(gold, kind, answer) for gold in golds for kind, answer in changes(gold)]
    verdicts = pool.verify([boxed(answer) for *_, answer in cases], [gold for gold, *_ in cases])
    reasons, unexplained = Counter(), []
    for (gold, kind, answer), verdict in zip(cases, verdicts, strict=True):
        if verdict.correct != direct(gold, boxed(answer)):
            why = reason(kind, gold, answer, verdict)
            reasons[why] += 1
            if why is None:
                unexplained.append((gold, kind, answer, verdict))
    return len(cases), reasons, unexplained


def main():
    import logging

    logging.disable(logging.CRITICAL)
    print("| set | rows | gold | solution | shuffled wrong | changed answers | differ | reasons |")
    print("|---" * 8 + "|")
    with WorkerPool("polypath.verify.math:math_verifier", workers=2) as pool:
        for name in SETS:
            rows = load(name)
            golds = [gold for gold, _ in rows]
            with_solution = [(solution, gold) for gold, solution in rows if solution]
            same = pool.verify([boxed(gold) for gold in golds], golds)
            texts, answered = zip(*with_solution, strict=True) if with_solution else ((), ())
            solved = [verdict.correct for verdict in pool.verify(texts, answered)]
            wrong = pool.verify([boxed(gold) for gold in shuffled(golds)], golds)
            if name == "college_math":  # the library misreads too many of its golds to compare with
                cases, reasons, unexplained = 0, Counter(), []
            else:
                cases, reasons, unexplained = compare(pool, name)
            listed = ", ".join(f"{why} {count}" for why, count in reasons.most_common()) or "-"
            print(
                f"| {name} | {len(rows)} | {sum(verdict.correct for verdict in same)} "
                f"| {f'{sum(solved)} of {len(solved)}' if solved else '-'} "
                f"| {sum(not verdict.correct for verdict in wrong)} "
                f"| {cases} | {sum(reasons.values())} | {listed} |"
            )
            for case in unexplained:
                print(case)


if __name__ == "__main__":
    main()
