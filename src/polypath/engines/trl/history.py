"""The history of answers in TRL: counted at each generation, and kept in the checkpoints."""

from pathlib import Path
from typing import Any

from torch import Tensor

from polypath.core.answer_counts import AnswerCounts
from polypath.core.answer_counts_file import read_counts, write_counts
from polypath.core.history import see_answers
from polypath.engines.trl.bank import prompt_tokens
from polypath.engines.trl.processes import AccelerateProcesses
from polypath.engines.trl.resume import KeptInCheckpoints
from polypath.errors import ConfigError


def see(
    trainer: Any, counts: AnswerCounts, batch: dict[str, Any], solutions: list[str | None]
) -> tuple[Tensor, dict[str, float]]:
    """Return how often the answers of a generation were seen before it, and what to log.

    A training counts them; an evaluation does not.

    Args:
        trainer: TRL's.
        counts: of the run.
        batch: TRL's batch of this process.
        solutions: canonical solutions of its completions; None for one without.

    Raises:
        ConfigError: prompts show images, so that their tokens do not name the problem.
    """
    if batch.get("pixel_values") is not None:
        raise ConfigError(
            "Answers are counted by the text of their prompt, and these prompts show images. Leave out the "
            "method that needs the counts (advantage: history_exploration)."
        )
    return see_answers(
        counts,
        prompt_tokens(batch),
        solutions,
        processes=AccelerateProcesses(trainer.accelerator),
        learn=bool(trainer.model.training),
    )


class HistoryCheckpoints(KeptInCheckpoints):
    """Keep the counted answers of a run in its checkpoints.

    Args:
        counts: of the run; the same on every process.
    """

    what = "the counted answers"
    file = "polypath/answer_counts.parquet"

    def __init__(self, counts: AnswerCounts) -> None:
        super().__init__()
        self.counts = counts

    def restart(self) -> None:
        """Forget everything."""
        self.counts.clear()

    def read(self, path: Path) -> None:
        """Read the counts of a checkpoint."""
        read_counts(path, self.counts)

    def write(self, path: Path) -> None:
        """Write the counts into a checkpoint."""
        write_counts(path, self.counts)
