"""What the quickstart trains and measures, and the jobs that do it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from polypath.errors import ConfigError, unknown_name
from polypath.studies.jobs import Job
from polypath.studies.quickstart import work
from polypath.train.callbacks import read_log

RECIPE = Path(__file__).parent / "grpo.yaml"
UPDATES_PER_ROUND = 4  # steps_per_generation of the recipe
ROUNDS_PER_CHECKPOINT = 40
MIN_SAMPLES = 64  # for the largest k of the tables
TEMPERATURES = (0.05, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # the cooled base's candidates
SPLITS = {
    "test": "held-out problems",
    "test_3numbers": "out of domain: three numbers",
    "test_large": "out of domain: targets 60 to 99",
}


@dataclass(frozen=True, kw_only=True)
class Method:
    """One training method of the quickstart.

    Attributes:
        label: in tables and figures.
        overrides: settings that differ from the GRPO recipe; each works as ``--key value`` of
            ``polypath train`` too.
        rehearses: whether it needs the rehearsal set.
    """

    label: str
    overrides: Mapping[str, str]
    rehearses: bool = False


METHODS: dict[str, Method] = {
    "grpo": Method(label="GRPO", overrides={}),
    "dra": Method(label="DRA", overrides={"dra": "true", "similarity": "answer"}),
    "positive_entropy": Method(
        label="positive entropy", overrides={"positive_entropy_coef": "0.2"}
    ),
    "rehearsal": Method(
        label="rehearsal",
        overrides={"rehearsal_coef": "0.3", "rehearsal_divergence": "forward_kl"},
        rehearses=True,
    ),
    "combined": Method(
        label="DRA + entropy",
        overrides={
            "dra": "true",
            "similarity": "answer",
            "dra_graph_cut_lambda": "0.1",
            "positive_entropy_coef": "0.2",
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class QuickstartSettings:
    """How long, which, and how precisely.

    Attributes:
        out: folder of everything.
        methods: keys of ``METHODS``; GRPO is always among them, as what the others compare with.
        steps: rounds of 512 completions and 4 updates each, >= 1.
        num_problems: held-out problems; out of domain, and of dev to choose a temperature on, half as many.
        num_samples: samples of each, >= 64; out of domain 64.
        seed: of training and evaluation.
        workers: processes.
    """

    out: Path
    methods: tuple[str, ...] = tuple(METHODS)
    steps: int = 200
    num_problems: int = 400
    num_samples: int = 128
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in METHODS:
                raise unknown_name("method", name, METHODS)
        if "grpo" not in self.methods:
            object.__setattr__(self, "methods", ("grpo", *self.methods))
        for name, least in (("steps", 1), ("num_problems", 2), ("workers", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.num_samples < MIN_SAMPLES:
            raise ConfigError(
                f"num_samples must be at least {MIN_SAMPLES} to measure pass@{MIN_SAMPLES}, "
                f"got {self.num_samples}."
            )

    def train_folder(self, method: str) -> Path:
        """Return where a method's run lives: other steps, seed or coefficients, another folder."""
        overrides = METHODS[method].overrides
        detail = "-".join(f"{key}={value}" for key, value in sorted(overrides.items()))
        detail = re.sub(r"[^\w=.-]", "_", detail)
        return (
            self.out / "runs" / f"{method}-steps={self.steps}-seed={self.seed}-{detail}".rstrip("-")
        )

    def evaluation_file(self, name: str, split: str, temperature: str = "1") -> Path:
        """Return where samples of a model on a split are kept."""
        folder = self.out / "base" if name == "base" else self.train_folder(name)
        num_problems, num_samples = self.split_size(split)
        size = f"{num_problems}x{num_samples}-seed={self.seed}"
        return folder / "evaluations" / f"{split}-T={temperature}-{size}.npz"

    def split_size(self, split: str) -> tuple[int, int]:
        """Return how many problems of a split are used, and how many samples of each."""
        if split == "test":
            return self.num_problems, self.num_samples
        return max(2, self.num_problems // 2), MIN_SAMPLES

    @property
    def rehearsal_folder(self) -> Path:
        """Return where the rehearsal set lives."""
        return self.out / "base" / f"rehearsal-seed={self.seed}"

    @property
    def cooled_file(self) -> Path:
        """Return where the base's accuracy at each temperature is kept."""
        problems, _ = self.split_size("dev")
        return self.out / "base" / f"temperatures-{problems}-seed={self.seed}.json"


def plan(settings: QuickstartSettings) -> list[Job]:
    """Return every job of a quickstart, in the order they should start."""
    jobs = []
    if any(METHODS[name].rehearses for name in settings.methods):
        jobs.append(
            Job(
                name="presample",
                function=work.presample,
                arguments={"out": str(settings.rehearsal_folder), "seed": settings.seed},
                result=settings.rehearsal_folder / "manifest.json",
            )
        )
    jobs.append(
        Job(
            name="cool the base",
            function=work.cool_base,
            arguments={
                "temperatures": TEMPERATURES,
                "num_problems": settings.split_size("dev")[0],
                "seed": settings.seed,
                "out": str(settings.cooled_file),
            },
            result=settings.cooled_file,
        )
    )
    for name in settings.methods:
        method = METHODS[name]
        folder = settings.train_folder(name)
        overrides = {
            **method.overrides,
            "output_dir": str(folder),
            "max_steps": str(settings.steps * UPDATES_PER_ROUND),
            "save_steps": str(ROUNDS_PER_CHECKPOINT * UPDATES_PER_ROUND),
            "seed": str(settings.seed),
        }
        if method.rehearses:
            overrides["rehearsal_set"] = str(settings.rehearsal_folder)
        jobs.append(
            Job(
                name=f"train {method.label}",
                function=work.train,
                arguments={"recipe": str(RECIPE), "overrides": overrides},
                result=folder / "finished.json",
                after=("presample",) if method.rehearses else (),
                total=settings.steps,
                done=partial(_rounds_done, folder / "log.jsonl"),
            )
        )
    jobs += _evaluations(settings)
    return jobs


def _evaluations(settings: QuickstartSettings) -> list[Job]:
    jobs = []
    for name in ("base", "base_cooled", *settings.methods):
        model, temperature_from, after = "countdown-base", "", ""
        if name == "base_cooled":
            temperature_from, after = str(settings.cooled_file), "cool the base"
        elif name != "base":
            model, after = str(settings.train_folder(name)), f"train {METHODS[name].label}"
        owner = "base" if name == "base_cooled" else name
        temperature = "best" if name == "base_cooled" else "1"
        files = {
            split: settings.evaluation_file(owner, split, temperature=temperature)
            for split in SPLITS
        }
        jobs.append(
            Job(
                name=f"evaluate {label(name)}",
                function=work.evaluate_splits,
                arguments={
                    "model": model,
                    "temperature_from": temperature_from,
                    "splits": {
                        split: (str(path), *settings.split_size(split))
                        for split, path in files.items()
                    },
                    "seed": settings.seed,
                },
                result=files["test_large"],  # the last one written
                after=(after,) if after else (),
            )
        )
    return jobs


def label(name: str) -> str:
    """Return how a row is called."""
    return {"base": "base", "base_cooled": "base, cooled"}.get(name) or METHODS[name].label


def _rounds_done(log: Path) -> int:
    lines = read_log(log)
    return int(lines[-1]["step"]) // UPDATES_PER_ROUND if lines else 0
