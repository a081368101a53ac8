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
        waits: whether rank 0 waits for the other parts, to do what follows them. True under a launcher,
            which runs all of them. A part that was started by hand ends when it is done.
    """

    part: Part = WHOLE
    local_rank: int | None = None
    waits: bool = False

    @property
    def leads(self) -> bool:
        """Whether this process prints, and does what follows all parts."""
        return self.part.rank == 0 or not self.waits

    def console(self, console: Console | None) -> Console | None:
        """Return where this process shows its progress: nowhere unless it leads."""
        return console if self.leads else None


ALONE = Ranks()


def find_ranks(part: str | None = None, environ: Mapping[str, str] | None = None) -> Ranks:
    """Return the part that ``--shard I/N`` or a launcher's environment names.

    ``torchrun`` and ``accelerate launch`` set ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``.

    Raises:
        ConfigError: the values name no valid part, or both name one.

    >>> find_ranks("2/4", {}).part
    Part(rank=2, of=4)
    """
    environ = os.environ if environ is None else environ
    launched = "RANK" in environ and "WORLD_SIZE" in environ
    if part is not None:
        if launched and environ["WORLD_SIZE"] != "1":
            raise ConfigError(
                f"--shard {part} under a launcher that runs {environ['WORLD_SIZE']} processes: "
                "leave one of them out."
            )
        rank, slash, of = part.partition("/")
        return Ranks(part=_part(rank, of if slash else "", f"--shard {part}"))
    if not launched:
        return ALONE
    where = f"RANK={environ['RANK']}, WORLD_SIZE={environ['WORLD_SIZE']}"
    mine = _part(environ["RANK"], environ["WORLD_SIZE"], where)
    if mine.is_whole:
        return ALONE
    local = environ.get("LOCAL_RANK", "")
    return Ranks(part=mine, local_rank=int(local) if local.isdecimal() else None, waits=True)


def _part(rank: str, of: str, where: str) -> Part:
    if not (rank.isdecimal() and of.isdecimal() and int(rank) < int(of)):
        raise ConfigError(
            f"{where} is no valid part; expected I/N with I from 0 to N - 1, such as 0/4."
        )
    return Part(int(rank), int(of))


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
