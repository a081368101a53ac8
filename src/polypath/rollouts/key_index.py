"""Membership of samples, as (problem, sample number), in 8 bytes per sample."""

import functools
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Key = tuple[str, int]
Hashes = npt.NDArray[np.uint64]


def hash_columns(
    problem_ids: pa.Array | pa.ChunkedArray, sample_ids: pa.Array | pa.ChunkedArray
) -> Hashes:
    """Return the hash of every row of two columns. Each problem id is hashed once."""
    if isinstance(problem_ids, pa.ChunkedArray):
        problem_ids = problem_ids.combine_chunks()
    encoded = problem_ids.dictionary_encode()
    of_problem = np.array([_hash(name) for name in encoded.dictionary.to_pylist()], np.uint64)
    hashes: Hashes = sample_ids.to_numpy(zero_copy_only=False).astype(np.uint64)
    if len(hashes):
        hashes += of_problem[encoded.indices.to_numpy(zero_copy_only=False)]
    return hashes


def hash_keys(keys: Iterable[Key]) -> Hashes:
    """Return the hash of every key."""
    return np.array([(_hash(name) + n) & 0xFFFF_FFFF_FFFF_FFFF for name, n in keys], np.uint64)


def hash_product(problem_ids: Sequence[str], sample_ids: range) -> Hashes:
    """Return the hashes of all these samples of all these problems."""
    of_problem_N = np.array([_hash(name) for name in problem_ids], np.uint64)
    numbers_S = np.arange(sample_ids.start, sample_ids.stop, dtype=np.uint64)
    return (of_problem_N[:, None] + numbers_S).ravel()


class KeyIndex:
    r"""A set of sample keys, stored as sorted runs of 64-bit hashes.

    The hash of a key is :math:`h(\text{problem}) + \text{number} \bmod 2^{64}`, h being BLAKE2b cut to
    64 bits. So two samples of one problem never collide. Two samples of different problems collide if the
    hashes of the problems lie closer than their numbers. For 40,000 problems of 256 samples each, the total
    probability is 2e-8. A sample taken for another would not be drawn.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._runs: list[Hashes] = []
        self.add(hash_keys(keys))

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, tuple):
            return False
        (sought,) = hash_keys([key])
        for run in self._runs:
            place = run.searchsorted(sought)
            if place < len(run) and run[place] == sought:
                return True
        return False

    def contains(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Return which of these are in the set."""
        found = np.zeros(len(hashes), dtype=bool)
        for run in self._runs:
            places = np.searchsorted(run, hashes)
            places[places == len(run)] = 0
            found |= run[places] == hashes
        return found

    def add(self, hashes: Hashes) -> None:
        """Add hashes. Those that are already in the set, or occur twice, count once."""
        fresh = np.unique(hashes)
        fresh = fresh[~self.contains(fresh)]
        if not len(fresh):
            return
        self._runs.append(fresh)
        # Each run stays at least twice as long as the next. So there are few runs, and each hash is moved
        # a logarithmic number of times.
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")  # merges sorted runs in linear time
            self._runs.append(merged)


@functools.lru_cache(maxsize=1 << 16)
def _hash(problem_id: str) -> int:
    digest = hashlib.blake2b(problem_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
