"""Train with every method, in float32 on fixed completions, and save what came out.

``python -m tests.gpu.two_processes MODEL REHEARSAL OUT`` under a launcher; alone it is one process.
"""

import json
import os
import sys
from pathlib import Path

from polypath.train.run import leave_process_group


def train_and_save(model: Path, rehearsal: Path, out: Path) -> None:
    """Train two steps on eight completions a step, and write log and, where whole, parameters."""
    from safetensors.torch import save_file

    from tests.engines.trl import helpers

    on_cpu = os.environ.get("ACCELERATE_USE_CPU") == "true"
    options = helpers.all_terms(rehearsal, **helpers.SGD, rehearsal_explore_only=False)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    options.update(
        trainer_class=helpers.FixedCompletions,
        rewards=helpers.coin,
        num_generations=8,
        per_device_train_batch_size=8 // world,
        rehearsal_share=1.0,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and world > 1 else None,
    )
    trainer = helpers.train(model, out / "run", **options)
    state = trainer.accelerator.get_state_dict(trainer.model)  # gathers what is split
    if trainer.accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        plain = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        plain.pop("lm_head.weight", None)  # tied
        save_file(plain, out / "state.safetensors")
        (out / "log.json").write_text(json.dumps(trainer.state.log_history))


if __name__ == "__main__":
    train_and_save(*map(Path, sys.argv[1:]))
    leave_process_group()
