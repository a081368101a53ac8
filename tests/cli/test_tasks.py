"""``polypath tasks`` as a user calls it, and task options on every command that takes a task."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from polypath.cli.main import run
from polypath.rehearsal.manifest import RehearsalManifest
from polypath.rollouts import RolloutManifest, RolloutStore
from polypath.tasks import TASKS
from tests.tasks.data import HUB_SHAPED, SQL_ROWS, write_databases, write_rows

pytest.importorskip("math_verify")
pytest.importorskip("sqlglot")


def test_the_list_names_every_task(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "tasks.json"
    assert run(["tasks", "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    records = {record["name"]: record for record in json.loads(path.read_text())}
    assert list(records) == list(TASKS)
    assert all(name in shown for name in TASKS)
    assert records["gsm8k"]["hub"] == "openai/gsm8k"
    assert records["gsm8k"]["splits"] == ["train", "test"]
    assert records["gsm8k"]["evaluation"]["num_samples"] == 8
    assert "data" in records["gsm8k"]["options"]
    assert records["countdown"]["options"] == {}
    assert all(record["what"] and record["verifier"] for record in records.values())


def test_the_list_needs_no_torch_and_no_data_sets() -> None:
    code = (
        "import sys\n"
        "from polypath.cli.main import run\n"
        "assert run(['tasks']) == 0\n"
        "assert not {'torch', 'datasets', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_show_says_which_fields_are_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "x.jsonl", HUB_SHAPED["amc23"])
    assert run(["tasks", "show", "amc23", "--task-option", f"data={path}"]) == 0
    shown = capsys.readouterr().out
    assert "question in 'problem', answer in 'answer'" in shown
    assert "2 problems" in shown
    assert "Gold: 27" in shown
    assert run(["tasks", "show", "amc23"]) == 0  # the hub cannot be reached, the options still show
    shown = capsys.readouterr().out
    assert "Cannot load knoveleng/AMC-23" in shown
    assert "answer_field" in shown
    assert run(["tasks", "show", "amc24"]) == 2
    assert "'amc23'" in capsys.readouterr().err


def test_check_lists_what_its_own_gold_fails(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [*SQL_ROWS, {"db_id": "zoo", "question": "?", "query": "SELECT wings FROM animal"}]
    write_rows(tmp_path / "dev.json", rows)
    write_databases(tmp_path / "database")
    words = ["tasks", "check", "spider", "--task-option", f"data={tmp_path}"]
    assert run([*words, "--json", str(tmp_path / "check.json")]) == 0
    shown = capsys.readouterr().out
    assert "3 of 4" in shown
    assert "bad_gold" in shown
    assert "SELECT wings FROM animal" in shown
    record = json.loads((tmp_path / "check.json").read_text())
    assert [failed["status"] for failed in record["failed"]] == ["bad_gold"]
    assert (record["num_problems"], record["statuses"]) == (4, {"graded": 3, "bad_gold": 1})
    assert run([*words, "--limit", "3"]) == 0
    assert "3 of 3" in capsys.readouterr().out


def test_a_task_whose_golds_are_no_answers_cannot_be_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["tasks", "check", "countdown", "--limit", "2"]) == 2
    error = capsys.readouterr().err
    assert "countdown" in error
    assert "gold_completion" in error


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """Return a file of sums that a tiny model can be asked."""
    rows = [
        {"question": f"solve {a} + {b} =", "answer": f"#### {a + b}"}
        for a in range(4)
        for b in range(2)
    ]
    return write_rows(tmp_path / "test.jsonl", rows)


def test_options_are_recorded_rebuilt_and_may_not_change(
    tiny_model_dir: Path,
    sums: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    words = ["sample", "--model", str(tiny_model_dir), "--task", "gsm8k", "--out", str(out)]
    options = ["--task-option", f"data={sums}", "--task-option", "prompt=plain"]
    limits = ["--n", "2", "--max-new-tokens", "4", "--device", "cpu", "--precision", "float32"]
    assert run([*words, *options, *limits]) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if "temperature=" in line)
    for fact in ("n=2 (given)", "temperature=0.5,", "top_p=1.0,", "max_new_tokens=4 (given)"):
        assert fact in line
    assert "R1-zero-Div" in line
    store = RolloutStore.open(out / "samples")
    expected = {"data": str(sums), "prompt": "plain"}
    assert store.manifest.task_options == expected
    statuses = [s for b in store.iter_batches(("status",)) for s in b.column(0).to_pylist()]
    missing = sum(status != "graded" for status in statuses)
    assert missing
    assert f"{missing} of 16 samples" in shown

    assert run([*words, *options, "--task-option", "extraction=box", *limits]) == 2
    error = capsys.readouterr().err
    assert "task_options" in error
    assert "extraction" in error

    monkeypatch.chdir("/")
    assert run(["score", str(out)]) == 0
    assert "gsm8k" in capsys.readouterr().out
    new = tmp_path / "run-verified"
    assert RolloutStore.open(new / "samples").manifest.task_options == expected
    boxes = tmp_path / "boxes"
    assert run(["score", str(out), "--task-option", "extraction=box", "--out", str(boxes)]) == 0
    verified = RolloutStore.open(boxes / "samples").manifest
    assert verified.task_options == {**expected, "extraction": "box"}
    assert run(["score", str(out), "--task-option", "prompt"]) == 2
    assert "--task-option" in capsys.readouterr().err

    words = ["--task", "gsm8k", "--task-option", f"data={sums}", "--json", str(tmp_path / "d.json")]
    assert run(["diversity", str(out), *words]) == 0
    assert run(["diversity", str(out), "--task-option", f"data={sums}"]) == 2
    assert "--task:" in capsys.readouterr().err


def test_manifests_written_before_there_were_options_still_open(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    RolloutManifest(model="m", task="countdown").write(path)
    content = json.loads(path.read_text())
    del content["task_options"]
    path.write_text(json.dumps(content))
    assert RolloutManifest.read(path).task_options == {}
    names = ["model", "model_fingerprint", "tokenizer_fingerprint", "template_fingerprint"]
    fields = dict.fromkeys([*names, "precision", "task", "split", "problems_key"], "x")
    numbers = {"temperature": 1.0, "num_rows": 0, "num_tokens": 0, "histogram": []}
    RehearsalManifest(**fields, **numbers, settings={}, counts={}, files={}).write(path)  # type: ignore[arg-type]
    content = json.loads(path.read_text())
    del content["task_options"]
    path.write_text(json.dumps(content))
    assert RehearsalManifest.read(path).task_options == {}


def test_presample_keeps_its_own_settings_and_records_the_options(
    tiny_model_dir: Path, sums: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["presample", "--model", str(tiny_model_dir), "--task", "gsm8k", "--split", "test"]
    words += ["--out", str(tmp_path / "set"), "--k", "2", "--threshold", "1", "--device", "cpu"]
    words += ["--task-option", f"data={sums}", "--task-option", "prompt=plain"]
    run([*words, "--max-new-tokens", "4", "--precision", "float32"])  # it may master nothing
    capsys.readouterr()
    manifest = RolloutStore.open(tmp_path / "set" / "samples").manifest
    assert manifest.task_options == {"data": str(sums), "prompt": "plain"}
    assert (manifest.temperature, manifest.top_p) == (1.0, 1.0)
