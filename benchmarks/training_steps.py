"""CPU time and peak memory of training steps, trainers taking turns.

All trainers live in one process and do one step each, in rotating order, with stock steps in between,
so that whatever disturbs the machine disturbs a step and those it is compared with. Every step starts
from the same random seed and generates the same number of tokens. One thread; time is process time.
Peak memory is the most that tensors hold at once during two steps, by torch's profiler, each trainer
in a process of its own.
"""

import ctypes
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
import torch
from interleaved_trainers import Turns, watch
from training_arms import AGAIN, STOCK, Setting, make

Times = dict[str, npt.NDArray[np.float64]]
BETWEEN = 3  # steps between two stock ones
WARM = 2  # first steps of the two stock trainers


class Watched(Turns):
    """Turns that also see what generation and the similarity's features take."""

    def __init__(self, trainer: Any) -> None:
        self.generation: list[float] = []
        self.features: list[float] = []
        self.texts: list[list[str]] = []
        watch(trainer, "_generate_single_turn", self.generation)
        self.similarity = trainer._groups.similarity if hasattr(trainer, "_groups") else None
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


class Beside:
    """The two stock trainers by turns, every few steps: what the steps between are compared with.

    A machine drifts by some percent within a minute; two stock steps close by drift with it.
    """

    def __init__(self, stock: Mapping[str, Watched]) -> None:
        self._stock = stock
        self._order: list[str] = []
        self._taken: list[npt.NDArray[np.float64]] = []

    def step(self) -> npt.NDArray[np.float64]:
        """Let the next of the two do a step; return its seconds, with and without generation."""
        arm = (STOCK, AGAIN)[len(self._order) % 2]
        turn = self._stock[arm]
        turn.step()
        self._order.append(arm)
        self._taken.append(np.array([turn.times[-1], turn.times[-1] - turn.generation[-1]]))
        return self._taken[-1]

    def times(self, arm: str) -> Times:
        """Return the steps of one of the two, each beside those of the other around it."""
        places = [i for i in range(WARM + 1, len(self._order)) if self._order[i] == arm]
        near = [np.mean(self._taken[i - 1 : i + 2 : 2], axis=0) for i in places]
        return named([self._taken[i] for i in places], near)


def named(
    taken: Sequence[npt.NDArray[np.float64]], near: Sequence[npt.NDArray[np.float64]]
) -> Times:
    (step, rest), (near_step, near_rest) = np.array(taken).T, np.array(near).T
    return {"step": step, "rest": rest, "step_stock": near_step, "rest_stock": near_rest}


def step_times(arms: Sequence[str], folder: Path, setting: Setting, steps: int) -> dict[str, Times]:
    """Return CPU seconds of each step, of it without generation, and of a similarity's features.

    Beside each step those of stock: the mean of the stock steps before and after it, which are at most
    ``BETWEEN`` steps away. One step before the measured ones is left out.
    """
    others = [arm for arm in arms if arm not in (STOCK, AGAIN)]
    rounds, gaps = steps + 1, -(-len(others) // BETWEEN)
    most = {arm: rounds * gaps + WARM if arm in (STOCK, AGAIN) else rounds for arm in arms}
    turns = {arm: Watched(make(arm, folder, setting, most[arm] + 1)) for arm in arms}
    beside = Beside(turns)
    near: dict[str, list[npt.NDArray[np.float64]]] = {arm: [] for arm in others}
    for _ in range(WARM):
        beside.step()
    before = beside.step()
    for round_ in range(rounds):
        first = round_ % len(others)
        order = [*others[first:], *others[:first]]
        for gap in range(gaps):
            between = order[gap * BETWEEN : (gap + 1) * BETWEEN]
            for arm in between:
                turns[arm].step()
            after = beside.step()
            for arm in between:
                near[arm].append((before + after) / 2)
            before = after
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    found = {arm: beside.times(arm) for arm in (STOCK, AGAIN)}
    for arm in others:
        turn = turns[arm]
        total, generation = np.array(turn.times), np.array(turn.generation)
        found[arm] = named(np.stack([total, total - generation], axis=1)[1:], near[arm][1:])
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
