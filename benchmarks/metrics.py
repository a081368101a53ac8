"""Speed of the metrics on one core, against the packages people use.

Ratios are of process times taken in turns on one core. A package that is not installed is left out.

    python benchmarks/metrics.py --out benchmarks/results/metrics.json
    python benchmarks/metrics.py --problems 20 --repeats 1 --words 60   # a try
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import environment, version
from results_file import at_least, at_most, finish, in_turns, parser, peak, ratio, spread

import polypath.metrics as pm

SAMPLES, WORDS = 16, 150
KS = (1, 2, 4, 8, 16)
CORRECT_K = 4


def one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def against(
    what: str,
    ours: Callable[[], Any],
    others: dict[str, tuple[Callable[[], Any], float | None]],
    repeats: int,
) -> list[dict[str, Any]]:
    """Time a metric beside other ways to the same values; with each way, how many times faster."""
    there = {name: other for name, other in others.items() if " " in name or version(name)}
    value = ours()
    values = {name: call() for name, (call, _) in there.items()}  # and warm
    own, *theirs = in_turns([ours, *(call for call, _ in there.values())], repeats)
    return [
        {
            "what": what,
            "seconds": spread(own),
            "against": name,
            "their_seconds": spread(times),
            "times_faster": ratio(times, own),
            "at_least": there[name][1],
            "largest_difference": float(np.abs(np.asarray(value) - values[name]).max()),
        }
        for name, times in zip(there, theirs, strict=True)
    ]


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


def self_bleu_times(words: int, repeats: int) -> list[dict[str, Any]]:
    texts = group_of_texts(np.random.default_rng(0), 16, words)
    rows = [text.split() for text in texts]
    return against(
        f"Self-BLEU, 16 texts of {words} words",
        lambda: pm.self_bleu(pm.count_ngrams(texts, max_n=4, tokenize=str.split)),
        {
            "nltk": (lambda: nltk_self_bleu(rows), 10),
            "sacrebleu": (lambda: sacrebleu_self_bleu(texts), None),
            "fast-bleu": (lambda: fast_self_bleu(rows), 1),
        },
        repeats,
    )


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


def sacrebleu_self_bleu(texts: Sequence[str]) -> float:
    import logging

    from sacrebleu.metrics import BLEU

    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    bleu = BLEU(tokenize="none", smooth_method="floor", smooth_value=0.1, effective_order=False)
    scores = [
        bleu.sentence_score(texts[i], [*texts[:i], *texts[i + 1 :]]).score
        for i in range(len(texts))
    ]
    return float(np.mean(scores)) / 100


def vendi_times(problems: int, repeats: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(problems, 64, 32)) + 1
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    kernels = vectors @ vectors.transpose(0, 2, 1)

    def loop() -> npt.NDArray[np.float64]:
        from vendi_score import vendi

        return np.array([vendi.score_K(kernel) for kernel in kernels])

    return against(
        f"Vendi score, {problems} kernels of 64 x 64",
        lambda: pm.vendi_score(kernels),
        {"vendi-score": (loop, None)},
        repeats,
    )


def pass_at_k_times(repeats: int) -> list[dict[str, Any]]:
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

    return against(
        "pass@k, 2,818 problems x 256 samples x 9 k",
        lambda: pm.pass_at_k_from_counts(n, c, ks),
        {"a loop over human-eval's product": (loop, 100)},
        repeats,
    )


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


def all_metrics_time(problems: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    texts = [group_of_texts(rng, SAMPLES, WORDS) for _ in range(problems)]
    rate = rng.beta(0.6, 0.6, size=(problems, 1))
    correct = rng.random((problems, SAMPLES)) < rate
    answers: list[list[str | None]] = [
        [f"right{rng.integers(3)}" if ok else f"wrong{rng.integers(8)}" for ok in row]
        for row in correct
    ]
    start = time.process_time()
    intervals = all_metrics(texts, correct, answers)
    return {
        "what": f"all metrics, {problems:,} problems x {SAMPLES} texts of {WORDS} words",
        "seconds": [time.process_time() - start],
        "intervals": intervals,
        "peak_bytes": peak(),
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--problems", type=int, default=1319, help="of the run of all metrics")
    made.add_argument("--words", type=int, default=600, help="of a text for Self-BLEU")
    made.add_argument("--repeats", type=int, default=7)
    options = made.parse_args()
    machine = environment("numpy", "scipy", "nltk", "sacrebleu", "fast-bleu", "vendi-score")
    one_core()
    everything = all_metrics_time(options.problems)  # first: its peak is that of the process
    compared = self_bleu_times(options.words, options.repeats)
    compared += vendi_times(256, options.repeats) + pass_at_k_times(options.repeats)
    bars = [
        at_least(
            f"{row['what']}: times faster than {row['against']}",
            row["times_faster"][1],
            row["at_least"],
        )
        for row in compared
        if row["at_least"] is not None
    ]
    bars += [
        at_most(f"{everything['what']}: seconds", everything["seconds"][0], 30),
        at_most(f"{everything['what']}: GB", everything["peak_bytes"] / 1e9, 1),
    ]
    finish(
        options.out,
        benchmark="metrics",
        environment=machine,
        settings={"problems": options.problems, "repeats": options.repeats},
        rows=[*compared, everything],
        bars=bars,
    )


if __name__ == "__main__":
    main()
