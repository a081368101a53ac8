"""Run ``polypath sample`` in forked children, killing each but the last at a random moment.

Forking from a process that has imported everything makes a kill cost little, so that many fit into
a test. Prints the number of finished shards after each kill that hit.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
import transformers.generation.utils  # noqa: F401  (so that the children need not import them)
from transformers import AutoModelForCausalLM, LlamaForCausalLM, TokenizersBackend  # noqa: F401

import polypath.sampling.run
import polypath.sampling.transformers  # noqa: F401
from polypath.cli.main import run
from polypath.tasks import get_task


def shards_of(out: Path) -> int:
    return len(list(out.glob("*/shard-*.parquet")))


def main() -> None:
    out, kills, words = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    torch.set_num_threads(1)
    get_task("countdown").problems("test", 1)
    draw = random.Random(0)
    hits = 0
    while hits < kills:
        before = shards_of(out)
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            os._exit(run(words))
        goal = before + draw.randrange(4)
        while shards_of(out) < goal and not os.waitid(
            os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            raise SystemExit("the command finished before enough kills")
        hits += 1
        print(shards_of(out), flush=True)
    sys.exit(run(words))


if __name__ == "__main__":
    main()
