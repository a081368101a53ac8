"""Run a recipe, be killed at random moments, and start again until it is finished.

``python -m tests.train.killed RECIPE SEED SECONDS``: every attempt is a process of its own, killed
with SIGKILL; forked, so that torch is imported once. The first two are killed when they have logged a
few steps, however fast the machine is; the others after a random part of SECONDS. Prints a line
of JSON: how many attempts were killed, the checkpoints each found, and how the last one ended.
"""

import contextlib
import io
import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

ATTEMPTS = 60
SURE = 2  # attempts that are killed after a few steps


def attempt(recipe: Path) -> int:
    """Run the recipe in a child; return its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        from polypath.train.config import load_recipe
        from polypath.train.run import run

        with contextlib.redirect_stdout(io.StringIO()):
            run(load_recipe(recipe))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def logged(folder: Path) -> int:
    path = folder / "log.jsonl"
    return path.read_text().count("\n") if path.is_file() else 0


def main(recipe: Path, seed: int, seconds: float) -> None:
    import polypath.train.config
    import polypath.train.run  # noqa: F401  # imported before forking

    chance = random.Random(seed)
    found = []
    for killed in range(ATTEMPTS):
        folder = recipe.parent / "run"
        found.append(sorted(path.name for path in folder.glob("checkpoint-*")))
        child, before = attempt(recipe), logged(folder)
        steps, pause = chance.randint(3, 5), chance.uniform(0.0, 0.05)
        end = time.monotonic() + chance.uniform(0.2, 1.0) * seconds
        while logged(folder) < before + steps if killed < SURE else time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                print(json.dumps({"killed": killed, "found": found, "status": status}))
                return
            time.sleep(0.005)
        if killed < SURE:
            time.sleep(pause)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        seconds *= 1.05  # so that it comes to an end on a slower machine as well
    sys.exit("never finished")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
