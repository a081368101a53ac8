"""The launch configurations are ones accelerate reads, and say what they ask for."""

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.utils import DistributedType

FOLDER = Path(__file__).parents[2] / "recipes" / "accelerate"
KINDS = {
    "cpu": DistributedType.MULTI_GPU,  # accelerate's word for a process each
    "ddp": DistributedType.MULTI_GPU,
    "fsdp2": DistributedType.FSDP,
    "zero2": DistributedType.DEEPSPEED,
    "zero3": DistributedType.DEEPSPEED,
}


def test_every_file_is_checked_here() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_accelerate_reads_it(name: str) -> None:
    """Its loader refuses keys it does not know."""
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == KINDS[name]
    assert config.num_processes == (2 if name == "cpu" else 8)
    assert config.mixed_precision == ("no" if name == "cpu" else "bf16")
    assert config.use_cpu == (name == "cpu")


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "typo.yaml"
    path.write_text((FOLDER / "ddp.yaml").read_text() + "num_procesess: 2\n")
    with pytest.raises(ValueError, match="num_procesess"):
        load_config_from_file(str(path))


@pytest.mark.parametrize(("name", "stage"), [("zero2", 2), ("zero3", 3)])
def test_zero_files_ask_for_their_stage(name: str, stage: int) -> None:
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert config.deepspeed_config["zero_stage"] == stage


def test_the_options_of_fsdp_are_options_of_accelerate() -> None:
    from accelerate.commands.launch import launch_command_parser

    known = {
        option for action in launch_command_parser()._actions for option in action.option_strings
    }
    wanted = yaml.safe_load((FOLDER / "fsdp2.yaml").read_text())["fsdp_config"]
    assert {f"--{name}" for name in wanted} <= known


@pytest.mark.parametrize("name", KINDS)
def test_it_says_how_to_launch_it_and_what_was_run(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert f"--config_file recipes/accelerate/{name}.yaml -m polypath train --config" in text
    assert "# Run: " in text
    assert ("Not run: " in text) == (name != "cpu")
    assert "LoRA" in text
