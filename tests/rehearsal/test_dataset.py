import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rehearsal import RehearsalSet, prompt_key
from polypath.rehearsal.dataset import write_tensors
from polypath.rehearsal.presample import PresampleSummary
from polypath.sampling.fingerprint import (
    model_fingerprint,
    template_fingerprint,
    tokenizer_fingerprint,
)
from polypath.sampling.loading import load_model
from tests.refusals import refused
from tests.rehearsal.adder import Addition

Finished = tuple[Path, PresampleSummary]
CPU = torch.device("cpu")


def prints(folder: Path) -> dict[str, Any]:
    model, tokenizer = load_model(folder, dtype=torch.float32, device=CPU)
    return {
        "model_fingerprint": model_fingerprint(model),
        "tokenizer_fingerprint": tokenizer_fingerprint(tokenizer),
        "template_fingerprint": template_fingerprint(tokenizer),
        "temperature": 1.0,
    }


def test_the_model_that_made_a_set_passes_its_check(adder: Path, finished: Finished) -> None:
    stored = RehearsalSet.load(finished[0])
    stored.check(**prints(adder))
    stored.check()  # nothing asked, nothing refused


@pytest.mark.parametrize(
    ("field", "value", "fix"),
    [
        ("model_fingerprint", "f" * 64, "Start from the model that made it"),
        ("tokenizer_fingerprint", "f" * 64, "Use the tokenizer of"),
        ("template_fingerprint", "f" * 64, "Use the chat template of"),
        ("temperature", 0.7, "Train at temperature 1.0"),
    ],
)
def test_a_foreign_set_is_refused_naming_field_values_and_fix(
    adder: Path, finished: Finished, field: str, value: Any, fix: str
) -> None:
    right = prints(adder)
    with pytest.raises(ConfigError) as caught:
        RehearsalSet.load(finished[0]).check(**{**right, field: value})
    message = str(caught.value)
    for part in (field, str(right[field])[:12], str(value)[:12], fix, str(finished[0])):
        assert part in message
    assert "\n" not in message


def test_another_model_fails_the_check(tiny_model_dir: Path, finished: Finished) -> None:
    with refused(ConfigError, "model_fingerprint"):
        RehearsalSet.load(finished[0]).check(**prints(tiny_model_dir))


def test_batches_are_padded_left_and_right(finished: Finished) -> None:
    stored = RehearsalSet.load(finished[0])
    rows = [len(stored) - 1, 0, 0, 1]
    batch = stored.batch(rows, pad_token_id=35)
    assert {t.shape[0] for t in batch.values()} == {4}
    assert batch["prompt_ids"].shape == batch["prompt_mask"].shape
    assert batch["completion_ids"].shape == batch["completion_mask"].shape
    assert batch["completion_ids"].shape == batch["ref_logps"].shape
    for place, row in enumerate(rows):
        a, b = stored.prompt_offsets[row : row + 2]
        c, d = stored.completion_offsets[row : row + 2]
        assert batch["prompt_ids"][place, -(b - a) :].tolist() == stored.prompt_ids[a:b].tolist()
        completion = batch["completion_ids"][place]
        assert completion[: d - c].tolist() == stored.completion_ids[c:d].tolist()
        assert torch.equal(batch["ref_logps"][place, : d - c], stored.ref_logps[c:d])
        assert batch["completion_mask"][place].sum() == d - c == stored.completion_lengths[row]
        assert batch["prompt_mask"][place].sum() == b - a
    assert (batch["prompt_ids"][batch["prompt_mask"] == 0] == 35).all()
    assert (batch["completion_ids"][batch["completion_mask"] == 0] == 35).all()
    assert (batch["ref_logps"][batch["completion_mask"] == 0] == 0).all()
    assert (stored.ref_logps <= 0).all()
    assert {t.dtype for n, t in batch.items() if n != "ref_logps"} == {torch.int64}


def test_rows_that_are_not_there_are_refused(finished: Finished) -> None:
    stored = RehearsalSet.load(finished[0])
    for rows in ([], [-1], [len(stored)]):
        with refused(ConfigError, "rows", len(stored) - 1):
            stored.batch(rows, 0)


def test_prompts_are_found_by_their_key(finished: Finished) -> None:
    stored = RehearsalSet.load(finished[0])
    near = {prompt_key(p.prompt) for p in stored.partition if p.problem_set == "near_perfect"}
    every = {prompt_key(p.prompt) for p in Addition().problems("train")}
    assert stored.excluded_prompts == near
    assert set() < near < every


def test_no_folder_an_unfinished_and_a_foreign_one_are_told_apart(
    finished: Finished, tmp_path: Path
) -> None:
    with refused(MissingFileError, tmp_path / "none"):
        RehearsalSet.load(tmp_path / "none")
    with refused(DataError, tmp_path):
        RehearsalSet.load(tmp_path)
    with refused(DataError, "'rollouts'", "'rehearsal_set'"):
        RehearsalSet.load(finished[0] / "samples")


@pytest.mark.parametrize("name", ["rehearsal.safetensors", "partition.parquet"])
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_damaged_file_is_named(
    finished: Finished, tmp_path: Path, name: str, damage: str
) -> None:
    copy = Path(shutil.copytree(finished[0], tmp_path / "copy"))
    whole = (copy / name).read_bytes()
    if damage == "missing":
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(whole[:-9] if damage == "truncated" else whole[:-1] + b"~")
    with refused(DataError, name):
        RehearsalSet.load(copy)


def test_tensors_that_do_not_belong_together_are_refused(
    finished: Finished, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(finished[0], tmp_path / "copy"))
    content = json.loads((copy / "manifest.json").read_text())

    def load_with(ref_logps: list[float], num_rows: int) -> None:
        digest = write_tensors(copy, [[1]], [[2, 3]], [torch.tensor(ref_logps)])
        files = {**content["files"], "rehearsal.safetensors": digest}
        changed = {**content, "files": files, "num_rows": num_rows}
        (copy / "manifest.json").write_text(json.dumps(changed))
        RehearsalSet.load(copy)

    load_with([-0.5, -0.1], 1)
    with refused(DataError):
        load_with([-0.5], 1)
    with refused(DataError):
        load_with([-0.5, -0.1], 2)
    with refused(DataError, "finite"):
        load_with([-0.5, float("nan")], 1)


OFFSETS = [
    *(
        [0, 2, 2, 4],
        [0, -1, 3, 4],
        [0, 3, 2, 4],
        [1, 2, 3, 4],
        [-1, 2, 3, 4],
        [0, 2, 3, 5],
        [0, 2, 3, 3],
    ),
    *([0, 2**63 - 1, -2, 4], [0, 2, 4], [0, 1, 2, 3, 4], [], [4]),
]


@pytest.mark.parametrize("which", ["prompt", "completion"])
@pytest.mark.parametrize("offsets", OFFSETS)
def test_odd_offsets_are_refused_when_loaded(
    finished: Finished, tmp_path: Path, which: str, offsets: list[int]
) -> None:
    with refused(DataError, f"{which}_offsets", tmp_path):
        load_made(finished, tmp_path, **{f"{which}_offsets": torch.tensor(offsets)})


@pytest.mark.parametrize("which", ["prompt", "completion"])
@pytest.mark.parametrize("token", [-1, -(2**31), 10_000, 2**31 - 1])
def test_token_ids_the_model_does_not_have_are_refused_when_loaded(
    finished: Finished, tmp_path: Path, which: str, token: int
) -> None:
    ids = torch.tensor([1, 2, token, 3], dtype=torch.int32)
    with refused(DataError, f"{which}_ids", token):
        load_made(finished, tmp_path, **{f"{which}_ids": ids})
    if token > 0:  # of a set made before the vocabulary was recorded, when training checks it
        stored = load_made(finished, tmp_path, vocab_size=None, **{f"{which}_ids": ids})
        stored.check(vocab_size=token + 1)
        with refused(DataError, token):
            stored.check(vocab_size=token)


@pytest.mark.parametrize(
    "odd",
    [
        {"prompt_offsets": torch.tensor([[0, 2], [3, 4]])},
        {"completion_ids": torch.ones(2, 2, dtype=torch.int32)},
        {"completion_ids": torch.ones(4, dtype=torch.int64)},
        {"ref_logps": -torch.ones(3)},
        {"ref_logps": -torch.ones(4, 1)},
        {"ref_logps": torch.tensor([-1.0, float("inf"), -1.0, -1.0])},
        {"num_rows": "3"},
        {"num_rows": None},
        {"files": []},
        {"temperature": "warm"},
        {"settings": [1]},
        {"histogram": {}},
        {"vocab_size": "many"},
    ],
)
def test_what_is_of_another_kind_is_refused_when_loaded(
    finished: Finished, tmp_path: Path, odd: dict[str, Any]
) -> None:
    load_made(finished, tmp_path)
    with refused(DataError, tmp_path):
        load_made(finished, tmp_path, **odd)


def load_made(finished: Finished, folder: Path, **changes: Any) -> RehearsalSet:
    """Load a set of three rows with some tensors and fields of its manifest changed."""
    tensors = {
        "prompt_ids": torch.tensor([1, 2, 3, 4], dtype=torch.int32),
        "prompt_offsets": torch.tensor([0, 2, 3, 4]),
        "completion_ids": torch.tensor([5, 6, 7, 8], dtype=torch.int32),
        "completion_offsets": torch.tensor([0, 1, 3, 4]),
        "ref_logps": -torch.ones(4),
    }
    tensors |= {
        name: value.to(value.dtype if value.numel() else torch.int64)
        for name, value in changes.items()
        if name in tensors
    }
    content = save(tensors)
    copy = Path(shutil.copytree(finished[0], folder / "made", dirs_exist_ok=True))
    (copy / "rehearsal.safetensors").write_bytes(content)
    made = json.loads((copy / "manifest.json").read_text()) | {"num_rows": 3}
    made["files"]["rehearsal.safetensors"] = hashlib.sha256(content).hexdigest()
    made |= {name: value for name, value in changes.items() if name not in tensors}
    (copy / "manifest.json").write_text(json.dumps(made))
    return RehearsalSet.load(copy)


def test_the_manifest_records_how_the_set_was_made(adder: Path, finished: Finished) -> None:
    manifest = RehearsalSet.load(finished[0]).manifest
    assert manifest.model == str(adder)
    assert (manifest.task, manifest.split) == ("addition", "train")
    assert manifest.precision == "float32"  # "auto", resolved
    assert manifest.settings["max_new_tokens"] == 4  # the task's, filled in
    assert manifest.settings["threshold"] == 6
