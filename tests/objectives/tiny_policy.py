"""A language model small enough to enumerate: three tokens, at most three of them, free logits.

Token 0 ends a completion. There are seven states (prefixes without an end) and fifteen completions,
so every expectation of the library's sampled terms is a finite sum, and every closed form can be
computed a second way: by recursion over states, never by the per-token terms under test.
"""

import itertools

import torch
from torch import Tensor

VOCABULARY, END, LENGTH = 3, 0, 3
STATES = [s for n in range(LENGTH) for s in itertools.product((1, 2), repeat=n)]
_INDEX = {state: i for i, state in enumerate(STATES)}


def _completions(prefix: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    found = []
    for token in range(VOCABULARY):
        longer = (*prefix, token)
        found += [longer] if token == END or len(longer) == LENGTH else _completions(longer)
    return found


COMPLETIONS = _completions()
MASK = torch.tensor([[t < len(c) for t in range(LENGTH)] for c in COMPLETIONS])
_STATE = torch.tensor(
    [[_INDEX[c[:t]] if t < len(c) else 0 for t in range(LENGTH)] for c in COMPLETIONS]
)
_TOKEN = torch.tensor([[c[t] if t < len(c) else 0 for t in range(LENGTH)] for c in COMPLETIONS])


def random_logits(seed: int) -> Tensor:
    """Logits of every state, ``(7, 3)``, float64, with gradient."""
    rng = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(len(STATES), VOCABULARY, generator=rng, dtype=torch.float64)
    return logits.requires_grad_()


def token_logp(logits: Tensor) -> Tensor:
    """Log-probability of every token of every completion, ``(15, 3)``; NaN on padding."""
    logp_B_T = logits.log_softmax(dim=1)[_STATE, _TOKEN]
    return torch.where(MASK, logp_B_T, torch.nan)


def token_entropy(logits: Tensor) -> Tensor:
    """Entropy of the next-token distribution before every token, ``(15, 3)``; NaN on padding."""
    entropy = -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)
    return torch.where(MASK, entropy[_STATE], torch.nan)


def probabilities(logits: Tensor) -> Tensor:
    """Probability of every completion, ``(15,)``, as a product over its tokens."""
    step = logits.softmax(dim=1)
    return torch.stack(
        [
            torch.stack([step[_INDEX[c[:t]], c[t]] for t in range(len(c))]).prod()
            for c in COMPLETIONS
        ]
    )


def expected_over_states(visit_logits: Tensor, value_of_state: Tensor) -> Tensor:
    """Sum of ``value_of_state`` over the states that a policy visits, in expectation."""
    step = visit_logits.softmax(dim=1)

    def from_state(state: tuple[int, ...]) -> Tensor:
        total = value_of_state[_INDEX[state]]
        if len(state) + 1 < LENGTH:
            for token in (1, 2):
                total = total + step[_INDEX[state], token] * from_state((*state, token))
        return total

    return from_state(())


def grad(value: Tensor, logits: Tensor) -> Tensor:
    (result,) = torch.autograd.grad(value, logits, allow_unused=True, retain_graph=True)
    return torch.zeros_like(logits) if result is None else result


def masked_sum(values_B_T: Tensor) -> Tensor:
    """Sum over the tokens of each completion, ``(15,)``: a normaliser that is a constant."""
    return torch.where(MASK, values_B_T, torch.zeros_like(values_B_T)).sum(dim=1)
