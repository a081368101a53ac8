"""Which samples are to be drawn, and how: what every backend is asked for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from polypath.errors import ConfigError
from polypath.rollouts.key_index import Hashes, KeyIndex, hash_product
from polypath.rollouts.locks import WHOLE, Part
from polypath.sampling.prompts import Prompt
from polypath.sampling.settings import SamplingSettings
from polypath.tasks.base import Problem


@dataclass(frozen=True, kw_only=True)
class DrawRequest:
    """Samples ``first_sample_id .. first_sample_id + num_samples - 1`` of every problem.

    Attributes:
        problems: problems to sample; their ids differ.
        num_samples: samples per problem, at least 1.
        settings: how to draw.
        first_sample_id: number of the first sample.
        part: which part is drawn, if several processes share the work.
        done: keys of samples that are left out.

    Raises:
        ConfigError: ``num_samples`` is below 1, or a problem id occurs twice.
    """

    problems: Sequence[Problem]
    num_samples: int
    settings: SamplingSettings
    first_sample_id: int = 0
    part: Part = WHOLE
    done: KeyIndex = field(default_factory=KeyIndex)

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ConfigError(f"num_samples must be at least 1, got {self.num_samples}.")
        if len(set(self.problem_ids)) < len(self.problems):
            raise ConfigError("Two problems have the same problem_id; every id must be unique.")

    @property
    def problem_ids(self) -> list[str]:
        """Id of each problem."""
        return [problem.problem_id for problem in self.problems]

    @property
    def prompts(self) -> list[Prompt]:
        """Prompt of each problem."""
        return [problem.prompt for problem in self.problems]

    @property
    def sample_ids(self) -> range:
        """Numbers of the samples of each problem."""
        return range(self.first_sample_id, self.first_sample_id + self.num_samples)

    def keys(self) -> Hashes:
        """Return the keys of all samples, of every part and done or not, problem by problem."""
        return hash_product(self.problem_ids, self.sample_ids)


def sample_digest(seed: int, problem_id: str, sample_id: int, size: int) -> bytes:
    """Return the bytes, ``size`` many, that everything random in one sample is made from."""
    text = f"{seed}\0{problem_id}\0{sample_id}".encode()
    return hashlib.blake2b(text, digest_size=size).digest()
