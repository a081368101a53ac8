"""What a recipe would do and cost, from its settings alone: no weights, no torch, no network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError
from polypath.plan.batches import Batches, plan_batches
from polypath.plan.lines import Need, methods, needs, rewards
from polypath.plan.memory import Load, Memory, estimate
from polypath.plan.models import Architecture, Sharding, architecture, sharding
from polypath.plan.recipe_file import Setting
from polypath.plan.settings import Settings, read_settings

PROMPT_TOKENS = 512  # of a recipe that does not say
FACTS = ("processes", "vllm_gpus", "gpu_gb", "prompt_tokens")


@dataclass(frozen=True, kw_only=True)
class Price:
    """What is known about the hardware.

    Attributes:
        throughput: tokens generated a second, divided by all GPUs of the run; the time for
            training counts, so this is measured over whole steps.
        price: of one GPU for one hour, in any currency.
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
    """Everything ``polypath train --plan`` tells."""

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
    settings: Sequence[Setting]
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
    """Work out what a recipe would do.

    Args:
        config: YAML file of the recipe; ``None`` for overrides only.
        overrides: ``["--key", "value", ...]``; they win over the file.
        gpus: training GPUs, one process each; the recipe's own number by default.
        price: what is known about the hardware.

    Raises:
        MissingFileError, DataError: the recipe or its DeepSpeed file cannot be read.
        ConfigError: an unknown key, a value that is no number, or batches that do not divide.
    """
    settings = read_settings(config, overrides)
    _check_facts(settings.facts, config)
    folder = Path(config).parent if config is not None else Path()
    processes = gpus or int(settings.facts.get("processes", 1))
    batches = plan_batches(settings, processes)
    name = settings.text("model_name_or_path")
    model = architecture(name) if name else None
    shards = sharding(settings, folder)
    memory = None if model is None else _memory(model, settings, shards, batches)
    gpu_gb = settings.facts.get("gpu_gb")
    all_gpus = processes + int(settings.facts.get("vllm_gpus", 0))
    hours, cost = _cost(batches, price or Price())
    return Plan(
        recipe=str(config) if config is not None else "(command line)",
        model=name,
        parameters=None if model is None else model.parameters,
        architecture=_known_by(model),
        methods=methods(settings),
        rewards=rewards(settings),
        batches=batches,
        sharding=shards.name,
        gpus=all_gpus,
        gpu_gb=gpu_gb,
        prompt_tokens=_prompt_tokens(settings),
        memory=memory,
        needs=needs(settings, folder),
        gpu_hours=hours,
        cost=cost,
        settings=list(settings.given.values()),
        notes=_notes(settings, batches, memory, gpu_gb),
    )


def _prompt_tokens(settings: Settings) -> int:
    return int(settings.facts.get("prompt_tokens", PROMPT_TOKENS))


def _memory(model: Architecture, settings: Settings, shards: Sharding, batches: Batches) -> Memory:
    pieces = batches.processes * settings.count("gradient_accumulation_steps")
    load = Load(
        gpus=batches.processes,
        gpu_gb=settings.facts.get("gpu_gb"),
        tokens=_prompt_tokens(settings) + settings.count("max_completion_length"),
        rows=settings.count("per_device_train_batch_size") + batches.rehearsed_per_step // pieces,
        generated=batches.completions_per_generation // batches.processes,
    )
    return estimate(model, settings, shards, load)


def _check_facts(facts: Mapping[str, float], config: str | Path | None) -> None:
    for name, value in facts.items():
        if name not in FACTS or value < 0 or (name == "processes" and value < 1):
            raise ConfigError(
                f"The '# plan:' line of {config} may hold {', '.join(FACTS)}, each at least 0 (1 "
                f"process), got {name}={value:g}."
            )


def _known_by(model: Architecture | None) -> str:
    if model is None:
        return "not known: no memory estimate before the model is on this machine"
    return "assumed from the published config" if model.assumed else "read from config.json"


def _cost(batches: Batches, price: Price) -> tuple[float | None, float | None]:
    if price.throughput is None or batches.tokens_generated is None:
        return None, None
    hours = batches.tokens_generated / price.throughput / 3600
    return hours, None if price.price is None else hours * price.price


def _notes(
    settings: Settings, batches: Batches, memory: Memory | None, gpu_gb: float | None
) -> list[str]:
    notes = []
    if not settings.text("output_dir"):
        notes.append("output_dir is missing: the run needs one.")
    written = int(settings.facts.get("processes", batches.processes))
    if batches.processes != written:
        notes.append(
            f"Written for {written} training GPUs: on {batches.processes} a step has "
            f"{batches.completions_per_step} completions. Multiply gradient_accumulation_steps by "
            f"{written / batches.processes:g} to keep it."
        )
    if memory is not None and gpu_gb and memory.peak > gpu_gb:
        notes.append(
            f"May not fit: {memory.peak:.0f} GB for sequences of the greatest length, on GPUs of "
            f"{gpu_gb:g} GB. Lower per_device_train_batch_size (and raise "
            "gradient_accumulation_steps), or shard more."
        )
    return notes
