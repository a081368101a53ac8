"""The package of an earlier commit, and what a command of a package uses."""

import io
import os
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Used(NamedTuple):
    """Seconds of one command: process time of it and its workers, and from start to end."""

    cpu: float
    wall: float


def used_by(source: Path, arguments: Sequence[str]) -> Used:
    """Run a command of the package in a folder, and return what it used."""

    def cpu() -> float:
        taken = resource.getrusage(resource.RUSAGE_CHILDREN)
        return taken.ru_utime + taken.ru_stime

    start, began = cpu(), time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-m", "polypath", *arguments]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return Used(cpu() - start, time.monotonic() - began)


def source_before(commit: str, folder: Path) -> Path:
    """Unpack the package of a commit."""
    packed = subprocess.run(
        ["git", "archive", commit, "src"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"
