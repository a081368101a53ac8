"""The bank of solutions in verl: filled in the controller, which sees every row of a step."""

from typing import Any

from torch import Tensor

from polypath.core.bank import fill_bank, find_correct
from polypath.core.flat_settings import FlatSettings
from polypath.core.processes import SingleProcess
from polypath.engines.verl.groups import StepGroups, fetch
from polypath.rehearsal.bank import Floats, SolutionBank

BANK_FILE = "polypath_bank.parquet"  # in every checkpoint


def make_bank(settings: FlatSettings, seed: int) -> SolutionBank | None:
    """Return the empty bank of a run; ``None`` where it is off."""
    bank = settings.bank
    if not bank.on:
        return None
    return SolutionBank(capacity=bank.capacity, max_age=bank.max_age, seed=seed)


def fill(
    bank: SolutionBank, batch: Any, groups: StepGroups, step: int, *, longest: int, end: int
) -> dict[str, float]:
    """Take a step's correct completions into the bank, and return what to log.

    Completions that were cut off at the length limit are left out: their end is not the model's own.

    Args:
        bank: the run's.
        batch: verl's, with ``old_log_probs``.
        groups: results of the step's groups.
        step: number of the step, from 0.
        longest: largest number of tokens of a completion.
        end: id of the token that ends a completion.
    """
    data = fetch(batch, "prompts", "responses", "old_log_probs")
    prompts, ids = (
        [row.tolist() for row in data[name].unbind()] for name in ("prompts", "responses")
    )
    logps: tuple[Tensor, ...] = data["old_log_probs"].unbind()
    usable = [
        bool(correct) and (len(row) < longest or row[-1] == end)
        for correct, row in zip(groups.correct_B.tolist(), ids, strict=True)
    ]

    def of_rows(rows: list[int], most: int) -> list[Floats]:
        del most
        return [logps[row][: len(ids[row])].float().cpu().numpy() for row in rows]

    solutions = groups.solutions or [None] * len(ids)
    return fill_bank(
        bank,
        find_correct(prompts, ids, groups.texts, solutions, usable),
        step=step,
        processes=SingleProcess(),
        logps=of_rows,
    )
