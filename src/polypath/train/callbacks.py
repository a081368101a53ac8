"""Files that a run writes while it trains: its log, and a mark on every complete checkpoint."""

import json
import time
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from polypath.rollouts.files import write_file
from polypath.train.checkpoints import mark

LOG_FILE = "log.jsonl"  # one line a logging step


class MarkComplete(TrainerCallback):
    """Mark a checkpoint once all of it is on disk.

    A process that is killed while it saves leaves a folder that looks like a checkpoint. Without the mark,
    resuming would pick it and fail, or start from half of the optimizer's state.
    """

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the mark on the main process. transformers calls this after saving."""
        del control, kwargs
        PartialState().wait_for_everyone()  # every process writes its own random state
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            mark(folder)


class Loaded(Exception):
    """The checkpoint is loaded and nothing is left to train. It is no error, but the way out of ``train``."""


class StopWhenLoaded(TrainerCallback):
    """Leave ``train`` once the model is wrapped and its checkpoint loaded, before any step."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raise ``Loaded``."""
        del args, state, control, kwargs
        raise Loaded


class LogFile(TrainerCallback):
    """Write every logged line to a JSONL file, on the main process.

    When a run resumes, the lines after the checkpoint are dropped, because those steps are trained and
    logged again. So is the summary of a run that was killed after writing it, before all was saved.

    ``cpu_seconds`` of a line is the CPU time of this process since training began, for the steps that are
    kept: without start-up, and without processes that verify for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cpu_before = 0.0  # of the steps before this start
        self._cpu_start = time.process_time()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Cut the file back to the step that training starts from."""
        del args, control, kwargs
        if not state.is_world_process_zero:
            return
        start = state.global_step
        lines = read_log(self._path) if start else []
        kept = [line for line in lines if line["step"] <= start and "train_runtime" not in line]
        spent = [line["cpu_seconds"] for line in kept if "cpu_seconds" in line]
        self._cpu_before, self._cpu_start = (spent or [0.0])[-1], time.process_time()
        # Complete or not at all: a kill here must not lose the log.
        write_file(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Append one line."""
        del args, control, kwargs
        if state.is_world_process_zero and logs:
            cpu = self._cpu_before + time.process_time() - self._cpu_start
            line = {"step": state.global_step, **logs, "cpu_seconds": round(cpu, 3)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, default=str) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log file, without a last line that was cut off by a kill."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines
