"""Reads what the rehearsal pipeline needs from its sample store."""

from polypath.errors import DataError
from polypath.rehearsal.partition import Sampled
from polypath.rollouts import RolloutStore


def read_samples(store: RolloutStore) -> dict[str, list[Sampled]]:
    """Read the fields of every row that the partition needs, by problem.

    If several rows have one key, the first counts. If the file system has no locks, a part that ran twice
    may have left two.
    """
    samples: dict[str, dict[int, Sampled]] = {}
    columns = ("problem_id", "sample_id", "correct", "answer", "finish_reason")
    for batch in store.iter_batches(columns):
        for problem_id, *rest in zip(*(c.to_pylist() for c in batch.columns), strict=True):
            sample = Sampled(*rest)
            samples.setdefault(problem_id, {}).setdefault(sample.sample_id, sample)
    return {problem_id: list(found.values()) for problem_id, found in samples.items()}


def read_tokens(
    store: RolloutStore, wanted: set[tuple[str, int]]
) -> dict[tuple[str, int], list[int]]:
    """Read the tokens of some rows. Those of all rows may not fit in memory as lists.

    Raises:
        DataError: a row has no tokens, as is possible for imported rows.
    """
    found: dict[tuple[str, int], list[int]] = {}
    for batch in store.iter_batches(("problem_id", "sample_id", "token_ids")):
        ids, numbers, tokens = batch.columns
        for place, key in enumerate(zip(ids.to_pylist(), numbers.to_pylist(), strict=True)):
            if key in wanted and key not in found:
                row = tokens[place].as_py()
                if row is None:
                    raise DataError(
                        f"Sample {key[1]} of problem {key[0]!r} in {store.path} has no token_ids, "
                        "and tokenising its text again may give other ones."
                    )
                found[key] = row
    return found
