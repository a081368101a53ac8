"""A rehearsal set: stored answers of mastered problems, with the reference's log-probs.

It is a folder of ``rehearsal.safetensors`` (token ids and log-probs, flat, with offsets),
``partition.parquet`` (the set of every problem) and ``manifest.json``. Loading it executes nothing in
it.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rehearsal.manifest import RehearsalManifest
from polypath.rehearsal.padding import pad_left, pad_right
from polypath.rehearsal.partition import ProblemSet
from polypath.rollouts.files import write_file
from polypath.rollouts.parquet import write_parquet

TENSORS_NAME = "rehearsal.safetensors"
PARTITION_NAME = "partition.parquet"
MANIFEST_NAME = "manifest.json"
_DTYPES = {
    "prompt_ids": torch.int32,
    "prompt_offsets": torch.int64,
    "completion_ids": torch.int32,
    "completion_offsets": torch.int64,
    "ref_logps": torch.float32,
}
_PARTITION_SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("prompt", pa.string()),
        ("prompt_key", pa.string()),
        ("problem_set", pa.string()),
        ("correct", pa.int64()),
        ("sampled", pa.int64()),
        ("rows", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionRow:
    """The set that one problem was put into.

    Attributes:
        problem_id: id of the problem.
        prompt: the prompt as ``rollouts.encode_prompt`` writes it.
        prompt_key: its ``prompt_key``.
        problem_set: a value of ``ProblemSet``.
        correct: number of correct samples among the first ``sampled``.
        sampled: number of samples that decided.
        rows: numbers of the problem's rows in the rehearsal set.
    """

    problem_id: str
    prompt: str
    prompt_key: str
    problem_set: str
    correct: int
    sampled: int
    rows: list[int]


@dataclass(frozen=True, kw_only=True)
class RehearsalSet:
    """A rehearsal set in memory. Row r of a flat tensor is ``[offsets[r], offsets[r + 1])``.

    Attributes:
        folder: folder that it was loaded from.
        manifest: record of what made it.
        partition: the set of every problem, in the order of the task.
        prompt_ids: int32, all prompts' tokens.
        prompt_offsets: int64, rows + 1 entries.
        completion_ids: int32, all completions' tokens.
        completion_offsets: int64, rows + 1 entries.
        ref_logps: float32, log pi_ref of every completion token at the manifest's temperature.
    """

    folder: Path
    manifest: RehearsalManifest
    partition: tuple[PartitionRow, ...]
    prompt_ids: torch.Tensor
    prompt_offsets: torch.Tensor
    completion_ids: torch.Tensor
    completion_offsets: torch.Tensor
    ref_logps: torch.Tensor

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.completion_offsets) - 1

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load and verify a rehearsal set.

        Raises:
            MissingFileError: the folder does not exist.
            DataError: the folder contains no finished rehearsal set, or a damaged one.
        """
        path = Path(folder)
        if not path.is_dir():
            raise MissingFileError(
                f"The rehearsal set {path} does not exist. Make one with `polypath presample`."
            )
        if not (path / MANIFEST_NAME).exists():
            raise DataError(
                f"{path} holds no finished rehearsal set (it has no {MANIFEST_NAME}). Run "
                "`polypath presample` with this folder to resume it."
            )
        manifest = RehearsalManifest.read(path / MANIFEST_NAME)
        tensor_bytes = _read_verified(path / TENSORS_NAME, manifest)
        partition_bytes = _read_verified(path / PARTITION_NAME, manifest)
        try:
            tensors = load_tensors(tensor_bytes)
            rows = pq.read_table(io.BytesIO(partition_bytes)).to_pylist()
            partition = tuple(PartitionRow(**row) for row in rows)
            for problem in partition:
                ProblemSet(problem.problem_set)
        except (TypeError, ValueError, SafetensorError, pa.ArrowException) as error:
            raise DataError(f"{path} holds a damaged rehearsal set: {error}.") from None
        _check_tensors(tensors, manifest, path)
        return cls(folder=path, manifest=manifest, partition=partition, **tensors)

    def check(
        self,
        *,
        model_fingerprint: str | None = None,
        tokenizer_fingerprint: str | None = None,
        template_fingerprint: str | None = None,
        temperature: float | None = None,
        vocab_size: int | None = None,
    ) -> None:
        """Check that training starts from the policy that made this set.

        Args:
            model_fingerprint: fingerprint of the model before its first update; ``None`` skips a check.
            tokenizer_fingerprint: fingerprint of its tokenizer.
            template_fingerprint: fingerprint of its chat template.
            temperature: temperature by which training divides logits.
            vocab_size: number of the model's token ids.

        Raises:
            ConfigError: names the field that differs, both values, and what to do.
            DataError: a token id is not below ``vocab_size``.
        """
        _check_ids(
            {"prompt_ids": self.prompt_ids, "completion_ids": self.completion_ids},
            vocab_size,
            self.folder,
        )
        wanted = {
            "model_fingerprint": model_fingerprint,
            "tokenizer_fingerprint": tokenizer_fingerprint,
            "template_fingerprint": template_fingerprint,
            "temperature": temperature,
        }
        fixes = {
            "model_fingerprint": f"Start from the model that made it ({self.manifest.model})",
            "tokenizer_fingerprint": f"Use the tokenizer of {self.manifest.model}",
            "template_fingerprint": f"Use the chat template of {self.manifest.model}",
            "temperature": f"Train at temperature {self.manifest.temperature}",
        }
        for name, value in wanted.items():
            stored = getattr(self.manifest, name)
            if value is not None and value != stored:
                stored, value = (v[:12] if isinstance(v, str) else v for v in (stored, value))
                raise ConfigError(
                    f"The rehearsal set {self.folder} has {name} {stored}, but training has "
                    f"{value}. {fixes[name]}, or run `polypath presample` for this training."
                )

    def batch(self, rows: Sequence[int], pad_token_id: int) -> dict[str, torch.Tensor]:
        """Return rows as rectangles, laid out as TRL's GRPOTrainer lays out its own.

        Args:
            rows: row numbers, at least one; a number may occur twice.
            pad_token_id: id that fills up rows.

        Returns:
            ``prompt_ids`` and ``prompt_mask`` (B, L), left-padded; ``completion_ids``,
            ``completion_mask`` and ``ref_logps`` (B, T), right-padded. Ids and masks are int64,
            masks 1 at real tokens; ``ref_logps`` is float32 and 0 at padding.

        Raises:
            ConfigError: there are no rows, or a number is out of range.
        """
        if not rows or min(rows) < 0 or max(rows) >= len(self):
            raise ConfigError(f"rows must be one or more of 0..{len(self) - 1}, got {list(rows)}.")
        prompts = [_slice(self.prompt_ids, self.prompt_offsets, r).tolist() for r in rows]
        completions = [
            _slice(self.completion_ids, self.completion_offsets, r).tolist() for r in rows
        ]
        prompt_ids, prompt_mask = pad_left(prompts, pad_token_id)
        completion_ids, completion_mask = pad_right(completions, pad_token_id)
        logps = [_slice(self.ref_logps, self.completion_offsets, r) for r in rows]
        return {
            "prompt_ids": prompt_ids,
            "prompt_mask": prompt_mask,
            "completion_ids": completion_ids,
            "completion_mask": completion_mask,
            "ref_logps": torch.nn.utils.rnn.pad_sequence(logps, batch_first=True),
        }

    @cached_property
    def completion_lengths(self) -> tuple[int, ...]:
        """Tokens of every row's completion."""
        return tuple(self.completion_offsets.diff().tolist())

    @cached_property
    def excluded_prompts(self) -> frozenset[str]:
        """``prompt_key`` of every problem that is not explored: near-perfect, dropped or listed."""
        return frozenset(
            row.prompt_key for row in self.partition if row.problem_set != ProblemSet.EXPLORATION
        )


def write_tensors(
    folder: Path,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    ref_logps: Sequence[torch.Tensor],
) -> str:
    """Write ``rehearsal.safetensors`` atomically and return its SHA-256."""
    tensors = {
        "prompt_ids": torch.tensor([i for row in prompt_ids for i in row], dtype=torch.int32),
        "prompt_offsets": _offsets(prompt_ids),
        "completion_ids": torch.tensor(
            [i for row in completion_ids for i in row], dtype=torch.int32
        ),
        "completion_offsets": _offsets(completion_ids),
        "ref_logps": torch.cat(list(ref_logps)).to(torch.float32),
    }
    return _write_verified(folder / TENSORS_NAME, save_tensors(tensors))


def write_partition(folder: Path, rows: Sequence[PartitionRow]) -> str:
    """Write ``partition.parquet`` atomically and return its SHA-256."""
    names = _PARTITION_SCHEMA.names
    columns = {name: [getattr(row, name) for row in rows] for name in names}
    buffer = io.BytesIO()
    write_parquet(pa.table(columns, schema=_PARTITION_SCHEMA), buffer)
    return _write_verified(folder / PARTITION_NAME, buffer.getvalue())


def _offsets(rows: Sequence[Sequence[Any]]) -> torch.Tensor:
    lengths = torch.tensor([0, *(len(row) for row in rows)], dtype=torch.int64)
    return lengths.cumsum(0)


def _slice(flat: torch.Tensor, offsets: torch.Tensor, row: int) -> torch.Tensor:
    return flat[int(offsets[row]) : int(offsets[row + 1])]


def _write_verified(path: Path, content: bytes) -> str:
    write_file(path, content)
    return hashlib.sha256(content).hexdigest()


def _read_verified(path: Path, manifest: RehearsalManifest) -> bytes:
    if not path.exists():
        raise DataError(f"{path.parent} holds a damaged rehearsal set: {path.name} is missing.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.files.get(path.name):
        raise DataError(
            f"{path} is not the file that its {MANIFEST_NAME} was written for. Delete the folder and "
            "run `polypath presample` again."
        )
    return content


def _check_tensors(
    tensors: dict[str, torch.Tensor], manifest: RehearsalManifest, folder: Path
) -> None:
    """Check for errors of a badly made file; a damaged file already fails its hash."""
    found = {name: tensor.dtype for name, tensor in tensors.items()}
    if found != _DTYPES:
        raise DataError(f"{folder} holds tensors {found}; expected {_DTYPES}.")
    for name in ("prompt", "completion"):
        offsets, ids = tensors[f"{name}_offsets"], tensors[f"{name}_ids"]
        right = (
            offsets.shape == (manifest.num_rows + 1,)
            and ids.dim() == 1
            and int(offsets[0]) == 0
            and int(offsets[-1]) == len(ids)
            and bool((offsets[1:] > offsets[:-1]).all())  # a difference may overflow
        )
        if not right:
            raise DataError(
                f"{folder} holds a damaged rehearsal set: {name}_offsets must rise from 0 to the "
                f"{len(ids)} {name}_ids, over {manifest.num_rows} rows, each of one token at least. "
                "Delete the folder and run `polypath presample` again."
            )
    _check_ids(tensors, manifest.vocab_size, folder)
    if tensors["ref_logps"].shape != tensors["completion_ids"].shape:
        raise DataError(
            f"{folder} holds {len(tensors['ref_logps'])} reference log-probs for "
            f"{len(tensors['completion_ids'])} tokens. Run `polypath presample` again."
        )
    if not bool(torch.isfinite(tensors["ref_logps"]).all()):
        raise DataError(f"{folder} holds reference log-probs that are not finite.")


def _check_ids(tensors: dict[str, torch.Tensor], vocab_size: int | None, folder: Path) -> None:
    most = torch.iinfo(torch.int32).max if vocab_size is None else vocab_size - 1
    for name in ("prompt_ids", "completion_ids"):
        ids = tensors[name]
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) <= most:
            raise DataError(
                f"The rehearsal set {folder} has {name} from {int(ids.min())} to {int(ids.max())}, but the "
                f"model's token ids are 0..{most}. Run `polypath presample` with this model."
            )
