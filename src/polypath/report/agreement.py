"""Does a similarity see solutions, or wordings? Measured on the right completions of stored samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError, DataError
from polypath.metrics import PairAgreement, pair_agreement
from polypath.metrics.token_ids import number_tokens
from polypath.report.settings import AnalysisSettings
from polypath.rollouts.samples import Samples
from polypath.rollouts.schema import decode_prompt
from polypath.rollouts.sources import Progress
from polypath.similarity import Completions, Similarity
from polypath.tasks.solutions import SolutionFunction

BINS = 40  # of a distribution


class Reader(Protocol):
    """What a model tells of completions; ``sampling.reading.CompletionReader`` is one."""

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, without special tokens."""
        ...

    def hidden_B_D(self, prompt: Any, token_ids: Sequence[Sequence[int]]) -> Any:
        """Return the mean hidden state of each completion of one prompt."""
        ...


@dataclass(frozen=True, kw_only=True)
class RightCompletions:
    """The right completions of one problem that are compared, two or more.

    Attributes:
        prompt: as stored.
        texts: the completions.
        answers: stored canonical answers, which the similarity ``answer`` compares.
        solutions: equal ones are the same solution.
        token_ids: tokens of each text, without special tokens.
    """

    prompt: str | None
    texts: tuple[str, ...]
    answers: tuple[str | None, ...]
    solutions: tuple[str, ...]
    token_ids: tuple[list[int], ...]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is compared of a run.

    Attributes:
        problems: problems with two or more right completions that have a solution.
        num_right: right completions of the run.
        num_without_solution: how many of these have no solution, and are left out.
    """

    problems: tuple[RightCompletions, ...]
    num_right: int
    num_without_solution: int


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Shares of pairs over the range of similarities, without the pairs of equal texts.

    Attributes:
        edges: ends of the bins, ``(BINS + 1,)``.
        same: shares of the pairs with the same solution, ``(BINS,)``.
        different: shares of the pairs with different solutions, ``(BINS,)``.
    """

    edges: npt.NDArray[np.float64]
    same: npt.NDArray[np.float64]
    different: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SimilarityAgreement:
    """How well one similarity sees the solutions of a run.

    Two completions with the same text trivially have the same solution, and every similarity sees it.

    Attributes:
        name: of the similarity.
        all_pairs: measured on all pairs.
        different_texts: measured without the pairs of equal texts.
        distribution: of the similarities, likewise.
    """

    name: str
    all_pairs: PairAgreement
    different_texts: PairAgreement
    distribution: Distribution


def choose_right(
    samples: Samples, solution_fn: SolutionFunction | None, reader: Reader | None,
    *, most_pairs: int, seed: int
) -> Chosen:  # fmt: skip
    """Choose the right completions of each problem at random, at most so many that their pairs fit.

    Args:
        samples: samples of one run.
        solution_fn: says what a solution is, from a text and ``problem_id``, ``prompt`` and ``gold`` of its
            problem; ``None`` takes the stored answers.
        reader: gives the tokens; ``None``: words.
        most_pairs: most pairs of a problem, at least 1.
        seed: at least 0; each problem has a draw of its own.

    Raises:
        ConfigError: ``most_pairs`` is below 1.
        DataError: the samples have no verdicts, too few right completions, or no solutions.
    """
    if most_pairs < 1:
        raise ConfigError(f"--pairs must be at least 1, got {most_pairs}.")
    size = (1 + isqrt(1 + 8 * most_pairs)) // 2  # the most completions with no more pairs
    found: list[tuple[int, list[int], dict[int, str | None]]] = []
    num_right = without = 0
    for n in range(samples.num_problems):
        right = [s for s, correct in enumerate(samples.correct[n]) if correct]
        solutions = _solutions(samples, n, right, solution_fn)
        known = [s for s in right if solutions[s] is not None]
        num_right, without = num_right + len(right), without + len(right) - len(known)
        if len(known) > size:
            known = sorted(np.random.default_rng([seed, n]).permutation(known)[:size].tolist())
        if len(known) > 1:
            found.append((n, known, solutions))
    if not found:
        raise DataError(_why_no_pair(samples, num_right, without, solution_fn is not None))
    tokens = iter(
        _tokens([samples.completions[n][s] for n, kept, _ in found for s in kept], reader)
    )
    problems = tuple(
        RightCompletions(
            prompt=samples.prompts[n],
            texts=tuple(samples.completions[n][s] for s in kept),
            answers=tuple(samples.answers[n][s] for s in kept),
            solutions=tuple(str(solutions[s]) for s in kept),
            token_ids=tuple(next(tokens) for _ in kept),
        )
        for n, kept, solutions in found
    )
    return Chosen(problems=problems, num_right=num_right, num_without_solution=without)


def measure_agreement(
    problems: Sequence[RightCompletions],
    similarities: Mapping[str, Similarity],
    *,
    settings: AnalysisSettings,
    reader: Reader | None = None,
    progress: Progress | None = None,
) -> tuple[SimilarityAgreement, ...]:
    """Compare the right completions of each problem in pairs, by each similarity.

    Args:
        problems: as ``choose_right`` returns them.
        similarities: name -> similarity.
        settings: level, resamples and seed of the intervals.
        reader: needed by the similarity ``policy``.
        progress: called with how many problems are compared, and how many there are, over all similarities.

    Raises:
        DataError: no problem has pairs of both kinds, so nothing can be compared.
        ConfigError, DataError, ShapeError: of a similarity.
    """
    pairs = [np.triu_indices(len(problem.texts), 1) for problem in problems]
    same_N = [
        _equal(problem.solutions, pair) for problem, pair in zip(problems, pairs, strict=True)
    ]
    if not any(same.any() and not same.all() for same in same_N):
        raise DataError(_why_one_kind(same_N))
    other_N = [
        ~(same & _equal(problem.texts, pair))
        for problem, pair, same in zip(problems, pairs, same_N, strict=True)
    ]
    found, done = [], 0
    for name, similarity in similarities.items():
        similarity_N = []
        for problem, pair in zip(problems, pairs, strict=True):
            rows = _completions(problem, reader)
            matrix_1_G_G = similarity.matrix(similarity.features(rows), len(problem.texts))
            similarity_N.append(matrix_1_G_G[0].cpu().numpy()[pair])
            done += 1
            if progress is not None:
                progress(done, len(problems) * len(similarities))
        found.append(_agreement(name, similarity_N, same_N, other_N, settings))
    return tuple(found)


def _agreement(
    name: str,
    similarity_N: Sequence[npt.NDArray[np.float64]],
    same_N: Sequence[npt.NDArray[np.bool_]],
    other_N: Sequence[npt.NDArray[np.bool_]],
    settings: AnalysisSettings,
) -> SimilarityAgreement:
    """Measure one similarity with and without the pairs of equal texts; ``other_N`` says which are not."""
    other = [s[kept] for s, kept in zip(similarity_N, other_N, strict=True)]
    same = [s[kept] for s, kept in zip(same_N, other_N, strict=True)]
    return SimilarityAgreement(
        name=name,
        all_pairs=pair_agreement(similarity_N, same_N, **settings.resampling),
        different_texts=pair_agreement(other, same, **settings.resampling),
        distribution=_distribution(np.concatenate(other), np.concatenate(same)),
    )


def _distribution(
    similarity_M: npt.NDArray[np.float64], same_M: npt.NDArray[np.bool_]
) -> Distribution:
    # At least as wide as rounding, so that equal similarities are one bar.
    low, high = float(similarity_M.min()), float(similarity_M.max())
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1)
    same, different = (
        np.histogram(similarity_M[kind], edges)[0] / max(int(kind.sum()), 1)
        for kind in (same_M, ~same_M)
    )
    return Distribution(edges=edges, same=same, different=different)


def _solutions(
    samples: Samples, n: int, right: Sequence[int], solution_fn: SolutionFunction | None
) -> dict[int, str | None]:
    """Return the solution of each right completion of a problem."""
    if solution_fn is None:
        return {s: samples.answers[n][s] for s in right}
    prompt = samples.prompts[n]
    row = {
        "problem_id": samples.problem_ids[n],
        "prompt": None if prompt is None else decode_prompt(prompt),
        "gold": samples.golds[n],
    }
    return {s: solution_fn(samples.completions[n][s], row) for s in right}


def _tokens(texts: Sequence[str], reader: Reader | None) -> list[list[int]]:
    if reader is not None:
        return reader.token_ids(texts)
    token_T, lengths_S = number_tokens(texts)
    return [part.tolist() for part in np.split(token_T, np.cumsum(lengths_S)[:-1])]


def _completions(problem: RightCompletions, reader: Reader | None) -> Completions:
    given: dict[str, Callable[[], Any]] = {}
    if reader is not None:
        given["hidden_B_D"] = lambda: reader.hidden_B_D(_prompt(problem), problem.token_ids)
    return Completions(
        texts=list(problem.texts),
        token_ids=list(problem.token_ids),
        solutions=list(problem.answers),
        **given,
    )


def _prompt(problem: RightCompletions) -> Any:
    if problem.prompt is None:
        raise DataError(
            "The similarity 'policy' reads completions after their prompts, but the samples have none. "
            "Name the column with --key prompt=COLUMN, or leave policy out."
        )
    return decode_prompt(problem.prompt)


def _equal(
    texts: Sequence[str], pair: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
) -> npt.NDArray[np.bool_]:
    """Return for each pair of places whether the two texts are equal."""
    _, number_G = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return np.asarray(number_G[pair[0]] == number_G[pair[1]])


def _why_no_pair(samples: Samples, num_right: int, without: int, has_function: bool) -> str:
    """Say why no problem has two right completions with a solution, and what to do."""
    if not samples.num_verified_N.any():
        return f"{samples.name}: no sample has a verdict. Verify with --task NAME."
    if without and without == num_right:
        source = "--solution-fn found a solution in none" if has_function else "none has an answer"
        return (
            f"{samples.name}: of {num_right} right completions {source}. Say what a solution is with "
            "--solution-fn (text, equations, operations, file.py:function), or verify with --task NAME."
        )
    return (
        f"{samples.name}: no problem has two right completions with a solution, so there is no pair; "
        f"{num_right} of {int(samples.num_samples_N.sum())} completions are right. Draw more samples of "
        "each problem."
    )


def _why_one_kind(same_N: Sequence[npt.NDArray[np.bool_]]) -> str:
    """Say why the two kinds of pairs cannot be compared, and what to do."""
    counts = sum(map(len, same_N)), sum(int(same.sum()) for same in same_N)
    told = f"of {counts[0]:,} pairs, {counts[1]:,} have the same solution"
    return (
        "No problem has both a pair of right completions with the same solution and a pair with different "
        f"ones ({told}), so there is nothing to tell apart. Choose another --solution-fn (equations, "
        "operations, file.py:function), or draw more samples of each problem."
    )
