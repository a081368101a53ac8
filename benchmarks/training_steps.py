"""CPU time and peak memory of training steps, trainers taking turns.

All trainers live in one process and do one step each, in rotating order, so that whatever disturbs
the machine disturbs all of them. Every step starts from the same random seed and generates the same
number of tokens. One thread; time is process time. Peak memory is the most that tensors hold at once
during two steps, by torch's profiler, each trainer in a process of its own.
"""

import ctypes
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
import torch
from training_arms import Setting, make
from turns import Turns, rotate, watch

Times = dict[str, npt.NDArray[np.float64]]


class Watched(Turns):
    """Turns that also see what generation and the similarity's features take."""

    def __init__(self, trainer: Any) -> None:
        self.generation: list[float] = []
        self.features: list[float] = []
        self.texts: list[list[str]] = []
        watch(trainer, "_generate_single_turn", self.generation)
        self.similarity = trainer._groups._similarity if hasattr(trainer, "_groups") else None
        if self.similarity is not None:
            watch(self.similarity, "features", self.features, see=self._keep_texts)
        super().__init__(trainer)

    def _keep_texts(self, rows: Any) -> None:
        self.texts.append(rows.texts)

    def embedded_tokens(self) -> list[int]:
        """Return how many tokens the embedding model read in each step."""
        model = self.similarity._model
        cut = {"truncation": True, "max_length": model.max_seq_length}
        return [
            sum(map(len, model.tokenizer(list(set(texts)), **cut)["input_ids"]))
            for texts in self.texts
        ]


def one_arena() -> None:
    """Let all threads take memory from one place: what one trainer frees, the next one uses."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(-8, 1)  # M_ARENA_MAX


def step_times(arms: Sequence[str], folder: Path, setting: Setting, steps: int) -> dict[str, Times]:
    """Return CPU seconds of each step, of it without generation, and of a similarity's features.

    One step before the measured ones is left out.
    """
    turns = {arm: Watched(make(arm, folder, setting, steps + 1)) for arm in arms}
    for step in range(steps + 1):
        rotate(turns, step)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    found = {}
    for arm, turn in turns.items():
        total, generation = np.array(turn.times[1:]), np.array(turn.generation[1:])
        found[arm] = {"step": total, "rest": total - generation}
        if turn.features:
            found[arm]["features"] = np.array(turn.features[1:])
        if hasattr(turn.similarity, "model_name"):
            found[arm]["embedded_tokens"] = np.array(turn.embedded_tokens()[1:])
    return found


def peak_bytes(arm: str, folder: Path, setting: Setting) -> int:
    """Return the most bytes that tensors hold at once in two steps."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        make(arm, folder, setting, 2).train()
    events = [
        (event.start_ns(), event.nbytes())
        for event in profile.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    held = np.cumsum([size for _, size in sorted(events, key=lambda event: event[0])])
    return int(held.max())


def peaks(arms: Sequence[str], folder: Path, setting: Setting) -> dict[str, int]:
    """Return ``peak_bytes`` of each arm, each in a process of its own."""
    command = [sys.executable, __file__, str(folder), json.dumps(asdict(setting)), *arms]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["peak"')]
    found = {arm: size for _, arm, size in lines}
    assert list(found) == list(arms), done.stderr[-3000:]
    return found


def main(folder: str, setting: str, *arms: str) -> None:
    """Fork for each arm: what is imported once is imported for all."""
    for arm in arms:
        child = os.fork()
        if child == 0:
            size = peak_bytes(arm, Path(folder), Setting(**json.loads(setting)))
            print(json.dumps(["peak", arm, size]), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit(f"measuring the peak of {arm!r} failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
