"""An update that verl made, on the same rows: loss and gradient of both engines are one.

tests/verl/record.py wrote the rows down, with what verl logged. One worker, all three methods, the
rehearsal set's log-probabilities off on purpose.
"""

import json
from pathlib import Path

import pytest
import torch

from polypath.core.rehearsal import Rehearsal
from polypath.rehearsal.dataset import RehearsalSet
from polypath.rehearsal.padding import pad_left, pad_right
from polypath.tasks.shipped import shipped_model
from tests.engines.trl.helpers import make

RECORD = json.loads(Path(__file__).with_name("verl_update.json").read_text(encoding="utf-8"))
COEFS = {"positive_entropy_coef": 0.1, "rehearsal_coef": 0.2}


def padded(rows, name):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(r[name]) for r in rows], batch_first=True)


def policy_batch(rows):
    prompts, prompt_mask = pad_left([row["prompt"] for row in rows], 0)
    completions, mask = pad_right([row["completion"] for row in rows], 0)
    correct = torch.tensor([row["correct"] > 0 for row in rows])
    return {
        "prompt_ids": prompts,
        "prompt_mask": prompt_mask,
        "completion_ids": completions,
        "completion_mask": mask,
        "advantages": torch.tensor([row["advantages"][0] for row in rows]),
        "old_per_token_logps": padded(rows, "old_logps"),
        "correct": correct,
        "scored": torch.ones_like(correct),
        "num_items_in_batch": mask.sum(),
    }


def stored_set(rows):
    def flat(name, dtype):
        offsets = torch.tensor([0, *(len(row[name]) for row in rows)]).cumsum(0)
        return torch.tensor([i for row in rows for i in row[name]], dtype=dtype), offsets

    prompt_ids, prompt_offsets = flat("prompt", torch.int32)
    completion_ids, completion_offsets = flat("completion", torch.int32)
    return RehearsalSet(
        folder=Path("recorded"),
        manifest=None,
        partition=(),
        prompt_ids=prompt_ids,
        prompt_offsets=prompt_offsets,
        completion_ids=completion_ids,
        completion_offsets=completion_offsets,
        ref_logps=flat("ref_logps", torch.float32)[0],
    )


@pytest.mark.filterwarnings("ignore:rehearsal_")
def test_loss_and_gradient_are_those_of_verl(tmp_path):
    policy = [row for row in RECORD["rows"] if not row["step_tokens"]]
    rehearsed = [row for row in RECORD["rows"] if row["step_tokens"]]
    trainer = make(
        shipped_model("countdown-base"),
        tmp_path,
        loss_type="dapo",
        rehearsal_tolerance=10.0,
        steps_per_generation=1,
        per_device_train_batch_size=len(policy),
        num_generations=8,
        **COEFS,
    )
    trainer._rehearsal = Rehearsal(
        config=trainer.args.rehearsal,
        member=trainer.args.objectives.divergence,
        stored=stored_set(rehearsed),
        rows_per_step=len(rehearsed),
        pad_token_id=0,
        seed=0,
    )
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model.train(), policy_batch(policy))
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
    metrics = RECORD["metrics"]
    assert float(loss) == pytest.approx(metrics["actor/loss"], rel=1e-5)
    assert float(norm) == pytest.approx(metrics["actor/grad_norm"], rel=1e-5)
