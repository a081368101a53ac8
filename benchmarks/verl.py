"""Step time of verl with all three methods against verl alone, on CPU cores, runs alternating.

    .venv-verl/bin/python benchmarks/verl.py --out benchmarks/results/verl.json

A step's time is that of its parts that the methods touch: log-probabilities, advantages and update. The
first step of each run warms up and does not count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import polypath

RECIPES = Path(polypath.__file__).parent / "assets" / "recipes" / "verl"
PARTS = ("timing_s/old_log_prob", "timing_s/adv", "timing_s/update_actor")
SHARE = 0.125
ARMS = {
    "verl": ["trainer.v1.trainer_mode=sync"],
    "methods off": [],
    "all three": [
        "+polypath.dra=true",
        "+polypath.positive_entropy_coef=0.01",
        f"+polypath.rehearsal_share={SHARE}",
    ],
}


def steps(arm: str, data: Path, number: int, count: int) -> list[dict[str, float]]:
    """Run an arm and return its metrics by step, but for the first."""
    log = data / f"{number}.jsonl"
    rehearsed = [f"+polypath.rehearsal_set={data}/set"] if arm == "all three" else []
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VERL_FILE_LOGGER_PATH": str(log),
    }
    overrides = [f"trainer.total_training_steps={count}", "actor_rollout_ref.rollout.n=16"]
    subprocess.run(
        [str(RECIPES / "countdown.sh"), str(data), *overrides, *ARMS[arm], *rehearsed],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    return [json.loads(line)["data"] for line in log.read_text().splitlines()][1:]


def main() -> None:
    """Run the arms in turn, and write medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        subprocess.run([sys.executable, str(RECIPES / "make_data.py"), folder, "256"], check=True)
        presample = (
            f"presample --model {folder}/model --task countdown --limit 256 --out {folder}/set"
        )
        more = "--k 8 --threshold 2 --max-new-tokens 16 --device cpu"
        command = [sys.executable, "-m", "polypath", *presample.split(), *more.split()]
        subprocess.run(command, check=True)
        for number in range(options.rounds):
            for place, arm in enumerate(ARMS):
                found = steps(arm, data, number * len(ARMS) + place, options.steps)
                times[arm] += [sum(step[part] for part in PARTS) for step in found]
                print(f"round {number + 1}, {arm}: {statistics.median(times[arm]):.3f} s a step")
    medians = {arm: statistics.median(values) for arm, values in times.items()}
    result = {
        "seconds": medians,
        "ratio": {arm: value / medians["verl"] for arm, value in medians.items()},
        "rehearsal rows a policy row": SHARE,
        "steps": {arm: len(values) for arm, values in times.items()},
    }
    print(json.dumps(result, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
