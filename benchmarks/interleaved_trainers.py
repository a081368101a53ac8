"""Trainers in one process that do one step each in turn, and what each step takes."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import TrainerCallback

Clock = Callable[[], float]


class _Enough(BaseException):
    """Ends a trainer between two steps."""


class Turns(TrainerCallback):
    """Let one trainer do one step at a time, and take its time; every step has its own random seed.

    Attributes:
        times: of the steps so far.
    """

    def __init__(self, trainer: Any, clock: Clock = time.process_time) -> None:
        self.times: list[float] = []
        self._clock = clock
        self._enough = False
        self._may_start, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self._failed: BaseException | None = None
        trainer.add_callback(self)
        self._thread = threading.Thread(target=self._train, args=(trainer,), daemon=True)
        self._thread.start()
        self._wait()

    def _train(self, trainer: Any) -> None:
        try:
            trainer.train()
        except _Enough:
            pass
        except BaseException as error:  # handed to the thread that waits
            self._failed = error
        self._waits.release()

    def _wait(self) -> None:
        self._waits.acquire()
        if self._failed is not None:
            raise self._failed

    def step(self) -> None:
        """Do one step, up to where the next one would start."""
        self._may_start.release()
        self._wait()

    def finish(self) -> None:
        """End the trainer, and let go of it."""
        self._enough = True
        self._may_start.release()
        self._thread.join()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        self._waits.release()
        self._may_start.acquire()
        if self._enough:
            raise _Enough
        torch.manual_seed(state.global_step)
        self._start = self._clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, state, control
        self.times.append(self._clock() - self._start)


def rotate(turns: Mapping[str, Turns], round_: int) -> None:
    """Let every trainer do one step; another one is first in every round."""
    order = list(turns)
    first = round_ % len(order)
    for arm in [*order[first:], *order[:first]]:
        turns[arm].step()


def watch(
    owner: Any,
    name: str,
    times: list[float],
    clock: Clock = time.process_time,
    see: Callable[..., None] | None = None,
) -> None:
    """Let a method of an object note how long each call takes, and ``see`` the arguments."""
    method: Callable[..., Any] = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        start = clock()
        result = method(*args, **kwargs)
        times.append(clock() - start)
        if see is not None:
            see(*args, **kwargs)
        return result

    setattr(owner, name, watched)
