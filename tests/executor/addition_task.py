"""The additions as tasks that any process can build by their places."""

from collections.abc import Sequence

from polypath.verify.base import Verdict
from polypath.verify.pool import shared_pool
from tests.rehearsal.adder import Addition


def additions() -> Addition:
    return Addition()


class SlowAddition(Addition):
    """Answers of 10 and 18 never end, and are ended from outside: each costs a worker's start."""

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        pool = shared_pool("tests.verify.verifiers:acting_verifier", deadline=0.2)
        texts = ["c-loop" if text in ("10", "18") else text for text in completions]
        return pool.verify(texts, golds)


def slow_additions() -> SlowAddition:
    return SlowAddition()
