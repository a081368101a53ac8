"""A task's problems in the columns that verl reads."""

import io
from pathlib import Path

import pyarrow as pa

from polypath.rollouts.files import write_file
from polypath.rollouts.parquet import write_parquet
from polypath.tasks.base import Task


def write_task(
    task: Task,
    path: str | Path,
    *,
    split: str,
    limit: int | None = None,
    source: str | None = None,
) -> int:
    """Write the problems of a split as a Parquet file for ``data.train_files`` or ``data.val_files``.

    Args:
        task: gives the problems.
        path: of the file.
        split: of the task.
        limit: only the first problems; ``None`` for all.
        source: the column ``data_source``, in which ``compute_score`` looks for the name of the task; by
            default the task's own.

    Returns:
        The number of problems.

    Raises:
        ConfigError: the task has no such split.
    """
    rows = [
        {
            "data_source": source or task.name,
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
