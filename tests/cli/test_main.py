"""The command line: exit codes, one-line errors, no torch before it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from polypath.cli.main import run


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--config", "/does/not/exist.yaml"], ["/does/not/exist.yaml", "does not exist"]),
        (["train", "--output_dir", "x", "--lerning_rate", "1"], ["lerning_rate", "learning_rate"]),
        (["train", "--output_dir", "x", "--dra_among", "some"], ["dra_among", "some", "rewarded"]),
        (
            ["train", "--output_dir", "x", "--positive_entropy_coef", "-1"],
            ["positive_entropy_coef", "-1"],
        ),
        (["train", "--output_dir", "x", "--learning_rate", "fast"], ["learning_rate", "fast"]),
        (
            ["train", "--output_dir", "x", "--dra", "true", "--num_generations", "1"],
            ["num_generations=1"],
        ),
        (
            [
                *["train", "--output_dir", "x", "--task", "countdown", "--bf16", "false"],
                *["--model_name_or_path", "/no/such/model", "--use_cpu", "true"],
            ],
            ["/no/such/model"],
        ),
        (["quickstart", "--methods", "drx"], ["drx", "dra"]),
        (["quickstart", "--samples", "3"], ["64", "3"]),
        (["presample", "--model", "/no/such/model", "--out", "x"], ["/no/such/model"]),
    ],
    ids=lambda value: value[0] if value[0] in ("train", "quickstart", "presample") else None,
)
def test_user_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(str(tmp_path))
    assert run(arguments) == 2
    message = one_line(capsys)
    for word in words:
        assert word in message


def test_yaml_that_cannot_be_read_is_one_line(tmp_path, capsys: pytest.CaptureFixture[str]):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("a: [1,\nb: 2")
    assert run(["train", "--config", str(recipe)]) == 2
    assert str(recipe) in one_line(capsys)


def test_unknown_key_in_yaml_names_the_nearest(tmp_path, capsys: pytest.CaptureFixture[str]):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("output_dir: x\npositive_entropy_coeff: 0.1\n")
    assert run(["train", "--config", str(recipe)]) == 2
    message = one_line(capsys)
    assert "positive_entropy_coeff" in message
    assert "'positive_entropy_coef'" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["'trian'", "'train'"]),
        (["tasks", "shw"], ["'shw'", "'show'"]),
        (["sample"], ["--model", "polypath sample --help"]),
        (["sample", "--modle", "m"], ["--modle", "--model"]),
        (["sample", "--n"], ["--n"]),
        (["train", "--plan", "--gpus", "0"], ["--gpus", "0"]),
    ],
)
def test_usage_error_is_one_line_and_exit_code_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
):
    assert run(arguments) == 2
    message = one_line(capsys)
    for word in words:
        assert word in message


def test_without_a_command_the_commands_are_listed(capsys: pytest.CaptureFixture[str]):
    assert run([]) == 2
    assert "presample" in capsys.readouterr().err


def test_version_and_methods_print(capsys: pytest.CaptureFixture[str]):
    assert run(["--version"]) == 0
    assert run(["methods"]) == 0
    shown = capsys.readouterr().out
    assert "polypath 0." in shown
    assert "forward_kl" in shown
    assert "positive_entropy_coef: 0.01" in shown  # whole, to be copied from a file


def test_help_does_not_import_torch():
    code = (
        "import sys\nfrom polypath.cli.main import run\n"
        "for command in ('train', 'sample', 'presample', 'tasks'):\n"
        "    assert run(['--help']) == 0 and run([command, '--help']) == 0\n"
        "late = {'torch', 'trl', 'numpy', 'scipy', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
        "assert not late, late\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("polypath.train.config.load_recipe", broken)
    with pytest.raises(ZeroDivisionError):
        run(["train"])


WITHOUT = """
import sys
for name in ("torch", "trl", "transformers", "accelerate", "datasets", "safetensors", "peft"):
    sys.modules[name] = None  # as in an install without extras: an import fails
from polypath.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("methods --settings", 0),
        ("tasks", 0),
        ("tasks show countdown", 0),
        ("train --output_dir x", 2),
        ("train --plan --output_dir x", 2),
        ("sample --model countdown-base --out x", 2),
        ("eval --model countdown-base --out x", 2),
        ("presample --model countdown-base --out x", 2),
        ("quickstart --out x", 2),
    ],
)
def test_without_extras_a_command_works_or_says_which(
    words: str, code: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr[-2000:]
    if code:
        assert done.stderr.count("\n") == 1
        assert "polypath[trl]" in done.stderr
