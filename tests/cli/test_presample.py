import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from polypath.cli.presample import presample
from polypath.rehearsal import RehearsalSet
from tests.tiny import save_tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(presample)
    return app


@pytest.fixture(scope="module")
def copier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a model that learned to write "4 + 1" whatever is asked, and such problems."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("copier")
    save_tiny_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    prompts = [f"solve {n} =" for n in range(2, 8)]
    ids = torch.tensor(tokenizer([f"{p} 4 + 1 <eos>" for p in prompts])["input_ids"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    # The target is 5 in every other line only; countdown's verifier judges.
    problems = folder / "problems.jsonl"
    problems.write_text(
        "\n".join(
            json.dumps({"problem_id": f"p{n}", "prompt": p, "gold": f"{5 + n % 2} from 1 4"})
            for n, p in enumerate(prompts)
        )
    )
    return folder, problems


def test_the_command_makes_a_set_and_then_says_it_is_there(
    app: typer.Typer, copier: tuple[Path, Path], tmp_path: Path
) -> None:
    model, problems = copier
    out, report = tmp_path / "set", tmp_path / "reports" / "summary.json"
    words = [
        *("--model", str(model), "--problems", str(problems), "--out", str(out)),
        *("--json", str(report)),
        *("--task", "countdown", "--k", "4", "--threshold", "3"),
        *("--hopeless", "list", "--batch-size", "8"),
        *("--answers-per-problem", "4", "--repeated-answers", "drop"),
    ]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    summary = json.loads(report.read_text())
    assert summary["num_problems"] == 6
    assert summary["counts"]["hopeless"] == 3
    assert summary["counts"]["near_perfect"] >= 1
    stored = RehearsalSet.load(out)
    assert stored.manifest.settings["repeated_answers"] == "drop"
    # All that this model can write is one answer, right for some.
    assert len(stored) == summary["num_rows"] == summary["counts"]["near_perfect"]
    assert "24 of 24" in first.output
    second = CliRunner().invoke(app, words)
    assert second.exit_code == 0, second.output
    assert json.loads(report.read_text())["already_complete"]


def test_mistakes_are_errors_of_the_user(app: typer.Typer, tmp_path: Path) -> None:
    base = ["--model", "m", "--out", str(tmp_path)]
    for words, named in (
        (["--threshold", "9"], ["threshold", "k=8", "9"]),
        (["--repeated-answers", "dropp"], ["repeated-answers", "'dropp'", "'drop'"]),
        (["--task", "countdwn"], ["'countdwn'", "'countdown'"]),
    ):
        found = CliRunner().invoke(app, [*base, *words])
        assert found.exit_code != 0
        assert all(fact in f"{found.output} {found.exception}" for fact in named)


def test_options_that_would_spoil_the_reference_log_probs_are_not_offered(app: typer.Typer) -> None:
    names = {option.name for option in typer.main.get_command(app).params}
    assert {"k", "threshold", "confirm", "temperature", "seed", "limit"} <= names
    assert not {"top_p", "top_k"} & names


def test_the_module_does_not_import_torch() -> None:
    code = "import sys, polypath.cli.presample; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
