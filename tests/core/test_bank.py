"""The bank's term without an engine: the same on several processes, and exact over micro-steps."""

import numpy as np
import pytest
import torch

from polypath.core.bank import Bank, fill_bank, find_correct
from polypath.core.bank_settings import BankConfig
from polypath.core.processes import SingleProcess
from polypath.core.statistics import TokenMeans
from polypath.objectives import DIVERGENCES
from polypath.rehearsal.bank import SolutionBank
from tests.core.ranks import Ranks
from tests.rounding import F32, rounding

ROWS = 8
# A generation: prompt, solution (None: unnamed), and whether it is correct and ended by itself.
GENERATION = [
    *[([1, 2], "a", True)] * 3,
    ([1, 2], "b", True),
    ([1, 2], "c", False),
    ([1, 2], None, True),
    ([3], "a", True),
    ([3], "d", True),
]


def filled(processes, generations=3):
    """Return a bank of this process's part of some generations, and what was logged and asked for."""
    bank, asked = SolutionBank(capacity=2, seed=1), []
    each = len(GENERATION) // processes.world
    mine = slice(processes.rank * each, (processes.rank + 1) * each)
    for step in range(generations):
        prompts, solutions, usable = zip(*GENERATION, strict=True)
        ids = [[10 * step + n, *range(n)] for n in range(len(GENERATION))]

        def logps(rows, most, ids=ids):
            asked.append((len(rows), most))
            return [-np.array(ids[mine][row], np.float32) / 3 for row in rows]

        texts = [f"text {n}" for n in range(len(GENERATION))]
        told = fill_bank(
            bank,
            find_correct(prompts[mine], ids[mine], texts[mine], solutions[mine], usable[mine]),
            step=step,
            processes=processes,
            logps=logps,
        )
    return bank, told, asked


def content(bank):
    return [(e.seen, e.completion.ids.tolist(), e.completion.logps.tolist(), e.count) for e in bank]


def test_every_process_holds_the_bank_of_one_process():
    alone, told, _ = filled(SingleProcess())
    assert told == {"bank/solutions": 4.0, "bank/solutions_per_problem": 2.0}
    kept = {entry.seen.solution for entry in alone if entry.seen.prompt == (1, 2)}
    assert kept < {"a", "b", "text 5"}
    for world in (2, 4):
        results = Ranks(world).run(filled)
        for bank, logged, asked in results:
            assert content(bank) == content(alone)
            assert logged == told
            # All processes are told the same number of rows to run, which is enough for each.
            assert [most for _, most in asked] == [most for _, most in results[0][2]]
            assert all(rows <= most for rows, most in asked)
        assert max(rows for _, _, asked in results for rows, _ in asked) == results[0][2][0][1]


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("micro_steps", [1, 2, 4])
def test_micro_steps_and_processes_add_up_to_the_mean_over_the_steps_tokens(world, micro_steps):
    shift, step = 0.5, 7

    def work(rank):
        solutions, _, _ = filled(rank)
        term = Bank(
            config=BankConfig(enabled=True),
            member=DIVERGENCES["forward_kl"].on(),
            solutions=solutions,
            rows_per_step=ROWS,
            pad_token_id=0,
        )
        means, losses, rows = TokenMeans(), [], 0
        for _ in range(micro_steps):
            batch = term.next_batch(
                step=step, micro_steps=micro_steps, processes=rank, device=torch.device("cpu")
            )
            rows += len(batch.completion_ids)
            logp_B_T = (batch.ref_logp_B_T + shift).requires_grad_()
            losses.append(term.loss(logp_B_T, batch, first=False, processes=rank, means=means))
        return sum(losses).item(), rows, means.flush(rank)

    results = Ranks(world).run(work)
    expected = torch.expm1(torch.tensor(shift)).item() - shift
    # Log-ratios are differences of float32 log-probabilities of up to 15, means of tens of tokens.
    rounded = rounding(50, eps=F32, size=15)
    assert sum(loss for loss, _, _ in results) / world == pytest.approx(expected, rel=rounded)
    assert sum(rows for _, rows, _ in results) == ROWS
    for _, _, told in results:
        assert told["bank/divergence"] == pytest.approx(expected, rel=rounded)
        assert told["bank/log_ratio"] == pytest.approx(shift, rel=rounded)
        assert told["bank/replayed_rows"] == ROWS
        assert told["bank/age"] == step - 2


def test_an_empty_bank_has_no_rows_and_a_generation_within_a_step_changes_none():
    term = Bank(
        config=BankConfig(enabled=True),
        member=DIVERGENCES["forward_kl"].on(),
        solutions=SolutionBank(capacity=2),
        rows_per_step=2,
        pad_token_id=0,
    )
    options = {"micro_steps": 2, "processes": SingleProcess(), "device": torch.device("cpu")}
    assert term.next_batch(step=0, **options) is None
    term.solutions.restore(list(filled(SingleProcess())[0]))
    assert term.next_batch(step=0, **options) is None
    first = term.next_batch(step=1, **options)
    term.solutions.clear()
    second = term.next_batch(step=1, **options)
    assert len(first.completion_ids) == len(second.completion_ids) == 1
    assert first.step_tokens == second.step_tokens
    assert term.next_batch(step=2, **options) is None
