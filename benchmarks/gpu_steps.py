"""What ``benchmarks/gpu.py`` measures of one size: peaks, steps in turns, and the parts of a step."""

import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from gpu_arms import MINILM, World
from interleaved_trainers import Turns, rotate, watch
from results_file import spread
from training_arms import STOCK
from transformers import TrainerCallback

from polypath.objectives import AdvantageConfig, DRAConfig, adjust_rewards, group_advantages
from polypath.objectives.dra import MUTUAL_INFORMATION
from polypath.similarity import Completions, SimilarityConfig, get_similarity
from polypath.similarity.cosine import cosine_matrix, unit_rows

Times = dict[str, list[float]]


def clock(device: torch.device) -> float:
    """Return the time when everything that was handed to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(
    device: torch.device, call: Callable[[], Any], repeats: int, warm: int = 1
) -> list[float]:
    """Return the seconds of each call, after calls that do not count."""
    times = []
    for _ in range(warm + repeats):
        start = clock(device)
        call()
        times.append(clock(device) - start)
    return times[warm:]


# --- peak memory -------------------------------------------------------------------------------


class Peak(TrainerCallback):
    """Read the most bytes held at once during the last of a few steps."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        torch.cuda.reset_peak_memory_stats(self.device)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        torch.cuda.synchronize(self.device)
        self.bytes = torch.cuda.max_memory_allocated(self.device)


def peak_bytes(world: World, arm: str) -> int | None:
    """Return the peak of an arm's second step, while no other trainer exists; None: out of memory."""
    free()
    peak = Peak(world.device)
    try:
        trainer = world.trainer(arm, 2)
        trainer.add_callback(peak)
        trainer.train()
    except torch.OutOfMemoryError:
        return None
    finally:
        world.optimizer.zero_grad(set_to_none=True)
    return peak.bytes


def free() -> None:
    """Let go of trainers that nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def peaks(world: World, arms: Sequence[str]) -> dict[str, int | None]:
    """Return the peak bytes of each arm alone; none where the device keeps no record."""
    if world.device.type != "cuda":
        return {}
    peak_bytes(world, STOCK)  # what the libraries allocate at their first use stays allocated
    free()
    base = torch.cuda.memory_allocated(world.device)
    found = {}
    for arm in arms:
        found[arm] = peak_bytes(world, arm)
        free()
        left = torch.cuda.memory_allocated(world.device) - base
        if left > base / 1000:
            print(f"{arm}: {left / 1e6:.1f} MB were not freed, and are in later peaks")
    return found


# --- time --------------------------------------------------------------------------------------


def step_times(
    world: World, arms: Sequence[str], rounds: int, deadline: float
) -> tuple[Times, list[float]]:
    """Return the seconds of each step without generation, and what embedding takes of its step.

    Two steps before the measured ones are left out.
    Trainers take turns in rotating order. At least three rounds; fewer than asked past the deadline.
    """
    warm, tick = 2, partial(clock, world.device)
    turns, embedding = {}, []
    for arm in arms:
        trainer = world.trainer(arm, rounds + warm + 1)
        if "MiniLM" in arm:
            watch(trainer._groups.similarity, "features", embedding, tick)
        turns[arm] = Turns(trainer, tick)
        del trainer
    for done in range(rounds + warm):
        if done >= warm + 3 and time.perf_counter() > deadline:
            break
        rotate(turns, done)
    for turn in turns.values():
        turn.finish()
    times = {arm: turn.times[warm:] for arm, turn in turns.items()}
    steps = next((times[arm] for arm in arms if "MiniLM" in arm), [])
    return times, [part / step for part, step in zip(embedding[warm:], steps, strict=True)]


def generation_times(world: World, repeats: int) -> list[float]:
    """Return the seconds of ``generate`` in stock steps, each of which makes all its tokens."""
    trainer = world.trainer(STOCK, repeats + 1, generating=True)
    times: list[float] = []
    watch(trainer, "_generate_single_turn", times, partial(clock, world.device))
    trainer.train()
    return times[1:]


# --- parts -------------------------------------------------------------------------------------


def embedding_part(world: World, repeats: int) -> dict[str, Any]:
    """Time the embedding of one step's completions."""
    similarity: Any = get_similarity(
        "embedding",
        SimilarityConfig(
            embedding_model=world.embedding,
            embedding_max_tokens=MINILM["tokens"],
            embedding_device=str(world.device),
        ),
    )
    ids = world.completions(world.size.completions, seed=0)
    texts = world.tokenizer.batch_decode(ids)
    rows = Completions(texts=texts, token_ids=ids, solutions=[None] * len(ids))
    seconds = spread(timed(world.device, lambda: similarity.features(rows), repeats, warm=3))
    cut = {"truncation": True, "max_length": MINILM["tokens"]}
    tokens = sum(map(len, similarity._model.tokenizer(texts, **cut)["input_ids"]))
    return {
        "model": world.embedding_name,
        "texts": len(texts),
        "tokens": tokens,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds[1],
    }


def rescore_part(world: World, repeats: int) -> dict[str, Any]:
    """Time reference log-probs of four steps' completions, a step's worth at a time."""
    rows = world.completions(4 * world.size.completions, seed=1)
    seconds = spread(
        timed(world.device, lambda: world.score(rows, world.size.completions), repeats)
    )
    tokens = sum(map(len, rows))
    return {
        "precision": "bf16-mixed" if world.bf16 else "float32",
        "completions": len(rows),
        "tokens": tokens,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds[1],
    }


def adjustment_part(
    device: torch.device, shape: tuple[int, int, int], repeats: int
) -> list[dict[str, Any]]:
    """Time embeddings to advantages for P prompts, G completions and D dimensions.

    The last row is log_det where every completion has three near copies, so that eigenvalues of the
    shifted kernel must be raised.
    """
    prompts, group, width = shape
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(prompts, group, width, generator=generator) + 1
    copies = vectors[:, : group // 4].repeat(1, 4, 1)
    copies *= torch.rand(prompts, group, 1, generator=generator) + 0.5  # equal but for rounding
    rewards = torch.rand(prompts, group, generator=generator).to(device)
    cases = [(kind, vectors, "drawn at random") for kind in MUTUAL_INFORMATION]
    cases.append(("log_det", copies, "three copies of each"))
    rows = []
    for kind, made, what in cases:
        moved = made.flatten(0, 1).to(device)
        empty = [False] * len(moved)

        def adjust(kind: Any = kind, moved: Any = moved, empty: Any = empty) -> None:
            similarity = cosine_matrix(unit_rows(moved, empty, "benchmark"), group)
            adjusted = adjust_rewards(DRAConfig(mutual_information=kind), rewards, similarity)
            group_advantages(AdvantageConfig(), adjusted)

        seconds = spread(timed(device, adjust, repeats, warm=2))
        about = {"mutual_information": kind, "embeddings": what, "shape": list(shape)}
        rows.append({**about, "seconds": seconds})
    return rows
