"""Several processes that share one job: which part each does, and waiting for the others.

They send each other nothing, and none needs the others to start: they share the folder that they write.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console

from polypath.errors import ConfigError
from polypath.rollouts.locks import WHOLE, Part
from polypath.sampling.progress import ProgressReport

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """The part of a job that this process does.

    Attributes:
        part: its share.
        local_rank: number of the process on its machine, which decides its GPU; ``None`` unless a
            launcher sets it.
    """

    part: Part = WHOLE
    local_rank: int | None = None

    @property
    def leads(self) -> bool:
        """Whether this process prints, and waits for the others, to do what follows all parts."""
        return self.part.rank == 0

    def console(self, console: Console | None) -> Console | None:
        """Return where this process shows its progress: nowhere unless it leads."""
        return console if self.leads else None


ALONE = Ranks()


def find_ranks(environ: Mapping[str, str] | None = None) -> Ranks:
    """Return the part that a launcher's environment names.

    ``torchrun`` and ``accelerate launch`` set ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``.

    Raises:
        ConfigError: the values name no valid part.

    >>> find_ranks({"RANK": "2", "WORLD_SIZE": "4"}).part
    Part(rank=2, of=4)
    """
    environ = os.environ if environ is None else environ
    if "RANK" not in environ or "WORLD_SIZE" not in environ:
        return ALONE
    rank, of = environ["RANK"], environ["WORLD_SIZE"]
    if not (rank.isdecimal() and of.isdecimal() and int(rank) < int(of)):
        raise ConfigError(
            f"RANK={rank}, WORLD_SIZE={of} names no part; expected a RANK from 0 to WORLD_SIZE - 1."
        )
    if int(of) == 1:
        return ALONE
    local = environ.get("LOCAL_RANK", "")
    local_rank = int(local) if local.isdecimal() else None
    return Ranks(part=Part(int(rank), int(of)), local_rank=local_rank)


def wait_for(
    held: Callable[[], int], total: int, *, label: str, console: Console | None = None
) -> None:
    """Return when ``held()`` has reached ``total``; show the progress."""
    found = held()
    if found >= total:
        return
    if console is not None:
        console.out(
            f"This process has done its part; {total - found} of {total} {label} are still being done by "
            "others. A process that died can be started again alone, with the same RANK and WORLD_SIZE.",
            highlight=False,
        )
    wait = _FIRST_WAIT
    with ProgressReport(f"waiting for {label}", total, done=found, console=console) as progress:
        while found < total:
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
            before, found = found, held()
            progress.advance(found - before)
