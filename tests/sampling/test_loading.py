import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from polypath.cli.main import run
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.sampling.loading import load_model, resolve_device, resolve_precision
from tests.refusals import refused

CPU = torch.device("cpu")


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    for name in (tmp_path / "nowhere", tmp_path, "someone/no-such-model"):
        with pytest.raises(MissingFileError) as caught:
            load_model(name, dtype=torch.float32, device=CPU)
        assert "\n" not in str(caught.value)


def test_a_loaded_model_is_ready_to_sample(tiny_model_dir: Path) -> None:
    model, tokenizer = load_model(tiny_model_dir, dtype=torch.bfloat16, device=CPU)
    assert not model.training
    assert model.dtype == torch.bfloat16
    assert tokenizer.padding_side == "left"


def test_devices_and_precisions_resolve() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_precision("auto", CPU) == "float32"
    assert resolve_precision("bf16-mixed", CPU) == "bf16-mixed"
    with pytest.raises(ConfigError, match="'tpux'"):
        resolve_device("tpux")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="torch sees none"):
        resolve_device("cuda")


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


def as_bin(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        weights = path.with_name("model.safetensors")
        torch.save(load_file(weights), path)
        weights.unlink()
        damage(path)

    return change


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def without_a_layer(path: Path) -> None:
    weights = load_file(path)
    save_file({k: v for k, v in weights.items() if "layers.1." not in k}, path, {"format": "pt"})


def not_finite(path: Path) -> None:
    weights = load_file(path)
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, path, {"format": "pt"})


def written(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text, encoding="utf-8") and None


def changed(**values: Any) -> Callable[[Path], None]:
    return lambda path: written(json.dumps({**json.loads(path.read_text()), **values}))(path)


DAMAGE: list[tuple[str, Callable[[Path], None], str]] = [
    *((name, half, name) for name in ("model.safetensors", "config.json", "tokenizer.json")),
    *((name, noise, name) for name in ("model.safetensors", "chat_template.jinja")),
    *((name, written("{}"), name) for name in ("model.safetensors", "tokenizer.json")),
    *((name, written("[" * 100_000), name) for name in ("config.json", "tokenizer_config.json")),
    *((name, half, name) for name in ("tokenizer_config.json", "generation_config.json")),
    *(
        ("pytorch_model.bin", as_bin(damage), "pytorch_model.bin")
        for damage in (half, noise, flipped)
    ),
    ("model.safetensors", without_a_layer, "model.layers.1."),
    ("model.safetensors", not_finite, "model.norm.weight"),
    ("config.json", changed(num_attention_heads=0), "config.json"),
    ("config.json", changed(hidden_act="zzz"), "zzz"),
    ("config.json", changed(num_hidden_layers=-1), "num_hidden_layers"),
    ("config.json", changed(num_hidden_layers=10**12), "num_hidden_layers"),
    ("config.json", changed(hidden_size=64), "config.json"),
    ("config.json", changed(attention_dropout=-1), "attention_dropout"),
    ("generation_config.json", changed(eos_token_id="zzz"), "eos_token_id"),
    ("generation_config.json", changed(num_beams="zzz"), "num_beams"),
    ("tokenizer_config.json", changed(eos_token=3), "eos_token"),
]


@pytest.fixture
def copied(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


@pytest.mark.parametrize(
    ("file", "damage", "named"), DAMAGE, ids=[f"{n}-{d[0]}" for n, d in enumerate(DAMAGE)]
)
def test_a_damaged_model_is_one_line_that_names_what_is_damaged(
    copied: Path, file: str, damage: Callable[[Path], None], named: str
) -> None:
    damage(copied / file)
    with refused(DataError, copied, named):
        load_model(copied, dtype=torch.float32, device=CPU)


CALLS = {
    "sample": ["sample", "--n", "1", "--limit", "1", "--out", "run"],
    "eval": ["eval", "--n", "1", "--limit", "1", "--out", "run"],
    "presample": ["presample", "--k", "1", "--threshold", "1", "--limit", "1", "--out", "run"],
    "train": [
        *[
            "train",
            "--task",
            "countdown",
            "--task_limit",
            "4",
            "--output_dir",
            "run",
            "--use_cpu",
            "true",
        ],
        *["--bf16", "false", "--num_generations", "2", "--per_device_train_batch_size", "2"],
        *["--max_steps", "1", "--max_completion_length", "4", "--report_to", "none"],
        *["--gradient_checkpointing", "false", "--disable_tqdm", "true"],
    ],
}
FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "weights": ("model.safetensors", half),
    "tokenizer": ("tokenizer.json", half),
    "its settings": ("tokenizer_config.json", half),
    "type of a setting": ("config.json", changed(attention_bias="zzz")),
    "length of texts": ("tokenizer_config.json", changed(model_max_length="zzz")),
    "template": ("chat_template.jinja", written("{{ raise_exception('no such role') }}")),
    "template's syntax": ("chat_template.jinja", written("{% for %}")),
}
CHATS = """
from polypath import task_from

def chats():
    rows = [{"prompt": [{"role": "user", "content": f"solve {n}"}], "answer": str(n)} for n in range(6)]
    return task_from(rows, lambda completions, **_: [0.0] * len(completions))
"""


@pytest.mark.parametrize("command", CALLS)
@pytest.mark.parametrize("file", FILES)
def test_every_command_names_the_damaged_file(
    copied: Path,
    command: str,
    file: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(copied.parent)
    Path("my_task.py").write_text(CHATS)
    name, damage = FILES[file]
    damage(copied / name)
    model = "--model_name_or_path" if command == "train" else "--model"
    chosen = ["--task", "my_task.py:chats"] if "template" in file else []
    chosen += ["--split", "train"] if command != "train" else []
    assert run([*CALLS[command], model, str(copied), *chosen]) == 2
    shown = capfd.readouterr().err
    assert "Traceback" not in shown
    assert name in shown.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("config.json", {"architectures": None}),
        ("config.json", {"hidden_size": 64}),
        ("config.json", {"attention_dropout": None}),
        ("tokenizer_config.json", {"eos_token": None}),
    ],
    ids=str,
)
def test_settings_that_only_training_reads_are_named(
    copied: Path,
    file: str,
    settings: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(copied.parent)
    changed(**settings)(copied / file)
    assert run([*CALLS["train"], "--model_name_or_path", str(copied)]) == 2
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("polypath:")]
    assert len(told) == 1
    assert file in told[0]


@pytest.mark.parametrize("command", CALLS)
def test_code_of_a_model_is_never_run_unasked_nor_asked_about(
    copied: Path, command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied.parent)
    (copied / "own.py").write_text(f"open('it_ran', 'w')  # {command}")
    changed(
        model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}
    )(copied / "config.json")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    model = "--model_name_or_path" if command == "train" else "--model"
    assert run([*CALLS[command], model, str(copied)]) == 2
    assert "trust_remote_code" in capfd.readouterr().err.strip().splitlines()[-1]
    assert not Path("it_ran").exists()
    if command != "train":
        assert run([*CALLS[command], model, str(copied), "--trust-remote-code"]) == 2
        assert Path("it_ran").exists(), "it is run where this is allowed, and then has no class Own"


def test_the_tokenizer_of_a_larger_model_is_refused(
    copied: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied.parent)
    tokenizer = json.loads((copied / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {word: i + 40 * (i > 5) for word, i in vocabulary.items()}
    written(json.dumps(tokenizer))(copied / "tokenizer.json")
    assert run([*CALLS["sample"], "--model", str(copied)]) == 2
    assert str(copied) in capfd.readouterr().err.strip().splitlines()[-1]
