"""The bank of solutions in TRL: filled from a generation, and kept in the checkpoints."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polypath.core.bank import Bank, fill_bank, find_correct
from polypath.core.solutions import require_solutions_to_bank
from polypath.engines.trl import skipping
from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.engines.trl.processes import AccelerateProcesses
from polypath.engines.trl.resume import KeptInCheckpoints
from polypath.errors import ConfigError
from polypath.rehearsal.bank import Floats, SolutionBank
from polypath.rehearsal.bank_file import read_bank, write_bank
from polypath.tasks.solutions import SolutionFunction

BANK_FILE = "polypath/bank.parquet"  # in a checkpoint


def make_bank(
    config: DiversityGRPOConfig,
    chosen: str | SolutionFunction | None,
    reward_funcs: list[Any],
    *,
    processes: int,
    pad_token_id: int,
) -> Bank:
    """Return the bank of a run.

    Args:
        config: the trainer's, with the bank on.
        chosen: the solution function that the user chose; ``None`` for none.
        reward_funcs: the trainer's.
        processes: number of them.
        pad_token_id: fills up rows.

    Raises:
        ConfigError: nothing tells the correct solutions of a problem apart.
    """
    require_solutions_to_bank(chosen, reward_funcs)
    settings = config.bank_config
    pieces = processes * int(config.gradient_accumulation_steps)
    return Bank(
        config=settings,
        member=config.objectives.bank_divergence,
        solutions=SolutionBank(
            capacity=settings.capacity, max_age=settings.max_age, seed=config.seed
        ),
        rows_per_step=settings.rows_per_step(int(config.per_device_train_batch_size), pieces),
        pad_token_id=pad_token_id,
    )


def fill(
    trainer: Any,
    bank: Bank,
    batch: dict[str, Any],
    texts: list[str],
    token_ids: list[list[int]],
    solutions: list[str | None],
) -> dict[str, float]:
    """Take the correct completions of a generation into a bank, and return what to log.

    Completions that were cut off at the length limit are left out: their end is not the model's own.

    Args:
        trainer: TRL's.
        bank: the run's.
        batch: TRL's batch of this process, with ``correct``.
        texts: the completions.
        token_ids: their tokens, without padding.
        solutions: their canonical solutions; None for one without.

    Raises:
        ConfigError: the completions hold more than the model's own text, or the prompts more than text.
    """
    for field, what in (
        ("tool_mask", "tools write into"),
        ("pixel_values", "prompts show images to"),
    ):
        if batch.get(field) is not None:
            raise ConfigError(
                f"bank: true replays prompts and completions of plain text, and {what} these. Set bank to "
                "false."
            )
    ends, longest = trainer.eos_token_ids, trainer.max_completion_length
    counted = batch["completion_mask"].sum(dim=1).tolist()  # 0 with mask_truncated_completions
    usable = [
        correct and len(ids) == count and (len(ids) < longest or ids[-1] in ends)
        for correct, ids, count in zip(batch["correct"].tolist(), token_ids, counted, strict=True)
    ]
    return fill_bank(
        bank.solutions,
        find_correct(prompt_tokens(batch), token_ids, texts, solutions, usable),
        step=trainer.state.global_step,
        processes=AccelerateProcesses(trainer.accelerator),
        logps=partial(_sampled_logps, trainer, batch),
    )


def prompt_tokens(batch: dict[str, Any]) -> list[list[int]]:
    """Return the tokens of the prompt of each row of TRL's batch, without padding."""
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch["prompt_ids"], batch["prompt_mask"], strict=True)
    ]


@torch.no_grad()
def _sampled_logps(trainer: Any, batch: dict[str, Any], rows: list[int], most: int) -> list[Floats]:
    """Return log-probs of some rows' tokens under the policy that sampled them.

    TRL's own where it computed them, else from a forward of the policy, which has not changed since. Other
    rows fill the forward up to ``most`` rows, so that all processes run equally many.
    """
    known: Tensor | None = batch.get("old_per_token_logps")
    if known is not None:
        return [_of_tokens(known[row], batch["completion_mask"][row]) for row in rows]
    others = [row for row in range(len(batch["completion_mask"])) if row not in set(rows)]
    run = torch.tensor([*rows, *others][:most])
    part = skipping.part(batch, run)
    logp_B_T = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1),
        torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1),
        part["completion_ids"].shape[1],
        batch_size=trainer.args.per_device_train_batch_size,
    )[0]
    return [
        _of_tokens(logp_B_T[place], part["completion_mask"][place]) for place in range(len(rows))
    ]


def _of_tokens(logp_T: Tensor, mask_T: Tensor) -> Floats:
    values: Floats = logp_T[mask_T.bool()].float().cpu().numpy()
    return values


class BankCheckpoints(KeptInCheckpoints):
    """Keep a bank in the checkpoints of its run.

    Args:
        bank: the run's; the same on every process.
    """

    what = "the bank of solutions"
    file = BANK_FILE

    def __init__(self, bank: Bank) -> None:
        super().__init__()
        self.bank = bank

    def restart(self) -> None:
        """Forget everything."""
        self.bank.restart()

    def read(self, path: Path) -> None:
        """Read the bank of a checkpoint."""
        read_bank(path, self.bank.solutions)

    def write(self, path: Path) -> None:
        """Write the bank into a checkpoint."""
        write_bank(path, self.bank.solutions)
