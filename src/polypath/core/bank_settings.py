"""Settings of the bank of solutions."""

from dataclasses import dataclass

from polypath.core.rehearsal_settings import rows_per_step
from polypath.rehearsal.settings import Replay
from polypath.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class BankConfig:
    """Settings of the bank of solutions: what it keeps, and how it is replayed.

    Raises:
        ConfigError: a value is out of range.
    """

    enabled: bool = setting(
        False,
        "Keep a completion of each different correct solution that training finds, and replay them.",
        key="bank",
    )
    coef: float = setting(
        0.05,
        "Weight of the divergence on the bank's solutions, at least 0; 0 is off.",
        within="[0, inf)",
    )
    capacity: int = setting(
        16,
        "Solutions of a problem that are kept, at least 1. When there are more, a random choice of them "
        "stays in which rare and frequent solutions have the same chance.",
        within="[1, inf)",
    )
    share: float = setting(
        0.1,
        "Replayed rows per optimizer step, as a fraction of the step's completions, in (0, 4]. Rounded up "
        "to a multiple of processes x accumulation steps.",
        within="(0, 4]",
    )
    max_age: int | None = setting(
        None,
        "Drop a solution that was not sampled again in this many steps, at least 1. Unset: never.",
        within="[1, inf)",
    )
    divergence: str = setting(
        "forward_kl_uncentred",
        "What pulls: a divergence from the policy that sampled the solution, by the names of "
        "rehearsal_divergence and with its other settings. forward_kl_uncentred is the solution's plain "
        "likelihood; forward_kl only holds it where it was.",
    )
    replay: Replay = setting(
        "uniform",
        "uniform: every solution in the bank has the same chance. frequency: in proportion to how often it "
        "was sampled.",
    )

    def __post_init__(self) -> None:
        check_settings(self, "bank")

    @property
    def on(self) -> bool:
        """Whether the term is on."""
        return self.enabled and self.coef > 0

    def rows_per_step(self, rows: int, pieces: int) -> int:
        """Return replayed rows per optimizer step: the share, rounded up to fit evenly.

        Args:
            rows: completions of a micro-batch on one process.
            pieces: micro-batches of a step, over all processes.
        """
        return rows_per_step(self.share, rows, pieces)
