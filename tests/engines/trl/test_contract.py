"""What the engine takes for granted about TRL 1.16. When TRL changes, these say what to look at."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from accelerate.utils import gather_object
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from polypath.engines.trl.resume import _find_sampler
from polypath.engines.trl.trainer import LOSS_RULES
from tests.engines.trl.helpers import FixedCompletions, logged, make, train

SIGNATURES = {
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_generate_single_turn": ["self", "prompt_ids"],
    "_prepare_inputs": ["self", "generation_batch"],
    "_tokenize_prompts": ["self", "prompts"],
    "_compute_loss": ["self", "model", "inputs"],
    "_get_per_token_logps_and_entropies": [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
    ],
}
SEE = "polypath/engines/trl/trainer.py relies on it; adapt it there before widening the pin on trl"


def test_trl_is_of_the_pinned_minor_version() -> None:
    assert trl.__version__.startswith("1.16."), f"tested with trl 1.16, got {trl.__version__}"


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_overridden_methods_take_what_they_did(name: str) -> None:
    method = getattr(GRPOTrainer, name, None)
    assert method is not None, f"GRPOTrainer.{name} is gone; {SEE}"
    parameters = list(inspect.signature(method).parameters)
    expected = SIGNATURES[name]
    assert parameters[: len(expected)] == expected, f"GRPOTrainer.{name} takes {parameters}; {SEE}"


def test_the_trainer_takes_no_argument_we_do_not_pass_on(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    parameters = list(inspect.signature(GRPOTrainer).parameters)
    assert parameters[:5] == ["model", "reward_funcs", "args", "train_dataset", "eval_dataset"]
    made = make(tiny_model_dir, tmp_path)
    again = type(made)(
        str(tiny_model_dir),
        [made.reward_funcs[0]],
        made.args,
        made.train_dataset,
        made.train_dataset,
    )
    assert again.eval_dataset is not None  # the fifth by position reaches TRL
    with pytest.raises(TypeError, match="multiple values"):
        type(made)(str(tiny_model_dir), made.reward_funcs, model=str(tiny_model_dir))


def test_plain_arguments_are_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    from polypath import DiversityGRPOTrainer
    from polypath.errors import ConfigError

    stock = make(tiny_model_dir, tmp_path, stock=True)
    with pytest.raises(ConfigError, match="DiversityGRPOConfig, got GRPOConfig"):
        DiversityGRPOTrainer(stock.model, stock.reward_funcs, stock.args, stock.train_dataset)


class Probe(FixedCompletions):
    """Write down what TRL hands over at every override point."""

    def _calculate_rewards(self, inputs: Any, *rest: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, *rest)
        self.seen: dict[str, Any] = {"inputs": inputs, "rest": rest, "rewards": rewards}
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        self.seen["batch"] = batch
        return batch

    def _compute_loss(self, model: Any, inputs: Any) -> torch.Tensor:
        self.forwards: list[Any] = []
        self.counting = True
        loss = super()._compute_loss(model, inputs)
        self.counting = False
        self.seen["micro_batch"] = inputs
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if getattr(self, "counting", False):
            self.forwards.append(result)
        return result


def test_rewards_and_batches_have_the_shapes_and_keys_we_read(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(
        tiny_model_dir,
        tmp_path,
        trainer_class=Probe,
        steps_per_generation=2,
        beta=0.1,
        num_iterations=2,
        max_steps=1,
    )
    seen = trainer.seen
    assert seen["rewards"].shape == (8, 1), f"gathered rewards changed shape; {SEE}"
    prompts = [row["prompt"] for row in seen["inputs"]]
    assert prompts[:4] == [prompts[0]] * 4, f"groups are no longer contiguous; {SEE}"
    assert prompts[4:] == [prompts[4]] * 4
    assert prompts[0] != prompts[4]
    for name in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask"):
        assert seen["batch"][name].shape[0] == 8, f"batch key {name}; {SEE}"
    for name in ("advantages", "correct"):
        assert seen["batch"][name].shape == (8,), f"batch key {name}; {SEE}"
        assert seen["micro_batch"][name].shape == (4,), f"batch key {name} is not split; {SEE}"
    assert seen["batch"]["num_items_in_batch"].ndim == 0, f"no longer a scalar; {SEE}"
    assert seen["micro_batch"]["num_items_in_batch"] == seen["batch"]["completion_mask"].sum()
    for name in ("old_per_token_logps", "ref_per_token_logps"):
        assert name in seen["micro_batch"], f"batch key {name} is gone; {SEE}"


def test_the_loss_runs_one_forward_with_gradient_and_entropy(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(tiny_model_dir, tmp_path, trainer_class=Probe, max_steps=1)
    assert len(trainer.forwards) == 1, f"the loss ran {len(trainer.forwards)} forwards; {SEE}"
    logps, entropies = trainer.forwards[0][:2]
    assert logps.requires_grad
    assert entropies.requires_grad, f"the exact form needs entropies with gradient; {SEE}"
    assert logps.shape == entropies.shape == trainer.seen["micro_batch"]["completion_ids"].shape


def test_losses_are_already_divided_by_the_accumulation(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(tiny_model_dir, tmp_path, max_steps=1)
    scaled = trainer.model_accepts_loss_kwargs or trainer.compute_loss_func is not None
    assert scaled, f"transformers would divide the loss by the accumulation steps again; {SEE}"
    assert trainer.current_gradient_accumulation_steps == 1


def test_every_loss_type_of_trl_has_a_normaliser() -> None:
    lines = inspect.getsource(GRPOTrainer._compute_loss).splitlines()
    chosen = "".join(
        line for line in lines if "self.loss_type ==" in line or "loss_type in" in line
    )
    names = set(re.findall(r'"(\w+)"', chosen))
    assert names == set(LOSS_RULES), (
        f"TRL's loss types are {sorted(names)}; adapt polypath/engines/trl/trainer.py"
    )


def test_metrics_and_logs_are_where_we_append(tiny_model_dir: Path, tmp_path: Path) -> None:
    trainer = make(tiny_model_dir, tmp_path)
    for mode in ("train", "eval"):
        trainer._metrics[mode]["own"].append(1.0)
        trainer._metrics[mode]["own"].append(float("nan"))
    trainer._logs["advantages"].extend([0.5])
    trainer.model.train()
    trainer.log({})
    assert logged(trainer, "own") == [1.0], f"NaN is no longer left out of logged means; {SEE}"


def test_the_attributes_we_read_exist(tiny_model_dir: Path, tmp_path: Path) -> None:
    trainer = make(tiny_model_dir, tmp_path)
    for name in (
        "num_generations",
        "num_generations_eval",
        "reward_weights",
        "reward_func_names",
        "loss_type",
        "beta",
        "max_completion_length",
        "_tokenizer",
    ):
        assert hasattr(trainer, name), f"GRPOTrainer.{name} is gone; {SEE}"
    assert gather_object(["a"]) == ["a"]


def test_the_sampler_that_resuming_advances_is_found(tiny_model_dir: Path, tmp_path: Path) -> None:
    loader = make(tiny_model_dir, tmp_path).get_train_dataloader()
    sampler = _find_sampler(loader)
    assert isinstance(sampler, RepeatSampler), "see polypath/engines/trl/resume.py"
    assert not hasattr(sampler, "set_epoch"), "TRL restores the order itself now: drop ReplayEpochs"
    first = list(sampler)
    assert list(sampler) != first, "one generator no longer draws every epoch: drop ReplayEpochs"
