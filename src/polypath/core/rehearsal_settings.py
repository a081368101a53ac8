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
        "Folder written by `polypath presample`, or auto: `polypath train` makes one of the base's "
        "different right solutions. Unset: no rehearsal.",
        key="rehearsal_set",
    )
    coef: float = setting(
        0.05, "Eta, the weight of the divergence on the rehearsal set; 0 is off.", within="[0, inf)"
    )
    share: float = setting(
        0.125,
        "Rehearsal rows per optimizer step, as a share of its completions, in (0, 4]; rounded up to a "
        "multiple of processes x accumulation steps. The paper's code: 256 of 2048.",
        within="(0, 4]",
    )
    explore_only: bool = setting(
        True, "Take the near-perfect problems out of the training set, as the paper does."
    )
    tolerance: float = setting(
        0.02,
        "Largest mean |log-ratio| at step 0, where it must be 0 up to rounding; above 0.",
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
        return pieces * max(1, math.ceil(rows * self.share))
