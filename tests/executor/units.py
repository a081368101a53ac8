"""Units of work for the tests: each marks in a folder that it began and that it ended."""

import os
import time
import uuid
from pathlib import Path
from typing import Any


def mark(folder: str, name: str, what: str) -> None:
    (Path(folder) / f"{name} {what} {uuid.uuid4().hex[:8]}").touch()


def marks(folder: Path, what: str) -> list[str]:
    """Names of the units that left this mark, once for each time."""
    return sorted(path.name.split()[0] for path in folder.iterdir() if path.name.split()[1] == what)


def work(*, folder: str, name: str, seconds: float = 0.0) -> str:
    mark(folder, name, "began")
    time.sleep(seconds)
    mark(folder, name, "ended")
    return name.upper()


def hold(*, folder: str, name: str, until: str) -> str:
    """Work on a Ray node, which is marked too, until the file is there."""
    import ray  # not installed where the other units work

    mark(folder, name, f"on-{ray.get_runtime_context().get_node_id()}")
    mark(folder, name, "began")
    deadline = time.monotonic() + 120
    while not Path(until).exists():
        assert time.monotonic() < deadline, f"no {until}"
        time.sleep(0.05)
    mark(folder, name, "ended")
    return name.upper()


def tell() -> dict[str, Any]:
    print("printed by a unit")
    return {
        "pid": os.getpid(),
        "folder": os.getcwd(),
        "threads": os.environ["OMP_NUM_THREADS"],
        "given": os.environ.get("GIVEN"),
    }


def fail(*, error: Exception) -> None:
    raise error


def die() -> None:
    os._exit(9)


def counted(state: list[int]) -> int:
    """Return how often this worker was asked."""
    state.append(1)
    return len(state)
