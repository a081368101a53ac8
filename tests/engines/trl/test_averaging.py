"""Training ends with the mean of the weights it went through, also when it was stopped and resumed."""

import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed import HashStore, init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import TrainerState

from polypath import DiversityGRPOConfig, WeightAverage
from polypath.engines.trl.averaging import AVERAGE_FILE
from polypath.errors import ConfigError, DataError, MissingFileError, PolypathError
from tests.engines.trl.helpers import Recorder, largest_difference, logged, make, parameters
from tests.engines.trl.shifted import ShiftedSampler
from tests.rounding import F32, rounding

# A running mean of three steps' float32 weights, below 1.5: a product and a sum each.
ROUNDING = rounding(6, size=1.5, eps=F32)
HALF: dict[str, Any] = {"average_weights_from": 0.5, "max_steps": 6}
SAVED: dict[str, Any] = {**HALF, "save_strategy": "steps", "save_steps": 2}

Weights = dict[str, torch.Tensor]


def recorded(model: Any, folder: Path, **options: Any) -> tuple[Any, list[Weights]]:
    """Train, and return the trainer and the weights after every step."""
    trainer, recorder = make(model, folder, **options), Recorder()
    trainer.add_callback(recorder)
    trainer.train()
    return trainer, recorder.seen


def mean_of(seen: list[Weights]) -> Weights:
    """Return the mean by hand, in float64."""
    return {n: torch.stack([step[n].double() for step in seen]).mean(dim=0) for n in seen[0]}


def check_equal(got: Weights, expected: Weights) -> None:
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def straight(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a run of six steps that was not stopped, and its weights after every step."""
    return recorded(tiny_model_dir, tmp_path_factory.mktemp("straight"), **SAVED)


# --- the mean --------------------------------------------------------------------------------------


def test_the_model_ends_with_the_mean_of_the_later_weights(straight: Any) -> None:
    trainer, seen = straight
    got = parameters(trainer)
    assert largest_difference(got, mean_of(seen[3:])) < ROUNDING
    assert largest_difference(got, seen[-1]) > 1e-3
    assert trainer.weight_average.count == 3


def test_until_the_end_training_is_what_it_is_without_averaging(
    straight: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer, seen = straight
    plain, plainly_seen = recorded(tiny_model_dir, tmp_path, max_steps=6)
    assert plain.weight_average is None
    check_equal(parameters(plain), plainly_seen[-1])
    for step, expected in zip(seen, plainly_seen, strict=True):
        check_equal(step, expected)
    for name in ("loss", "reward", "diversity/similarity"):
        assert logged(trainer, name) == logged(plain, name)


def test_a_checkpoint_has_its_own_weights_and_the_mean_beside_them(straight: Any) -> None:
    trainer, seen = straight
    folder = Path(trainer.args.output_dir)
    assert not (folder / "checkpoint-2" / AVERAGE_FILE).exists()
    for step in (4, 6):
        own = load_file(folder / f"checkpoint-{step}" / "model.safetensors")
        assert all(torch.equal(own[name], seen[step - 1][name]) for name in own)
        with safe_open(folder / f"checkpoint-{step}" / AVERAGE_FILE, framework="pt") as file:
            assert file.metadata()["count"] == str(step - 3)
        mean = load_file(folder / f"checkpoint-{step}" / AVERAGE_FILE)
        assert largest_difference(mean, mean_of(seen[3:step])) < ROUNDING


def test_nothing_but_the_model_lies_where_loaders_look_for_its_weights(straight: Any) -> None:
    folder = Path(straight[0].args.output_dir) / "checkpoint-6"
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]


def test_what_is_saved_and_evaluated_after_training_is_the_mean(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = make(tiny_model_dir, tmp_path, **HALF)
    trainer.eval_dataset = trainer.train_dataset
    trainer.train()
    mean = trainer.weight_average.mean
    trainer.save_model()
    saved = load_file(tmp_path / "model.safetensors")
    check_equal({name: saved[name] for name in mean}, mean)
    seen: list[Weights] = []
    handle = trainer.model.register_forward_pre_hook(
        lambda *_: seen.append(parameters(trainer)) if not seen else None
    )
    trainer.evaluate()
    handle.remove()
    check_equal(seen[0], mean)


def test_a_stock_trainer_takes_the_callback(tiny_model_dir: Path, tmp_path: Path) -> None:
    average = WeightAverage(0.5)
    trainer, seen = recorded(
        tiny_model_dir,
        tmp_path,
        stock=True,
        max_steps=4,
        trainer_options={"callbacks": [average]},
    )
    assert largest_difference(parameters(trainer), mean_of(seen[2:])) < ROUNDING
    assert average.count == 2


def test_tied_weights_are_counted_once_and_stay_tied(straight: Any) -> None:
    model, mean = straight[0].model, straight[0].weight_average.mean
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert "lm_head.weight" not in mean
    assert "model.embed_tokens.weight" in mean


def test_of_a_model_with_adapters_only_these_are_averaged(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft", reason="needs peft")
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"])
    options = {**SAVED, "trainer_options": {"peft_config": config}}
    trainer, seen = recorded(tiny_model_dir, tmp_path, **options)
    mean = trainer.weight_average.mean
    assert len(mean) == 8  # two matrices in two modules of two layers
    assert all("lora_" in name for name in mean)
    assert largest_difference(parameters(trainer), mean_of(seen[3:])) < ROUNDING
    shutil.rmtree(tmp_path / "checkpoint-6")
    again = make(tiny_model_dir, tmp_path, **options)
    again.train(resume_from_checkpoint=True)
    check_equal(parameters(again), parameters(trainer))


def test_half_precision_weights_are_averaged_in_single(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer, seen = recorded(
        tiny_model_dir, tmp_path, **HALF, model_init_kwargs={"dtype": "bfloat16"}
    )
    mean = trainer.weight_average.mean
    assert all(step[name].dtype == torch.bfloat16 for step in seen for name in mean)
    assert all(tensor.dtype == torch.float32 for tensor in mean.values())
    assert largest_difference(mean, mean_of(seen[3:])) < ROUNDING
    check_equal(parameters(trainer), {name: t.bfloat16() for name, t in mean.items()})


# --- which steps count -------------------------------------------------------------------------------


def driven(
    start: float, steps: int, *, until: int | None = None
) -> tuple[WeightAverage, nn.Linear]:
    """Drive a callback through steps after which the only weight is the step's number."""
    average, model = WeightAverage(start), nn.Linear(1, 1, bias=False, dtype=torch.float64)
    args = SimpleNamespace(load_best_model_at_end=False)
    state = TrainerState(max_steps=steps)
    average.on_train_begin(args, state, None, model=model)
    for state.global_step in range(1, (until or steps) + 1):
        nn.init.constant_(model.weight, state.global_step)
        average.on_step_end(args, state, None, model=model)
    average.on_train_end(args, state, None, model=model)
    return average, model


@pytest.mark.parametrize(
    ("start", "steps", "first"),
    [
        (0, 5, 1),
        (0.5, 6, 4),
        (0.5, 5, 3),
        (0.29, 100, 30),
        (0.1, 30, 4),
        (0.99, 5, 5),
        (1e-9, 9, 1),
    ],
)
def test_weights_count_after_the_fraction_of_steps(start: float, steps: int, first: int) -> None:
    average, model = driven(start, steps)
    assert average.count == steps - first + 1
    assert float(model.weight) == pytest.approx((first + steps) / 2, rel=rounding(steps))


def test_a_run_that_ends_before_averaging_keeps_its_weights_and_warns() -> None:
    with pytest.warns(UserWarning, match="ended at step 3 of 10, before"):
        average, model = driven(0.5, 10, until=3)
    assert average.count == 0
    assert float(model.weight) == 3


# --- resuming ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [2, 4])
@pytest.mark.parametrize("stock", [False, True])
def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_not_stopped(
    step: int, stock: bool, straight: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(straight[0].args.output_dir, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "checkpoint-6")
    options = {**SAVED, "stock": stock}
    if stock:
        del options["average_weights_from"]
        options["trainer_options"] = {"callbacks": [WeightAverage(0.5)]}
    trainer = make(tiny_model_dir, tmp_path / "copy", **options)
    trainer.train(resume_from_checkpoint=str(tmp_path / "copy" / f"checkpoint-{step}"))
    check_equal(parameters(trainer), parameters(straight[0]))


def test_a_checkpoint_elsewhere_is_found_or_asked_for(
    straight: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    checkpoint = Path(straight[0].args.output_dir) / "checkpoint-4"
    trainer = make(tiny_model_dir, tmp_path / "own", **HALF)
    trainer.train(resume_from_checkpoint=checkpoint)
    check_equal(parameters(trainer), parameters(straight[0]))
    # Another run's checkpoint of the same step lies where this one's is looked for.
    other = tmp_path / "stock" / "checkpoint-4"
    shutil.copytree(checkpoint, other)
    text = (other / "trainer_state.json").read_text().replace('"loss"', '"other"')
    (other / "trainer_state.json").write_text(text)
    for average, told in (
        (WeightAverage(0.5), True),
        (WeightAverage(0.5, checkpoint=checkpoint), 0),
    ):
        stock = make(
            tiny_model_dir,
            tmp_path / "stock",
            stock=True,
            max_steps=6,
            trainer_options={"callbacks": [average]},
        )
        if told:
            with pytest.raises(ConfigError, match=r"WeightAverage\(start, checkpoint=FOLDER\)"):
                stock.train(resume_from_checkpoint=str(checkpoint))
            continue
        stock.train(resume_from_checkpoint=str(checkpoint))
        check_equal(parameters(stock), parameters(straight[0]))


def damage(path: Path, how: str) -> None:
    """Change the mean in a checkpoint."""
    mean = load_file(path)
    if how == "missing":
        path.unlink()
    elif how == "torn":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "steps":
        save_file(mean, path, metadata={"count": "2"})
    else:
        name = "model.norm.weight"
        save_file({**mean, name: mean[name][:3].clone()}, path, metadata={"count": "1"})


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ("missing", MissingFileError, "does not exist, but 1 steps"),
        ("torn", DataError, "is not a safetensors file"),
        ("steps", DataError, "mean of 2 steps' weights, expected 1"),
        ("shape", DataError, r"model\.norm\.weight is \(3,\), expected \(32,\)"),
    ],
)
def test_a_mean_that_does_not_fit_is_refused_in_one_line(
    how: str,
    error: type[PolypathError],
    told: str,
    straight: Any,
    tiny_model_dir: Path,
    tmp_path: Path,
) -> None:
    checkpoint = tmp_path / "checkpoint-4"
    shutil.copytree(Path(straight[0].args.output_dir) / "checkpoint-4", checkpoint)
    damage(checkpoint / AVERAGE_FILE, how)
    with pytest.raises(error, match=told) as caught:
        make(tiny_model_dir, tmp_path, **HALF).train(resume_from_checkpoint=str(checkpoint))
    assert "\n" not in str(caught.value)


# --- with vLLM, and where it cannot be ---------------------------------------------------------------


def test_vllm_is_given_the_mean_before_it_generates_again(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = type("Sampler", (ShiftedSampler,), {})
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", stand_in)
    vllm = {"use_vllm": True, "vllm_mode": "colocate"}
    options = {"eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 32}
    trainer = make(tiny_model_dir, tmp_path, average_weights_from=0, **vllm)
    trainer.eval_dataset = trainer.train_dataset
    for name, value in options.items():
        setattr(trainer.args, name, value)
    trainer.train()
    sent = trainer.vllm_generation.synced
    assert sent == 3  # two steps, and the evaluation after the second
    trainer.evaluate()
    assert trainer.vllm_generation.synced == sent + 1


@pytest.mark.parametrize("value", [1, -0.1, 2.0, math.nan, math.inf, True, "half"])
def test_a_bad_start_is_refused_in_one_line(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start") as by_callback:
        WeightAverage(value)
    with pytest.raises(ConfigError, match="average_weights_from") as by_setting:
        DiversityGRPOConfig(output_dir=str(tmp_path), average_weights_from=value, bf16=False)
    assert "\n" not in str(by_callback.value) + str(by_setting.value)


def test_what_also_chooses_the_last_weights_is_refused(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = make(tiny_model_dir, tmp_path, **HALF)
    trainer.args.load_best_model_at_end = True
    with pytest.raises(ConfigError, match="load_best_model_at_end"):
        trainer.train()


def test_split_parameters_are_refused_whoever_split_them() -> None:
    model = nn.Linear(2, 2)
    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
        args = SimpleNamespace(load_best_model_at_end=False)
        with pytest.raises(ConfigError, match="parameters are split over processes"):
            WeightAverage(0.5).on_train_begin(args, TrainerState(max_steps=2), None, model=model)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_split_training_is_refused_before_its_first_step(
    kind: DistributedType, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(tiny_model_dir, tmp_path, **HALF)
    args, state = trainer.args, trainer.state
    monkeypatch.setitem(PartialState._shared_state, "distributed_type", kind)
    with pytest.raises(ConfigError, match=f"split over processes \\({kind.value}\\)") as caught:
        trainer.weight_average.on_train_begin(args, state, None, model=trainer.model)
    assert "\n" not in str(caught.value)
