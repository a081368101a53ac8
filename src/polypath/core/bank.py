"""The bank of a run: filled from each generation, replayed in each step."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from polypath.core.bank_settings import BankConfig
from polypath.core.processes import Processes
from polypath.core.rehearsal import MicroSteps, RehearsalBatch, rehearsal_term
from polypath.core.statistics import TokenMeans
from polypath.objectives import Active, Divergence
from polypath.rehearsal.bank import BankEntry, Floats, SampledTokens, Seen, SolutionBank
from polypath.rehearsal.padding import pad_left, pad_right
from polypath.rehearsal.schedule import part_of


class CorrectRow(NamedTuple):
    """A correct completion of this process that ended by itself.

    Attributes:
        row: its place in the engine's batch.
        seen: problem and solution.
        ids: its tokens.
    """

    row: int
    seen: Seen
    ids: Sequence[int]


def find_correct(
    prompts: Sequence[Sequence[int]],
    ids: Sequence[Sequence[int]],
    texts: Sequence[str],
    solutions: Sequence[str | None],
    usable: Sequence[bool],
) -> list[CorrectRow]:
    """Return the completions that a bank may hold.

    Args:
        prompts: tokens of each completion's prompt.
        ids: tokens of each completion.
        texts: the completions as text, which stand for solutions that have no name.
        solutions: canonical solutions.
        usable: which completions are correct and were not cut off.
    """
    return [
        CorrectRow(
            row=row,
            seen=Seen(tuple(prompts[row]), texts[row] if solution is None else solution),
            ids=ids[row],
        )
        for row, (solution, use) in enumerate(zip(solutions, usable, strict=True))
        if use and len(ids[row])
    ]


def fill_bank(
    bank: SolutionBank,
    found: Sequence[CorrectRow],
    *,
    step: int,
    processes: Processes,
    logps: Callable[[list[int], int], list[Floats]],
) -> dict[str, float]:
    """Take in the correct completions of a generation. Every process must call it.

    Args:
        bank: the same on every process, before and after.
        found: this process's completions.
        step: the present step.
        processes: those that share the generation.
        logps: from rows of the engine's batch to the log-probs of each one's tokens under the policy that
            sampled. It is also given the largest number of such rows on a process, for models whose
            processes must run equally many. It is called only if this is above 0.

    Returns:
        Metrics to log; the same on every process.
    """
    rank = processes.rank
    told = processes.gather_objects([(rank, place, f.seen) for place, f in enumerate(found)])
    seen = [one for _, _, one in told]
    chosen = bank.choose(step, seen)
    most = max(Counter(told[number][0] for number in chosen).values(), default=0)
    mine = [(number, told[number][1]) for number in chosen if told[number][0] == rank]
    values = logps([found[place].row for _, place in mine], most) if most else []
    stored = [
        (number, SampledTokens(np.array(found[place].ids, np.int32), logp))
        for (number, place), logp in zip(mine, values, strict=True)
    ]
    bank.add(step, seen, dict(processes.gather_objects(stored)))
    count, problems = len(bank), bank.problems
    return {
        "bank/solutions": float(count),
        "bank/solutions_per_problem": count / problems if problems else float("nan"),
    }


@dataclass(frozen=True, kw_only=True)
class BankBatch(RehearsalBatch):
    """The replayed rows of one micro-step on one process.

    Attributes:
        ages_B: steps since each was sampled.
        replayed: replayed rows of the whole step, told once: 0 in all micro-steps and processes but one.
    """

    ages_B: Tensor
    replayed: int


@dataclass(kw_only=True)
class Bank:
    """Gives the rows of a bank of solutions to the processes of a run, which all hold the same bank.

    The rows of a step are drawn in its first micro-step, and a later generation does not change them.

    Attributes:
        config: settings of the term.
        member: the divergence.
        solutions: what the bank holds.
        rows_per_step: replayed rows of one optimizer step over all processes.
        pad_token_id: id that fills the padding.
    """

    name: ClassVar = "bank"

    config: BankConfig
    member: Active[Divergence]
    solutions: SolutionBank
    rows_per_step: int
    pad_token_id: int
    _micro_steps: MicroSteps = field(default_factory=MicroSteps, init=False)
    _drawn: list[BankEntry] = field(default_factory=list, init=False)

    def next_batch(
        self, *, step: int, micro_steps: int, processes: Processes, device: torch.device
    ) -> BankBatch | None:
        """Return the rows for the next micro-step of optimizer step ``step`` on this process.

        ``None`` while the bank is empty, on every process.
        """
        micro_step = self._micro_steps(step)
        if micro_step == 0:
            self._drawn = self.solutions.draw(self.rows_per_step, step, self.config.replay)
        if not self._drawn:
            return None
        part = part_of(
            self._drawn, micro_step % micro_steps, micro_steps, processes.rank, processes.world
        )
        prompt_ids, prompt_mask = pad_left([e.seen.prompt for e in part], self.pad_token_id)
        ids, mask = pad_right([e.completion.ids.tolist() for e in part], self.pad_token_id)
        logps = [torch.from_numpy(entry.completion.logps) for entry in part]
        return BankBatch(
            prompt_ids=prompt_ids.to(device),
            prompt_mask=prompt_mask.to(device),
            completion_ids=ids.to(device),
            completion_mask=mask.to(device),
            ref_logp_B_T=torch.nn.utils.rnn.pad_sequence(logps, batch_first=True).to(device),
            step_tokens=sum(len(entry.completion.ids) for entry in self._drawn),
            ages_B=torch.tensor([float(step - entry.step) for entry in part], device=device),
            replayed=len(self._drawn) if micro_step == processes.rank == 0 else 0,
        )

    def loss(
        self,
        logp_B_T: Tensor,
        batch: BankBatch,
        *,
        first: bool,
        processes: Processes,
        means: TokenMeans,
    ) -> Tensor:
        """Return this micro-step's share of the divergence's mean over the step's tokens, and log it.

        Arguments as for ``Rehearsal.loss``; before the first update, too, the log-ratio need not be 0,
        because engines may sample with other rounding.
        """
        del first
        total, _ = rehearsal_term(
            self.member,
            logp_B_T,
            batch.ref_logp_B_T,
            batch.completion_mask,
            step_tokens=float(batch.step_tokens),
            means=means,
            name=self.name,
        )
        once = torch.tensor(float(batch.replayed), device=logp_B_T.device)
        means.add("bank/replayed_rows", once, once.sign())
        means.add("bank/age", batch.ages_B.sum(), torch.ones_like(batch.ages_B).sum())
        return total * processes.world

    def restart(self) -> None:
        """Forget everything, for a training that starts at step 0."""
        self.solutions.clear()
        self._micro_steps = MicroSteps()
