"""The rehearsal term without an engine: exact over micro-steps and processes, refused off its start."""

from pathlib import Path

import pytest
import torch

from polypath.core.processes import SingleProcess
from polypath.core.rehearsal import Rehearsal
from polypath.core.rehearsal_settings import RehearsalConfig
from polypath.core.statistics import TokenMeans
from polypath.errors import ConfigError
from polypath.objectives import DIVERGENCES
from polypath.rehearsal import RehearsalSet
from polypath.rehearsal.settings import PresampleSettings
from tests.core.ranks import Ranks
from tests.presampling import presample
from tests.rehearsal.adder import Addition, save_adder
from tests.rounding import F32, rounding

ROWS = 8


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> RehearsalSet:
    folder: Path = tmp_path_factory.mktemp("rehearsal")
    save_adder(folder / "model")
    settings = PresampleSettings(k=4, threshold=3, batch_size=256, precision="float32")
    presample(folder / "model", Addition(), out=folder / "set", settings=settings, device="cpu")
    return RehearsalSet.load(folder / "set")


def rehearsal(stored, **settings):
    return Rehearsal(
        config=RehearsalConfig(folder="set", **settings),
        member=DIVERGENCES["forward_kl"].on(),
        stored=stored,
        rows_per_step=ROWS,
        pad_token_id=0,
        seed=3,
    )


def one_micro_step(term, processes, micro_steps, shift, means, *, step=2):
    batch = term.next_batch(
        step=step, micro_steps=micro_steps, processes=processes, device=torch.device("cpu")
    )
    logp_B_T = batch.ref_logp_B_T + shift
    return term.loss(
        logp_B_T.requires_grad_(), batch, first=step == 0, processes=processes, means=means
    )


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("micro_steps", [1, 2, 4])
def test_micro_steps_and_processes_add_up_to_the_mean_over_the_steps_tokens(
    stored, world, micro_steps
):
    shift = 0.5

    def work(rank):
        term, means = rehearsal(stored), TokenMeans()
        losses = [one_micro_step(term, rank, micro_steps, shift, means) for _ in range(micro_steps)]
        return sum(losses).item(), means.flush(rank)

    results = Ranks(world).run(work)
    expected = torch.expm1(torch.tensor(shift)).item() - shift
    # Log-ratios are differences of float32 log-probabilities of about 1, means of tens of tokens.
    rounded = rounding(50, eps=F32)
    assert sum(loss for loss, _ in results) / world == pytest.approx(expected, rel=rounded)
    for _, told in results:
        assert told["rehearsal/divergence"] == pytest.approx(expected, rel=rounded)
        assert told["rehearsal/log_ratio"] == pytest.approx(shift, rel=rounded)
        assert told["rehearsal/cap_fraction"] == 0.0


def test_the_first_log_ratio_must_be_0(stored):
    term, means = rehearsal(stored), TokenMeans()
    with pytest.raises(ConfigError, match="rehearsal_tolerance"):
        one_micro_step(term, SingleProcess(), 1, 0.03, means, step=0)
    one_micro_step(rehearsal(stored), SingleProcess(), 1, 0.01, means, step=0)
    one_micro_step(rehearsal(stored, tolerance=0.1), SingleProcess(), 1, 0.03, means, step=0)
