"""A task's problems in the columns that verl reads."""

import io
from pathlib import Path

import pyarrow as pa

from polypath.rollouts.files import write_file
from polypath.rollouts.parquet import write_parquet
from polypath.tasks.base import Task


def write_task(task: Task, path: str | Path, *, split: str, limit: int | None = None) -> int:
    """Write the problems of a split as a Parquet file for ``data.train_files`` or ``data.val_files``.

    Args:
        task: whose name goes into the column ``data_source``, where ``compute_score`` looks for it.
        path: of the file.
        split: of the task.
        limit: only the first problems; ``None`` for all.

    Returns:
        The number of problems.

    Raises:
        ConfigError: the task has no such split.
    """
    rows = [
        {
            "data_source": task.name,
            "prompt": [{"role": "user", "content": problem.prompt}]
            if isinstance(problem.prompt, str)
            else [dict(message) for message in problem.prompt],
            "reward_model": {"style": "rule", "ground_truth": problem.gold},
            "extra_info": {"index": index, "split": split, "problem_id": problem.problem_id},
        }
        for index, problem in enumerate(task.problems(split, limit))
    ]
    buffer = io.BytesIO()
    write_parquet(pa.Table.from_pylist(rows), buffer)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_file(Path(path), buffer.getvalue())
    return len(rows)
