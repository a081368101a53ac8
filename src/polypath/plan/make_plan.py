"""What a recipe would do and cost, from its settings and, if present, its model's config.json."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from polypath.credentials import hidden, redact
from polypath.errors import ConfigError
from polypath.plan.batches import Batches, plan_batches
from polypath.plan.flat_yaml import GivenValue
from polypath.plan.memory import (
    GB,
    Memory,
    ModelSize,
    Work,
    autocasts,
    dtype_of,
    estimate,
    why_no_estimate,
)
from polypath.plan.methods import banks, methods, rewards
from polypath.plan.needs import Need, needs
from polypath.plan.on_machine import find_model
from polypath.plan.settings import Settings, read_settings
from polypath.plan.zero import Zero, read_zero

PROMPT_TOKENS = 512  # the longest prompt, if the recipe's `# plan:` line does not give it
FACTS = ("processes", "vllm_gpus", "gpu_gb", "prompt_tokens")


@dataclass(frozen=True, kw_only=True)
class Price:
    """What is known about the hardware.

    Attributes:
        throughput: tokens generated per second and GPU of the run, averaged over whole steps, so
            that training time is included.
        price: price of one GPU for one hour, in any currency.
    """

    throughput: float | None = None
    price: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("throughput", "price"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} must be above 0, got {value:g}.")
        if self.price is not None and self.throughput is None:
            raise ConfigError(
                "price needs throughput: hours of GPUs come from tokens a second. "
                "Give --throughput too."
            )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that ``polypath train --plan`` prints."""

    recipe: str
    model: str
    parameters: int | None
    architecture: str
    methods: Sequence[str]
    rewards: Sequence[str]
    batches: Batches
    sharding: str
    gpus: int
    gpu_gb: float | None
    prompt_tokens: int
    memory: Memory | None
    needs: Sequence[Need]
    gpu_hours: float | None
    cost: float | None
    settings: Sequence[GivenValue]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def make_plan(
    config: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    gpus: int | None = None,
    price: Price | None = None,
) -> Plan:
    """Compute what a recipe would do and need. Nothing is started.

    Args:
        config: YAML file of the recipe; ``None`` for overrides only.
        overrides: ``["--key", "value", ...]``; they override the file.
        gpus: training GPUs, one process each; the recipe's own number by default.
        price: what is known about the hardware and its price.

    Raises:
        MissingFileError, DataError: the recipe or its DeepSpeed file cannot be read.
        ConfigError: an unknown key, a value that is not a number, or batches that do not divide.
    """
    settings = read_settings(config, overrides)
    _check_facts(settings.facts, config)
    folder = Path(config).parent if config is not None else Path()
    processes = gpus or int(settings.facts.get("processes", 1))
    batches = plan_batches(settings, processes)
    zero = read_zero(settings, folder)
    gpu_gb = settings.facts.get("gpu_gb")
    work = _work(settings, batches)
    name = settings.text("model_name_or_path")
    model_folder = find_model(name) if name else None
    size = _measure(model_folder, settings, zero, work)
    uncovered = why_no_estimate(settings, zero)
    memory = None
    if size is not None and not uncovered:
        memory = estimate(size, settings, zero, work, gpus=processes, gpu_gb=gpu_gb)
    all_gpus = processes + int(settings.facts.get("vllm_gpus", 0))
    hours, cost = _cost(batches, price or Price())
    return Plan(
        recipe=str(config) if config is not None else "(command line)",
        model=name,
        parameters=None if size is None else size.parameters,
        architecture=_size_source(model_folder, size),
        methods=methods(settings),
        rewards=rewards(settings),
        batches=batches,
        sharding=_sharding(settings, zero),
        gpus=all_gpus,
        gpu_gb=gpu_gb,
        prompt_tokens=work.prompt,
        memory=memory,
        needs=[replace(need, hint=redact(need.hint)) for need in needs(settings, folder)],
        gpu_hours=hours,
        cost=cost,
        settings=[
            replace(one, value=hidden(one.value, key)) for key, one in settings.given.items()
        ],
        notes=_notes(settings, batches, uncovered) + _fit_notes(memory, gpu_gb),
    )


def _work(settings: Settings, batches: Batches) -> Work:
    micro_steps = batches.processes * settings.count("gradient_accumulation_steps")
    generated = batches.completions_per_generation // batches.processes
    return Work(
        prompt=int(settings.facts.get("prompt_tokens", PROMPT_TOKENS)),
        completion=settings.count("max_completion_length"),
        rows=settings.count("per_device_train_batch_size")
        + batches.rehearsed_per_step // micro_steps,
        generated=0 if settings.flag("use_vllm") else generated,
    )


def _measure(
    folder: Path | None, settings: Settings, zero: Zero | None, work: Work
) -> ModelSize | None:
    """Return the sizes of the recipe's model, ``None`` if it is not here or of no known class."""
    dtype = dtype_of(settings, zero)
    if folder is None:
        return None
    from polypath.plan.model_size import measure_model  # imports torch: seconds

    return measure_model(
        folder,
        work,
        dtype=dtype,
        autocast=autocasts(settings, zero),
        attention=settings.text("attn_implementation"),
    )


def _size_source(folder: Path | None, size: ModelSize | None) -> str:
    if folder is None:
        return "size not known: its config.json is not on this machine"
    if size is None:
        return "size not known: transformers has no causal language model of its kind"
    return "measured from its config.json"


def _sharding(settings: Settings, zero: Zero | None) -> str:
    if zero is not None:
        return zero.name
    return "FSDP" if settings.get("fsdp") else "none: every GPU holds everything"


def _check_facts(facts: Mapping[str, float], config: str | Path | None) -> None:
    for name, value in facts.items():
        if name not in FACTS or value < 0 or (name == "processes" and value < 1):
            raise ConfigError(
                f"The '# plan:' line of {config} may hold {', '.join(FACTS)}, each at least 0 (1 "
                f"process), got {name}={value:g}."
            )


def _cost(batches: Batches, price: Price) -> tuple[float | None, float | None]:
    if price.throughput is None or batches.tokens_generated is None:
        return None, None
    hours = batches.tokens_generated / price.throughput / 3600
    return hours, None if price.price is None else hours * price.price


def _notes(settings: Settings, batches: Batches, uncovered: str) -> list[str]:
    notes = []
    if not settings.text("output_dir"):
        notes.append("output_dir is missing: the run needs one.")
    if not rewards(settings):
        notes.append("No reward is named: the run needs task or reward_funcs.")
    written = int(settings.facts.get("processes", batches.processes))
    if batches.processes != written:
        notes.append(
            f"Written for {written} training GPUs: on {batches.processes} a step has "
            f"{batches.completions_per_step} completions. Multiply gradient_accumulation_steps by "
            f"{written / batches.processes:g} to keep it."
        )
    bank_gb = _bank_gb(settings, batches)
    if bank_gb >= 1:
        notes.append(
            f"The bank may grow to {bank_gb:.0f} GB in the host memory of every process, and in checkpoints. "
            "Lower bank_capacity to bound it."
        )
    if uncovered:
        notes.append(f"No memory estimate: it does not cover {uncovered}.")
    return notes


def _bank_gb(settings: Settings, batches: Batches) -> float:
    """Return the size of a full bank of the longest completions: a token id and a log-prob for each token."""
    if not banks(settings):
        return 0.0
    solutions = (batches.problems or 0) * settings.count("bank_capacity")
    return solutions * settings.count("max_completion_length") * 8 / GB


def _fit_notes(memory: Memory | None, gpu_gb: float | None) -> list[str]:
    if memory is None or not gpu_gb or memory.peak <= gpu_gb:
        return []
    return [
        f"May not fit: {memory.peak:.0f} GB for sequences of the greatest length, on GPUs of "
        f"{gpu_gb:g} GB. Lower per_device_train_batch_size (and raise "
        "gradient_accumulation_steps), or shard more."
    ]
