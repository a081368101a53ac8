"""Settings of the rehearsal term."""

import math
from dataclasses import dataclass

from polypath.settings import check_settings, setting


@dataclass(frozen=True, kw_only=True)
class RehearsalConfig:
    """Settings of the rehearsal term.

    Raises:
        ConfigError: a value is out of range.
    """

    folder: str | None = setting(
        None,
        "Folder of the rehearsal set, from `polypath presample`. auto: `polypath train` makes one itself, "
        "from different correct solutions of the base. Unset: no rehearsal.",
        key="rehearsal_set",
    )
    coef: float = setting(
        0.05,
        "Weight of the divergence on the rehearsal set (eta), at least 0; 0 is off.",
        within="[0, inf)",
    )
    share: float = setting(
        0.125,
        "Rehearsal rows per optimizer step, as a fraction of the step's completions, in (0, 4]. Rounded up "
        "to a multiple of processes x accumulation steps. The paper's code: 256 of 2048.",
        within="(0, 4]",
    )
    explore_only: bool = setting(
        True, "Remove the near-perfect problems from the training set, as the paper does."
    )
    tolerance: float = setting(
        0.02,
        "Largest mean |log-ratio| allowed at step 0, above 0. It is 0 there up to rounding.",
        within="(0, inf]",
    )

    def __post_init__(self) -> None:
        check_settings(self, "rehearsal")

    @property
    def on(self) -> bool:
        """Whether the term is on."""
        return bool(self.folder) and self.coef > 0

    def rows_per_step(self, rows: int, pieces: int) -> int:
        """Return rehearsal rows per optimizer step: the share, rounded up to fit evenly.

        Args:
            rows: completions of a micro-batch on one process.
            pieces: micro-batches of a step, over all processes.
        """
        return rows_per_step(self.share, rows, pieces)


def rows_per_step(share: float, rows: int, pieces: int) -> int:
    """Return a share of a step's completions, rounded up so that each micro-batch has equally many rows.

    Args:
        share: rows per completion, above 0.
        rows: completions of a micro-batch on one process.
        pieces: micro-batches of a step, over all processes.
    """
    return pieces * max(1, math.ceil(rows * share))
