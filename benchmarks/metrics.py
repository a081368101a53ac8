"""Speed of the metrics on one core, against the packages people use.

Ratios are of times taken in one run on one core; absolute times depend on the machine. Prints a table
and writes the same with machine, versions and commit as JSON.

    python benchmarks/metrics.py --out metrics.json
"""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import polypath.metrics as pm

PROBLEMS, SAMPLES, WORDS = 1319, 16, 150
KS = (1, 2, 4, 8, 16)
CORRECT_K = 4


def one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def best_of(repeats: int, call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the shortest of some times in seconds: the least disturbed one."""
    times, result = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def group_of_texts(rng: np.random.Generator, texts: int, words: int) -> list[str]:
    """Changed copies of one text, a third of the words replaced, with an equation now and then."""
    base = [f"w{word}" for word in rng.zipf(1.3, size=words) % 5000]
    rows = []
    for _ in range(texts):
        row = list(base)
        for place in rng.integers(0, words, size=words // 3):
            row[place] = f"w{rng.zipf(1.3) % 5000}"
        for place in rng.integers(0, words, size=words // 30):
            a, b = rng.integers(1, 10, size=2)
            row[place] = f"${a} + {b} = {a + b}$"
        rows.append(" ".join(row))
    return rows


def self_bleu_times() -> list[dict[str, Any]]:
    texts = group_of_texts(np.random.default_rng(0), 16, 600)
    rows = [text.split() for text in texts]
    ours, value = best_of(
        20, lambda: pm.self_bleu(pm.count_ngrams(texts, max_n=4, tokenize=str.split))
    )
    found = []
    others = {"nltk": (3, nltk_self_bleu, 10), "fast-bleu": (5, fast_self_bleu, 1)}
    for name, (repeats, measure, wanted) in others.items():
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is not installed: not compared")
            continue
        theirs, their_value = best_of(repeats, lambda measure=measure: measure(rows))
        found.append(
            {
                "what": "Self-BLEU, 16 texts of 600 words",
                "seconds": ours,
                "against": name,
                "their_seconds": theirs,
                "ratio": theirs / ours,
                "wanted": wanted,
                "largest_difference": abs(value - their_value),
            }
        )
    return found


def nltk_self_bleu(rows: Sequence[Sequence[str]]) -> float:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    method = SmoothingFunction().method1
    scores = [
        sentence_bleu([*rows[:i], *rows[i + 1 :]], rows[i], smoothing_function=method)
        for i in range(len(rows))
    ]
    return float(np.mean(scores))


def fast_self_bleu(rows: Sequence[Sequence[str]]) -> float:
    from fast_bleu import SelfBLEU

    return float(np.mean(SelfBLEU(rows, {4: (0.25,) * 4}).get_score()[4]))


def pass_at_k_times() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    n = np.full(2818, 256)
    c = rng.binomial(256, rng.beta(0.3, 0.6, size=2818))
    ks = [2**i for i in range(9)]

    def loop() -> npt.NDArray[np.float64]:
        """Compute the product of openai/human-eval, problem by problem."""

        def one(n: int, c: int, k: int) -> float:
            if n - c < k:
                return 1.0
            return 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))

        return np.array([[one(int(a), int(b), k) for k in ks] for a, b in zip(n, c, strict=True)])

    ours, value = best_of(20, lambda: pm.pass_at_k_from_counts(n, c, ks))
    theirs, their_value = best_of(3, loop)
    return [
        {
            "what": "pass@k, 2,818 problems x 256 samples x 9 k",
            "seconds": ours,
            "against": "a loop over human-eval's product",
            "their_seconds": theirs,
            "ratio": theirs / ours,
            "wanted": 100,
            "largest_difference": float(np.abs(value - their_value).max()),
        }
    ]


def all_metrics(texts: list[list[str]], correct: Any, answers: list[list[str | None]]) -> int:
    """Every metric with its interval; returns the number of intervals."""
    ids = pm.encode_solutions(answers)
    n, c = np.full(len(texts), correct.shape[1]), correct.sum(axis=1)
    values = [
        pm.pass_at_k_from_counts(n, c, KS),
        pm.mean_at_k(n, c, KS[:1]),
        pm.majority_at_k(ids, correct, KS),
        pm.pass_hat_k(n, c, KS),
        pm.distinct_solutions_at_k(ids, correct, KS),
        np.array([pm.answer_entropy(ids), pm.answer_entropy(ids, correct)]).T,
        np.array([pm.duplicate_rate(ids), pm.duplicate_rate(ids, correct)]).T,
        text_metrics(texts, correct),
    ]
    table = np.concatenate(values, axis=1)
    interval = pm.bootstrap_mean(table)
    potential = pm.potential_from_counts(n, c, [8])[0]
    pm.bootstrap_ratio(potential.numerator_N, potential.denominator_N)
    # Against a base run: here the same samples in another order of problems, for the time it takes.
    half = correct.shape[1] // 2
    solved = pm.pass_at_k_from_counts(n, c, [half])[:, 0]
    shares = pm.keep_explore(solved, solved[::-1])
    pm.bootstrap_ratio(shares.kept_N, shares.base_N)
    right = correct.tolist()
    pm.mode_changes(answers, right, answers[::-1], right[::-1], k=half)
    changes = pm.paired_difference(table, table[::-1])
    pm.holm(changes.p_value[: len(KS)])
    pm.smallest_detectable(table, table[::-1])
    return int(interval.low.size + changes.low.size + 2)


def text_metrics(texts: list[list[str]], correct: Any) -> npt.NDArray[np.float64]:
    """Diversity of the texts of each problem, over all and over 4 of its correct ones."""
    equations = [[pm.extract_equations(text) for text in row] for row in texts]
    right = [
        [e for e, ok in zip(row, flags, strict=True) if ok]
        for row, flags in zip(equations, correct, strict=True)
    ]
    over_all = pm.div_equ(equations).ratio_N
    over_correct = pm.div_equ(right, k=CORRECT_K).ratio_N
    rows = []
    for row, flags in zip(texts, correct, strict=True):
        counts = pm.count_ngrams(row)
        good = counts.take(np.flatnonzero(flags))
        similarity = pm.ngram_jaccard(counts)
        among = similarity[np.ix_(flags, flags)]
        rows.append(
            [
                pm.distinct_ngrams_pooled(counts),
                pm.distinct_ngrams_per_text(counts),
                pm.self_bleu(counts),
                pm.vendi_score(similarity[None])[0],
                pm.mean_pairwise_distance(similarity[None])[0],
                pm.distinct_ngrams_pooled(good, k=CORRECT_K),
                pm.distinct_ngrams_per_text(good),
                pm.equal_k_expectation(
                    lambda chosen, good=good: pm.self_bleu(good.take(chosen)),
                    good.num_texts,
                    CORRECT_K,
                ),
                pm.vendi_score_at_k(among, CORRECT_K),
                pm.mean_pairwise_distance(among[None])[0],
            ]
        )
    return np.column_stack([over_all, over_correct, np.array(rows)])


def all_metrics_time() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    texts = [group_of_texts(rng, SAMPLES, WORDS) for _ in range(PROBLEMS)]
    rate = rng.beta(0.6, 0.6, size=(PROBLEMS, 1))
    correct = rng.random((PROBLEMS, SAMPLES)) < rate
    answers: list[list[str | None]] = [
        [f"right{rng.integers(3)}" if ok else f"wrong{rng.integers(8)}" for ok in row]
        for row in correct
    ]
    seconds, intervals = best_of(1, lambda: all_metrics(texts, correct, answers))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "what": f"all metrics, {PROBLEMS:,} problems x {SAMPLES} texts of {WORDS} words",
        "seconds": seconds,
        "intervals": intervals,
        "peak_bytes": peak,
        "wanted": "30 s, 1 GB",
    }


def environment() -> dict[str, Any]:
    versions: dict[str, str | None] = {}
    for name in ("numpy", "scipy", "nltk", "fast-bleu"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), cpu)
    return {
        "cpu": cpu,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    out = parser.parse_args().out
    one_core()
    everything = all_metrics_time()  # first: its peak memory is that of the process
    compared = self_bleu_times() + pass_at_k_times()

    print("| what | ms | against | their ms | times faster | wanted | largest difference |")
    print("|---" * 7 + "|")
    for row in compared:
        print(
            f"| {row['what']} | {1000 * row['seconds']:.2f} | {row['against']} "
            f"| {1000 * row['their_seconds']:.1f} | {row['ratio']:.0f} | {row['wanted']} "
            f"| {row['largest_difference']:.0e} |"
        )
    print(
        f"\n{everything['what']}: {everything['seconds']:.1f} s with {everything['intervals']} "
        f"intervals, {everything['peak_bytes'] / 1e9:.2f} GB at most (wanted: {everything['wanted']})"
    )
    if out:
        result = {**environment(), "compared": compared, "all_metrics": everything}
        out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
