"""DRA where a reward for form is added to that for a right answer, on groups of the Countdown base.

    python benchmarks/dra_on_sums.py [--out FOLDER]

Prints, for each kind of form reward, in how many groups with right and wrong completions some wrong one
comes to be paid more than a right one, and some right one falls below the group's mean.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from polypath.objectives.dra import PAPER, DRAConfig, adjust_rewards
from polypath.presets import PRESETS
from polypath.rollouts.samples import load_samples
from polypath.sampling.run import sample_run
from polypath.sampling.settings import SamplingSettings
from polypath.similarity import Completions, get_similarity
from polypath.tasks import get_task

PROBLEMS, SAMPLES, ROUNDING = 500, 16, 1e-9
PRESET = {k.removeprefix("dra_"): v for k, v in PRESETS["diverse"].items() if k.startswith("dra_")}
CONFIGS = {"defaults": DRAConfig(), "preset diverse": DRAConfig(**PRESET), "paper": PAPER}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=None)
    out = parser.parse_args().out or Path(tempfile.mkdtemp())
    task = get_task("countdown")
    settings = SamplingSettings(max_new_tokens=task.max_completion_length, batch_size=512)
    sample_run(
        *("countdown-base", task),
        **{"out": out, "split": "train", "limit": PROBLEMS, "num_samples": SAMPLES},
        settings=settings,
    )
    run = load_samples(out)
    accuracy = torch.tensor([[float(bool(c)) for c in row] for row in run.correct]).double()
    right = accuracy > 0
    flat = [answer for row in run.answers for answer in row]
    answer = get_similarity("answer")
    nothing = [""] * len(flat)
    rows = Completions(texts=nothing, token_ids=[[] for _ in flat], solutions=flat)
    similarity = answer.matrix(answer.features(rows), SAMPLES)
    mixed = right.any(1) & ~right.all(1)
    draw = torch.randint(2, right.shape, generator=torch.Generator().manual_seed(0))
    forms = {"1 for all": 1.0, "0.1 for all": 0.1, "0 or 0.5 at random": draw / 2}
    for form, reward in forms.items():
        sums = accuracy + reward
        above_mean = right & (sums > sums.mean(1, keepdim=True))
        for name, config in CONFIGS.items():
            got = adjust_rewards(config, sums, similarity, None, accuracy)
            pairs = right.unsqueeze(2) & ~right.unsqueeze(1)
            turned = pairs & (got.unsqueeze(2) < got.unsqueeze(1) - ROUNDING)
            fallen = above_mean & (got < got.mean(1, keepdim=True) - ROUNDING)
            shares = [x.flatten(1).any(1)[mixed].double().mean() for x in (turned, fallen)]
            print(
                f"form {form:18} {name:14} wrong above right {shares[0]:.3f}  right below the mean "
                f"{shares[1]:.3f}  of {int(mixed.sum())} groups"
            )


if __name__ == "__main__":
    main()
