"""Sample a model on a split of a task, judge every sample, and keep the arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from polypath.metrics.solutions import encode_solutions
from polypath.rollouts.files import atomic_write
from polypath.sampling.settings import SamplingSettings
from polypath.tasks import get_task

ENTROPY_ROWS = 2048  # completions, spread over all problems, whose entropy is measured


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Samples of one model on N problems, S each.

    Attributes:
        correct_N_S: whether each sample is right.
        solutions_N_S: which solution it is, numbered within the problem; -1 where none was found.
        problem_ids: of the N problems, in order. Two evaluations compare only when these agree.
        entropy: mean entropy in nats of the next-token distribution over the tokens of samples.
    """

    correct_N_S: npt.NDArray[np.bool_]
    solutions_N_S: npt.NDArray[np.int64]
    problem_ids: tuple[str, ...]
    entropy: float

    def save(self, path: Path) -> None:
        """Write atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            np.savez_compressed(
                file,
                correct_N_S=self.correct_N_S,
                solutions_N_S=self.solutions_N_S,
                problem_ids=np.array(self.problem_ids),
                entropy=np.array(self.entropy),
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                correct_N_S=arrays["correct_N_S"],
                solutions_N_S=arrays["solutions_N_S"],
                problem_ids=tuple(arrays["problem_ids"].tolist()),
                entropy=float(arrays["entropy"]),
            )


def evaluate(
    model: str | Path,
    *,
    task: str,
    task_options: Mapping[str, str] | None = None,
    split: str,
    num_problems: int,
    num_samples: int,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 2048,
) -> Evaluation:
    """Sample and judge.

    Every sample has its own random stream, a function of the seed, the problem and the sample's
    number: two models evaluated with one seed meet the same draws.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from polypath.sampling.transformers import sample

    judge = get_task(task, task_options)
    problems = list(judge.problems(split, num_problems))
    network = AutoModelForCausalLM.from_pretrained(str(model))
    tokenizer = AutoTokenizer.from_pretrained(str(model))
    settings = SamplingSettings(
        temperature=temperature,
        max_new_tokens=judge.max_completion_length,
        batch_size=batch_size,
        seed=seed,
    )
    place = {problem.problem_id: i for i, problem in enumerate(problems)}
    correct_N_S = np.zeros((len(problems), num_samples), dtype=np.bool_)
    answers: list[list[str | None]] = [[None] * num_samples for _ in problems]
    entropy_sum, entropy_tokens = 0.0, 0
    every = max(1, len(problems) * num_samples // ENTROPY_ROWS)
    for batch in sample(network, tokenizer, problems, num_samples=num_samples, settings=settings):
        verdicts = judge.verify_batch(
            [completion.text for completion in batch],
            [completion.problem.gold for completion in batch],
        )
        for completion, verdict in zip(batch, verdicts, strict=True):
            row, column = place[completion.problem.problem_id], completion.sample_id
            correct_N_S[row, column] = verdict.correct
            answers[row][column] = verdict.answer
        chosen = batch[::every]
        total, tokens = _entropy(
            network,
            tokenizer,
            [c.problem.prompt for c in chosen],
            [c.token_ids for c in chosen],
            temperature,
        )
        entropy_sum, entropy_tokens = entropy_sum + total, entropy_tokens + tokens
    return Evaluation(
        correct_N_S=correct_N_S,
        solutions_N_S=encode_solutions(answers),
        problem_ids=tuple(place),
        entropy=entropy_sum / max(entropy_tokens, 1),
    )


def _entropy(
    model: object,
    tokenizer: object,
    prompts: list[str | list[dict[str, str]]],
    completions: list[tuple[int, ...]],
    temperature: float,
) -> tuple[float, int]:
    """Return the summed entropy over all completion tokens, and their number."""
    import torch

    from polypath.rehearsal.padding import pad_left, pad_right
    from polypath.sampling.prompts import tokenize_prompts
    from polypath.sampling.transformers import pad_token_id

    pad = pad_token_id(model, tokenizer)
    prompt_ids, prompt_mask = pad_left(tokenize_prompts(tokenizer, prompts), pad)
    completion_ids, completion_mask = pad_right([list(ids) for ids in completions], pad)
    with torch.no_grad():
        logits = model(  # type: ignore[operator]  # a transformers model; they are untyped here
            input_ids=torch.cat([prompt_ids, completion_ids], dim=1),
            attention_mask=torch.cat([prompt_mask, completion_mask], dim=1),
        ).logits
    # Position t predicts token t + 1.
    logits = logits[:, prompt_ids.shape[1] - 1 : -1].float() / max(temperature, 1e-6)
    logp_B_T_V = logits.log_softmax(dim=-1)
    entropy_B_T = -(logp_B_T_V.exp() * logp_B_T_V).sum(dim=-1)
    mask_B_T = completion_mask.bool()
    return float(entropy_B_T[mask_B_T].sum()), int(mask_B_T.sum())
