"""The file of a bank in a checkpoint: one Parquet file, one row per solution."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from polypath.errors import DataError, MissingFileError
from polypath.rehearsal.bank import BankEntry, SampledTokens, Seen, SolutionBank
from polypath.rollouts.files import atomic_write
from polypath.rollouts.parquet import open_parquet, write_parquet

_SCHEMA = pa.schema(
    [
        ("prompt_ids", pa.list_(pa.int32())),
        ("solution", pa.large_string()),
        ("completion_ids", pa.list_(pa.int32())),
        ("logps", pa.list_(pa.float32())),
        ("step", pa.int64()),
        ("count", pa.int64()),
    ]
)


def write_bank(path: Path, bank: SolutionBank) -> None:
    """Write what a bank holds, whole or not at all; the folder is made."""
    columns = {
        "prompt_ids": [entry.seen.prompt for entry in bank],
        "solution": [entry.seen.solution for entry in bank],
        "completion_ids": [entry.completion.ids for entry in bank],
        "logps": [entry.completion.logps for entry in bank],
        "step": [entry.step for entry in bank],
        "count": [entry.count for entry in bank],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        write_parquet(pa.table(columns, schema=_SCHEMA), file)


def read_bank(path: Path, bank: SolutionBank) -> None:
    """Put what a file holds into a bank, in place of what it held.

    Raises:
        MissingFileError: there is no file.
        DataError: it cannot be read, or is not a bank's.
    """
    if not path.is_file():
        raise MissingFileError(
            f"{path} does not exist: the checkpoint was saved without a bank of solutions. Continue it with "
            "bank: false, or start the run anew."
        )
    try:
        with open_parquet(path) as parquet:
            rows = parquet.read().cast(_SCHEMA).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is not a bank of solutions that can be read: {error}. Resume from another checkpoint."
        ) from None
    bank.restore(
        [
            BankEntry(
                seen=Seen(tuple(row["prompt_ids"]), row["solution"]),
                completion=SampledTokens(
                    np.array(row["completion_ids"], np.int32), np.array(row["logps"], np.float32)
                ),
                step=row["step"],
                count=row["count"],
                priority=0,
            )
            for row in rows
        ]
    )
