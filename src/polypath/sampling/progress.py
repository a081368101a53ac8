"""Progress of a long job: a bar in a terminal, an occasional line elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from polypath.terminal import visible

_SECONDS_BETWEEN_LINES = 30.0


class ProgressReport:
    """Counts the finished pieces of one job.

    Args:
        label: what is counted ("sampling").
        total: number of pieces.
        done: number of pieces that an earlier run finished.
        console: where to print; ``None`` prints nothing.
    """

    def __init__(self, label: str, total: int, *, done: int = 0, console: Console | None) -> None:
        self._label, self._total, self._done = label, total, done
        self._at_start = done
        self._console = console
        self._bar: Progress | None = None
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        if self._console is not None and self._console.is_terminal:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
            )
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console)
            self._bar.add_task(visible(self._label), total=self._total, completed=self._done)
            self._bar.start()
        else:
            self._line()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif error is None and self._done > self._at_start:
            self._line()

    def advance(self, pieces: int) -> None:
        """Report that ``pieces`` more are finished."""
        self._done += pieces
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], pieces)
        elif time.monotonic() - self._printed >= _SECONDS_BETWEEN_LINES:
            self._line()

    def _line(self) -> None:
        if self._console is None:
            return
        self._printed = time.monotonic()
        passed = self._printed - self._started
        rate = f", {(self._done - self._at_start) / passed:.1f} a second" if passed > 0.1 else ""
        self._console.out(f"{self._label}: {self._done} of {self._total}{rate}", highlight=False)
