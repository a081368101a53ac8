"""What a recipe asks of the machine is told at once."""

import pytest

from polypath.errors import MissingExtraError
from polypath.train import machine
from polypath.train.config import load_recipe
from polypath.train.run import run
from tests.train.conftest import WriteRecipe


def test_what_the_machine_lacks_is_told_at_once(
    write_recipe: WriteRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda _: None)
    monkeypatch.setattr(machine, "get_token", lambda: None)
    asked = {"report_to": ["wandb", "tensorboard"], "use_vllm": True, "push_to_hub": True}
    path = write_recipe(**asked, use_liger_kernel=True, attn_implementation="flash_attention_2")
    with pytest.raises(MissingExtraError) as error:
        run(load_recipe(path))
    told = str(error.value)
    assert "\n" not in told
    settings = ("--report_to", "--use_vllm", "--push_to_hub", "--use_liger_kernel")
    assert all(name in told for name in (*settings, "--attn_implementation"))
    machine.check_machine(load_recipe(write_recipe()))  # asks for nothing
