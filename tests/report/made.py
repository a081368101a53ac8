"""Runs whose differences are known, for pages."""

from dataclasses import replace

import numpy as np

from polypath.report.analysis import compare
from polypath.report.changes import count_statuses, statuses
from polypath.report.model import Comparison
from polypath.rollouts.samples import Samples

# Right samples of four, per problem: base, then the two runs.
RIGHT = {
    "kept-1": (2, 4, 3),
    "kept-2": (4, 4, 4),
    "lost-1": (1, 0, 2),
    "lost-2": (2, 0, 0),
    "found-1": (0, 3, 0),
    "unsolved-1": (0, 0, 0),
}
LOG = tuple(
    {"step": float(step), "reward": 0.1 * step, "entropy": 1.0 / step} for step in (1, 2, 3)
)


def make_run(name: str, column: int) -> Samples:
    """Four samples a problem; the base finds other solutions than the runs do on kept-1."""
    completions, correct, answers = [], [], []
    for problem, counts in RIGHT.items():
        right = tuple(i < counts[column] for i in range(4))
        way = "a" if column == 0 and problem == "kept-1" else "b"
        found = tuple(f"{way}{i % 2}" if ok else None for i, ok in enumerate(right))
        texts = tuple(f"{name} tries {problem}, sample {i}: {a}" for i, a in enumerate(found))
        completions.append(texts)
        correct.append(right)
        answers.append(found)
    return Samples(
        name=name,
        problem_ids=tuple(RIGHT),
        prompts=tuple(f"Prompt of {problem}: add the numbers" for problem in RIGHT),
        golds=tuple(f"gold{i}" for i in range(len(RIGHT))),
        completions=tuple(completions),
        correct=tuple(correct),
        answers=tuple(answers),
        training_log=LOG if column else (),
        left_out={"not JSON": 3} if column == 1 else {},
    )


def small() -> Comparison:
    return compare(make_run("base", 0), [make_run("first", 1), make_run("second", 2)])


def with_texts(texts: list[str]) -> Comparison:
    """One problem for each text, which is everything there: prompt, gold, answer, name and all."""
    n = len(texts)

    def run(name: str, right: bool) -> Samples:
        return Samples(
            name=name,
            problem_ids=tuple(f"{i} {text[:300]}" for i, text in enumerate(texts)),
            prompts=tuple(texts),
            golds=tuple(texts),
            completions=tuple((text, text, "other") for text in texts),
            correct=((right, right, False),) * n,
            answers=tuple((text, text, None) for text in texts),
            left_out={texts[0]: 1},
        )

    return compare(
        run(texts[0], False), [run("".join(t[:40] for t in texts), True), run("c", True)]
    )


def large(num_problems: int, num_samples: int, num_runs: int, words: int) -> Comparison:
    """The numbers of a small comparison over the samples of a large one: only the page is large."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"{a}{b}" for a in ("re", "con", "add", "of") for b in range(400)])
    drawn = vocabulary[
        rng.integers(0, len(vocabulary), (num_problems * num_samples * 2, words // 2))
    ]
    phrases = [" ".join(row) for row in drawn]
    few = small()

    def samples(name: str) -> Samples:
        shape = (num_problems, num_samples)
        right = rng.random(shape) < rng.random((num_problems, 1))
        picks = rng.integers(0, len(phrases), (*shape, 2))
        answers = rng.integers(0, 12, shape)
        return Samples(
            name=name,
            problem_ids=tuple(f"problem-{n}" for n in range(num_problems)),
            prompts=tuple(phrases[n][:300] for n in range(num_problems)),
            golds=tuple(str(n) for n in range(num_problems)),
            completions=tuple(
                tuple(f"{phrases[i]} {phrases[j]}" for i, j in row) for row in picks.tolist()
            ),
            correct=tuple(tuple(row) for row in right.tolist()),
            answers=tuple(tuple(str(a) for a in row) for row in answers.tolist()),
        )

    base = samples("base")
    runs = [samples(f"run {i}") for i in range(1, num_runs)]
    flows = []
    for run in runs:
        status_N = statuses(base, run)
        problems = count_statuses(status_N)
        flows.append(replace(few.flows[0], run=run.name, status_N=status_N, problems=problems))
    return replace(
        few,
        base=replace(few.base, samples=base),
        runs=tuple(replace(few.runs[0], name=run.name, samples=run) for run in runs),
        flows=tuple(flows),
        fits=(),
        num_shared_problems=num_problems,
    )
