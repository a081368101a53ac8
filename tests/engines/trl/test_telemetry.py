"""What is logged costs one collective a forward, and a GPU one wait."""

from pathlib import Path
from typing import Any

import pytest

from polypath.engines.trl.telemetry import Telemetry
from tests.engines.trl.helpers import FixedCompletions, all_terms, coin, logged, train


@pytest.mark.parametrize(("rehearsal_coef", "expected"), [(0.0, 1), (0.5, 2)])
def test_all_values_of_a_forward_are_summed_at_once(
    rehearsal_coef: float,
    expected: int,
    adder_dir: Path,
    rehearsal_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums: list[int] = []
    real = Telemetry._sum

    def counted(self: Telemetry, values: Any) -> list[float]:
        sums.append(len(values))
        return real(self, values)

    monkeypatch.setattr(Telemetry, "_sum", counted)
    options = all_terms(rehearsal_dir, rehearsal_coef=rehearsal_coef, beta=0.1)
    options.update(kl_gradient="reverse", trainer_class=FixedCompletions, rewards=coin)
    trainer = train(adder_dir, tmp_path, **options)
    assert len(sums) == expected * trainer.state.global_step
    for name in ("kl", "positive_entropy/loss", "positive_entropy/cap_fraction"):
        assert len(logged(trainer, name)) == trainer.state.global_step


def test_means_are_logged_without_the_diversity_metrics_too(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(rehearsal_dir, beta=0.1, kl_gradient="reverse", rewards=coin)
    options["trainer_class"] = FixedCompletions
    whole = train(adder_dir, tmp_path, **options)
    bare = train(adder_dir, tmp_path, **{**options, "diversity_metrics": False})
    assert logged(bare, "kl") == pytest.approx(logged(whole, "kl"), rel=1e-6)
    assert not logged(bare, "positive_entropy/loss")
