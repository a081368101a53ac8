"""The history of answers: what is counted, in any order, on any number of processes; and its file."""

import random
import sys
import tracemalloc

import pytest
import torch

from polypath.core.answer_counts import AnswerCounts, answer_key
from polypath.core.answer_counts_file import read_counts, write_counts
from polypath.core.history import see_answers
from polypath.core.processes import SingleProcess
from polypath.errors import DataError, MissingFileError
from tests.core.ranks import Ranks

# Two problems; the same answer to both, and completions without an answer.
GENERATION = [
    *[([1, 2], "a"), ([1, 2], "a"), ([1, 2], "b"), ([1, 2], None)],
    *[([1, 2], None), ([3], "a"), ([3], None), ([3], "c")],
]


def see(counts, generation, processes=None, *, learn=True):
    prompts, answers = zip(*generation, strict=True)
    one = processes or SingleProcess()
    return see_answers(counts, prompts, answers, processes=one, learn=learn)


def test_answers_are_told_before_they_are_counted():
    counts = AnswerCounts()
    seen, told = see(counts, GENERATION)
    assert seen.tolist() == [0] * 8
    assert told == {"history/seen": 0.0, "history/new": 1.0, "history/answers": 6.0}
    seen, told = see(counts, [*GENERATION[2:4], ([3], "a"), ([4], "a")])
    assert seen.tolist() == [1, 2, 1, 0]
    assert told == {"history/seen": 1.0, "history/new": 0.25, "history/answers": 7.0}
    assert see(counts, GENERATION)[0].tolist() == [2, 2, 2, 3, 3, 2, 1, 1]


def test_an_evaluation_reads_and_counts_nothing():
    counts = AnswerCounts()
    see(counts, GENERATION)
    before = list(counts)
    seen, told = see(counts, GENERATION, learn=False)
    assert seen.tolist() == [2, 2, 1, 2, 2, 1, 1, 1]
    assert told == {}
    assert list(counts) == before


def test_the_order_of_answers_does_not_matter():
    straight, shuffled = AnswerCounts(), AnswerCounts()
    for n in range(3):
        see(straight, GENERATION)
        see(shuffled, random.Random(n).sample(GENERATION, len(GENERATION)))
    assert list(straight) == list(shuffled)


@pytest.mark.parametrize("world", [2, 4])
def test_every_process_holds_the_counts_of_one_process(world):
    alone = AnswerCounts()
    expected = [see(alone, GENERATION) for _ in range(3)]

    def work(rank):
        counts, each = AnswerCounts(), len(GENERATION) // rank.world
        mine = GENERATION[rank.rank * each : (rank.rank + 1) * each]
        return counts, [see(counts, mine, rank) for _ in range(3)]

    results = Ranks(world).run(work)
    for counts, _ in results:
        assert list(counts) == list(alone)
    for step, (seen, told) in enumerate(expected):
        assert torch.cat([steps[step][0] for _, steps in results]).tolist() == seen.tolist()
        assert [steps[step][1] for _, steps in results] == [told] * world


def test_keys_tell_problems_answers_and_no_answer_apart():
    pairs = [([1, 2], "a"), ([12], "a"), ([1], "2 =a"), ([1, 2], None), ([1, 2], "")]
    pairs += [([1, 2], "=a"), ([], "a"), ([1, 2], "None"), ([1, 2], "\ud800")]
    assert len({answer_key(*pair) for pair in pairs}) == len(pairs)
    assert answer_key((1, 2), "a") == answer_key([1, 2], "a")


def test_a_file_holds_the_counts(tmp_path):
    counts, other, path = AnswerCounts(), AnswerCounts(), tmp_path / "new" / "counts.parquet"
    write_counts(path, counts)
    read_counts(path, other)
    assert list(other) == []
    for _ in range(2):
        see(counts, GENERATION)
    write_counts(path, counts)
    see(other, [([9], "gone")])
    read_counts(path, other)
    assert list(other) == list(counts)
    first = path.read_bytes()
    write_counts(path, other)
    assert path.read_bytes() == first
    # What is counted after the checkpoint is counted as without it.
    assert see(other, GENERATION)[0].tolist() == see(counts, GENERATION)[0].tolist()


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    path = tmp_path / "counts.parquet"
    with pytest.raises(MissingFileError, match="history_exploration"):
        read_counts(path, AnswerCounts())
    path.write_bytes(b"PAR1 and more")
    with pytest.raises(DataError, match="another checkpoint"):
        read_counts(path, AnswerCounts())


def test_memory_does_not_depend_on_the_length_of_answers():
    def size(length):
        tracemalloc.start()
        counts = AnswerCounts()
        see(counts, [([n] * length, f"{n}" * length) for n in range(2000)])
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(counts) == 2000
        return used

    size(1)  # what Python itself keeps after the first time
    assert size(1000) < 1.2 * size(1)
    assert size(1) < 300 * 2000 + sys.getsizeof({})
