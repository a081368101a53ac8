"""Log-probabilities by transformers alone are those of TRL's forward."""

import torch

from polypath.engines.trl import completion_logps as of_trl
from polypath.rehearsal.logps import completion_logps
from polypath.sampling.loading import load_model
from tests.rounding import F32, within

PROMPTS = [[6, 7, 8], [9], [10, 11, 12, 13, 14, 15, 16]]
COMPLETIONS = [[20, 2], [21, 22, 23, 24, 25], [2]]


def test_both_forwards_agree_and_leave_the_model_as_it_was(tiny_model_dir):
    model = load_model(tiny_model_dir, dtype=torch.float32, device=torch.device("cpu"))[0]
    model.train()
    options = {"temperature": 0.7, "pad_token_id": 0, "batch_size": 2}
    for one, other in zip(
        completion_logps(model, PROMPTS, COMPLETIONS, **options),
        of_trl(model, PROMPTS, COMPLETIONS, **options),
        strict=True,
    ):
        torch.testing.assert_close(one, other, **within(20, size=10, eps=F32))
    assert model.training
