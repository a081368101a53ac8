"""The collapse monitor watches any GRPO run, changes nothing in it, and warns when pass@k falls."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback

from polypath import CollapseMonitor, TaskReward
from polypath.core.probe import Probe
from polypath.errors import ConfigError
from tests.engines.trl.helpers import addition_rows, coin, logged, make, parameters
from tests.rehearsal.adder import Addition

PROBE = Addition().problems("train")
ADDITION: dict[str, Any] = {
    "rewards": TaskReward(Addition()),
    "data": Dataset.from_list(addition_rows()),
    "max_completion_length": 4,
}


def watched(model: Path, folder: Path, *, callbacks: Any = (), **options: Any) -> Any:
    """Train with a monitor on the first ten additions and return both."""
    monitor_options = {"num_samples": 4, "every": 2, "ks": (1, 4)}
    monitor_options.update(options.pop("monitor", {}))
    trainer = make(model, folder, **{**ADDITION, **options})
    for callback in callbacks:
        trainer.add_callback(callback)
    monitor = CollapseMonitor(trainer, Addition(), PROBE[:10], **monitor_options)
    trainer.add_callback(monitor)
    trainer.train()
    return trainer, monitor


@pytest.mark.parametrize("stock", [True, False])
def test_parameters_are_those_without_the_monitor(
    stock: bool, adder_dir: Path, tmp_path: Path
) -> None:
    options = {"stock": stock, "max_steps": 4, "num_iterations": 2}
    plain = make(adder_dir, tmp_path, **ADDITION, **options)
    plain.train()
    trainer, monitor = watched(adder_dir, tmp_path, **options)
    expected, got = parameters(plain), parameters(trainer)
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert [line["step"] for line in monitor.history] == [0, 2, 4]


def test_probe_and_training_groups_are_logged_in_a_stock_run(
    adder_dir: Path, tmp_path: Path
) -> None:
    trainer, monitor = watched(adder_dir, tmp_path, stock=True, max_steps=2)
    probes = [entry for entry in trainer.state.log_history if "probe/pass@1" in entry]
    assert [entry["step"] for entry in probes] == [0, 2]  # the first before training
    assert [e["step"] for e in trainer.state.log_history if "reward" in e] == [1, 2]
    for entry, measured in zip(probes, monitor.history, strict=True):
        assert entry["step"] == measured["step"]
        for name in ("pass@1", "pass@4", "distinct_correct"):
            assert entry[f"probe/{name}"] == measured[name]
    assert 0 < monitor.history[0]["pass@1"] < monitor.history[0]["pass@4"] <= 1
    assert logged(trainer, "diversity/accuracy") == pytest.approx(
        logged(trainer, "rewards/addition_reward/mean")
    )
    assert len(logged(trainer, "diversity/distinct_solutions")) == 2
    assert 0 < monitor.history[0]["entropy_wrong"] < math.log(40)


def test_pass_at_k_is_that_of_the_verdicts(adder_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from polypath.metrics.pass_at_k import pass_at_k
    from polypath.sampling.request import DrawRequest
    from polypath.sampling.settings import SamplingSettings
    from polypath.sampling.transformers import sample

    _, monitor = watched(adder_dir, tmp_path, stock=True, max_steps=1)
    model = AutoModelForCausalLM.from_pretrained(adder_dir)
    tokenizer = AutoTokenizer.from_pretrained(adder_dir)
    settings = SamplingSettings(max_new_tokens=4, batch_size=512)
    right: dict[str, list[bool]] = {}
    request = DrawRequest(problems=PROBE[:10], num_samples=4, settings=settings)
    for batch in sample(model, tokenizer, request):
        for c in batch:
            verdict = Addition().verify(c.text, c.problem.gold)
            right.setdefault(c.problem.problem_id, []).append(verdict.correct)
    expected = pass_at_k(list(right.values()), (1, 4)).mean(axis=0)
    assert monitor.history[0]["pass@1"] == pytest.approx(expected[0])
    assert monitor.history[0]["pass@4"] == pytest.approx(expected[1])


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("problems", [1, 2, 5, 8])
def test_every_process_probes_equally_many_problems_and_each_counts_once(
    problems: int, processes: int
) -> None:
    counted = []
    for rank in range(processes):
        mine, filler = Probe(PROBE[:problems], 2, (1,)).part(rank, processes)
        ids = [problem.problem_id for problem in mine]
        assert len(set(ids)) == len(ids) == math.ceil(problems / processes)
        counted += [name for name in ids if name != filler]
    assert sorted(counted) == sorted(problem.problem_id for problem in PROBE[:problems])


class Overwrite(TrainerCallback):
    """After a step, make the model answer every question alike."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        del args, control
        if state.global_step == self.step:
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.zero_()  # uniform logits: random tokens, hardly ever right


def test_a_fall_of_pass_at_k_warns_at_the_step_it_happened(adder_dir: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"Step 4: pass@4 .* fell by 0\.\d+ \(95 % interval"):
        _, monitor = watched(
            adder_dir,
            tmp_path,
            stock=True,
            max_steps=4,
            learning_rate=1e-9,
            callbacks=[Overwrite(3)],
        )
    assert monitor.warned_at == [4]


def test_a_policy_that_stays_the_same_does_not_warn(adder_dir: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Step .*pass@")
        _, monitor = watched(adder_dir, tmp_path, stock=True, max_steps=4, learning_rate=1e-9)
    assert monitor.warned_at == []
    assert monitor.history[0]["pass@4"] == monitor.history[-1]["pass@4"]


def test_asynchronous_rewards_are_watched_and_the_one_that_says_what_is_correct_is_found(
    adder_dir: Path, tmp_path: Path
) -> None:
    async def accuracy(completions: list[str], **_: Any) -> list[float]:
        return coin(completions)

    def format_reward(completions: list[str], **_: Any) -> list[float]:
        return [1.0] * len(completions)

    rewards = [format_reward, accuracy]
    with pytest.warns(UserWarning, match="solution_fn"):
        trainer, monitor = watched(adder_dir, tmp_path, stock=True, rewards=rewards)
    assert logged(trainer, "diversity/accuracy") == pytest.approx(
        logged(trainer, "rewards/accuracy/mean")
    )
    assert not logged(trainer, "diversity/distinct_correct")  # nothing says what a solution is
    assert monitor.history
    options = {"solution_fn": "text", "correctness_reward": "format_reward"}
    trainer, _ = watched(adder_dir, tmp_path, stock=True, rewards=rewards, monitor=options)
    assert set(logged(trainer, "diversity/accuracy")) == {1.0}
    assert logged(trainer, "diversity/distinct_correct")


def test_evaluations_are_watched(adder_dir: Path, tmp_path: Path) -> None:
    trainer, _ = watched(
        adder_dir,
        tmp_path,
        stock=True,
        num_generations_eval=1,
        eval_strategy="steps",
        eval_steps=1,
        trainer_options={"eval_dataset": Dataset.from_list(addition_rows()[:3])},
    )
    assert len(logged(trainer, "eval_diversity/accuracy")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 1}, "num_samples >= 2"),
        ({"every": 0}, "every >= 1"),
        ({"ks": (1, 8)}, r"in \[1, num_samples=4\], got \[1, 8\]"),
        ({"ks": ()}, "ks must lie"),
    ],
)
def test_bad_arguments_are_refused(
    options: dict[str, Any], message: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        watched(tiny_model_dir, tmp_path, monitor=options)


def test_an_empty_probe_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one probe problem"):
        CollapseMonitor(make(tiny_model_dir, tmp_path, stock=True), Addition(), [])
