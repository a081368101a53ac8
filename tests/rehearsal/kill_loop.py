"""Run presample in forked children, killing each but the last at a random moment.

Forking from a process that has imported everything makes a kill cost a fraction of a second, so
that many fit into a test. Prints the number of finished shards after each kill.
"""

import argparse
import os
import random
import signal
import time
from pathlib import Path

import torch
import trl.trainer.utils  # noqa: F401  (so that the children need not import it)

from tests.presampling import presample
from tests.rehearsal.adder import Addition
from tests.rehearsal.conftest import SETTINGS


def shards_of(out: str) -> int:
    return len(list((Path(out) / "samples").glob("shard-*.parquet")))


def wait_until_killed(child: int, out: str, draw: random.Random, patience: float) -> bool:
    """Kill the child after a few more shards and a moment; return False if it ended before.

    Waiting for shards rather than for seconds hits the work on slow machines too.
    """
    goal = shards_of(out) + draw.randrange(10)
    end = time.monotonic() + patience
    while shards_of(out) < goal and time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kills", type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(args.seed)
    patience = 1.0  # seconds, for the stages that write no shards; more where a start takes as long
    for kill in range(args.kills + 1):
        before = shards_of(args.out)
        child = os.fork()
        if child == 0:
            presample(args.model, Addition(), out=args.out, settings=SETTINGS)
            os._exit(0)
        if kill < args.kills and wait_until_killed(child, args.out, draw, patience):
            print(shards_of(args.out), flush=True)
            patience *= 1.5 if shards_of(args.out) == before else 1.0
        elif kill == args.kills and os.waitpid(child, 0)[1]:
            raise SystemExit("the last run failed")


if __name__ == "__main__":
    main()
