"""Measuring the texts of runs in several processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain

from polypath.errors import ConfigError
from polypath.report.prepared import Prepared
from polypath.report.text_values import (
    TextKey,
    TextPart,
    TextValues,
    joined,
    measure_texts,
    text_parts,
)

Progress = Callable[[int, int], object]  # what is done, and how much there is

_PAYS_FROM = 72_000_000  # work that takes about 6 s; to start a process takes 0.6 s


def values_of_texts(
    runs: Sequence[Prepared],
    keys: tuple[TextKey, ...],
    *,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> list[TextValues]:
    """Measure the texts of runs.

    Args:
        runs: seeds of any runs.
        keys: what is to be measured.
        workers: processes, at least 1; more than 1 are spawned. ``None`` takes as many as there are
            cores, if there is enough to do. The values are the same.
        progress: called with the work that is done, and all there is.

    Returns:
        The values of each run.

    Raises:
        ConfigError: fewer than 1 worker.
    """
    parts = [list(text_parts(run, keys)) for run in runs]
    every = [*chain.from_iterable(parts)]
    total, done = sum(part.work for part in every), 0
    found: list[TextValues] = []
    with _mapping(_processes(workers, len(every), total)) as map_parts:
        for part, values in zip(every, map_parts(every), strict=True):
            found.append(values)
            done += part.work
            if progress is not None:
                progress(done, total)
    values_of = iter(found)
    return [joined(keys, [next(values_of) for _ in of_run]) for of_run in parts]


def _processes(workers: int | None, parts: int, work: int) -> int:
    """Return how many processes to take."""
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}.")
    if workers is None:
        has_affinity = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
        workers = cores if work >= _PAYS_FROM else 1
    return min(workers, parts)


@contextmanager
def _mapping(
    processes: int,
) -> Iterator[Callable[[Sequence[TextPart]], Iterator[TextValues]]]:
    if processes <= 1:
        yield lambda parts: map(measure_texts, parts)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield lambda parts: pool.map(measure_texts, parts)
