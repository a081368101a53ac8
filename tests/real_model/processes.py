"""Commands in processes of their own, with their time and memory: `python processes.py WORDS`."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*words: object) -> str:
    """Run ``python WORDS``; print the command, what it printed, its seconds and its peak; return the text."""
    command = [str(word) for word in words]
    ran = subprocess.run(
        [sys.executable, __file__, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"\n$ python {' '.join(command)}\n{ran.stdout}", end="")
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def polypath(*words: object) -> str:
    """Run a polypath command; see ``run``."""
    return run("-m", "polypath", *words)


def measure(words: list[str]) -> int:
    """Run ``python WORDS`` and print its seconds and peak memory; return the exit status.

    A process inherits the peak of the one that starts it. This small one is between it and pytest.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, used = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    print(f"[{seconds:.0f} s, {used:.0f} s of processor, peak {usage.ru_maxrss / 1024:.0f} MiB]")
    return process.returncode


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1:]))
