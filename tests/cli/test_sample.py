"""``polypath sample``, ``score``, ``eval`` and ``export`` as a user calls them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polypath.cli.main import run
from polypath.rollouts import RolloutStore, load_samples
from polypath.tasks import get_task
from polypath.tasks.shipped import base_model_dir
from tests.forks import python
from tests.sampling.server import Behaviour, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def words() -> list[str]:
    return ["sample", "--model", str(base_model_dir()), "--task", "countdown", "--split", "test"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> Path:
    out = tmp_path_factory.mktemp("runs") / "base"
    options = ["--n", "8", "--limit", "12", "--batch-size", "2", "--greedy", "--out", str(out)]
    assert run([*words, *options]) == 0
    return out


def rows_of(out: Path, name: str = "samples") -> dict[tuple[str, int], dict[str, Any]]:
    store = RolloutStore.open(out / name)
    rows = [r for batch in store.iter_batches() for r in batch.to_pylist()]
    found = {(r["problem_id"], r["sample_id"]): r for r in rows}
    assert len(found) == len(rows), "a row came twice"
    return found


def test_sampling_makes_a_run_that_says_what_made_it(finished: Path) -> None:
    asked = [p.problem_id for p in get_task("countdown").problems("test", 12)]
    assert set(rows_of(finished)) == {(p, n) for p in asked for n in range(8)}
    assert set(rows_of(finished, "greedy")) == {(p, 0) for p in asked}
    made = json.loads((finished / "samples" / "manifest.json").read_text())
    assert (made["task"], made["split"], made["temperature"]) == ("countdown", "test", 1.0)
    found = load_samples(finished)
    assert found.num_correct_N.sum() > 0
    assert found.greedy_correct is not None


def test_ten_kills_change_nothing(finished: Path, words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "killed"
    options = ["--n", "8", "--limit", "12", "--batch-size", "2", "--greedy", "--out", str(out)]
    done = subprocess.run(
        [*python(), "-m", "tests.cli.sample_kills", str(out), "10", *words, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shards = [int(line) for line in done.stdout.splitlines()[:10]]
    assert shards == sorted(shards)
    assert len(set(shards)) >= 5, f"kills at different stages, got {shards}"
    for name in ("samples", "greedy"):
        assert rows_of(out, name) == rows_of(finished, name)


def test_another_setting_in_the_same_folder_is_one_line(
    finished: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--out", str(finished), "--temperature", "0.7"]) == 2
    shown = capsys.readouterr().err.strip().splitlines()[-1]
    assert "temperature=1.0" in shown
    assert "temperature=0.7" in shown


def test_score_corrects_wrong_verdicts(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(finished), "--out", str(tmp_path / "x.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert len(rows) == 12 * 9
    right = sum(r["correct"] for r in rows if r["sample_id"] >= 0)
    for r in rows:
        r["correct"], r["reward"], r["answer"] = not r["correct"], 1 - r["reward"], "?"
    (tmp_path / "wrong.jsonl").write_text("\n".join(map(json.dumps, rows)))
    from polypath.rollouts import RolloutManifest
    from polypath.rollouts.transfer import import_run

    made = RolloutManifest(model="m", task="countdown")
    import_run(tmp_path / "wrong.jsonl", tmp_path / "wrong", made)
    assert load_samples(tmp_path / "wrong").num_correct_N.sum() == 96 - right
    capsys.readouterr()
    report = tmp_path / "new" / "s.json"
    assert run(["score", str(tmp_path / "wrong"), "--json", str(report)]) == 0
    told = json.loads(report.read_text())["samples"]
    assert (told["num_rows"], told["now_right"], told["now_wrong"]) == (96, right, 96 - right)
    new = tmp_path / "wrong-verified"
    assert str(new) in capsys.readouterr().out.replace("\n", "")
    assert load_samples(new).correct == load_samples(finished).correct
    assert load_samples(new).answers == load_samples(finished).answers
    assert load_samples(tmp_path / "wrong").num_correct_N.sum() == 96 - right
    assert run(["score", str(tmp_path / "wrong"), "--json", str(report)]) == 0
    assert "complete" in capsys.readouterr().out
    assert json.loads(report.read_text())["samples"] == told
    named = tmp_path / "named"
    assert run(["score", str(tmp_path / "wrong" / "samples"), "--out", str(named)]) == 0
    assert load_samples(named).correct == load_samples(finished).correct


def test_a_file_becomes_a_judged_run_and_says_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = get_task("countdown").problems("test", 1)[0]
    rows = [
        json.dumps({"id": problem.problem_id, "response": "1 + 1"}),
        json.dumps({"id": "unheard-of", "response": "1 + 1"}),
        '{"id": "cut',
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(rows))
    words = ["score", str(tmp_path / "x.jsonl"), "--task", "countdown", "--split", "test"]
    keys = ["--key", "problem_id=id", "--key", "completion=response"]
    assert run([*words, *keys]) == 0
    shown = capsys.readouterr().out
    assert "1 samples verified, 1 new" in shown
    assert "1 unknown problem_id and no gold (line 2 of x.jsonl); 1 not JSON (line 3" in shown
    assert load_samples(tmp_path / "x-verified").correct == ((False,),)


MODELS = ("base", "Qwen/Qwen2.5-0.5B", "../../up", "/etc", ".hidden", "", "über me")


@pytest.fixture
def of_models(tmp_path: Path) -> Path:
    """A file with the samples of several models, of which model n solves problem n alone."""
    texts = {n: ["1 * 2 * 3 * 4" if m == n else "1 + 2" for m in range(7)] for n in range(7)}
    rows = [
        {"problem_id": f"p{m}", "gold": "24 from 1 2 3 4", "completion": text, "model": name}
        for n, name in enumerate(MODELS)
        for m, text in enumerate(texts[n])
    ]
    bad = [rows[0] | {"model": None}, {"problem_id": "p0", "model": "bad"}]
    bad += [{"problem_id": "p0", "model": "base"}]
    path = tmp_path / "runs" / "all.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join([*map(json.dumps, [*rows, *bad]), "{"]))
    return path


def test_score_reads_the_runs_of_a_file_apart(of_models: Path, tmp_path: Path) -> None:
    words = ["score", str(of_models), "--task", "countdown"]
    assert run(words) == 2
    told = tmp_path / "told.json"
    assert run([*words, "--run-key", "model", "--json", str(told)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "told.json"}
    assert {path.name for path in of_models.parent.iterdir()} == {"all.jsonl", "all-verified"}
    out = of_models.parent / "all-verified"
    made = {json.loads(p.read_text())["model"]: p.parents[1] for p in out.glob("*/*/manifest.json")}
    assert list(json.loads(told.read_text())) == list(MODELS)
    for n, name in enumerate(MODELS):
        found = load_samples(made[f"{name}, imported from all.jsonl"])
        assert found.correct == tuple((m == n,) for m in range(7))
        left_out = {"no model": 1, "no completion": 2 if name == "base" else 1, "not JSON": 1}
        assert json.loads(told.read_text())[name]["left_out"] == left_out
    assert made["Qwen/Qwen2.5-0.5B, imported from all.jsonl"].name == "Qwen--Qwen2.5-0.5B"


def test_score_verifies_one_run_of_a_file_or_all_rows_as_one(
    of_models: Path, tmp_path: Path
) -> None:
    one, together = tmp_path / "one", tmp_path / "together"
    words = ["--task", "countdown", "--run-key"]
    assert run(["score", f"base={of_models}", *words, "model", "--out", str(one)]) == 0
    assert [path.name for path in one.iterdir()] == ["base"]
    assert run(["score", str(of_models), *words, "none", "--out", str(together)]) == 0
    assert load_samples(together).num_samples_N.tolist() == [8, *[7] * 6]


def test_two_runs_never_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"problem_id": "p", "gold": "24 from 1 2 3 4", "completion": "1"}
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(json.dumps(row | {"model": name}) for name in ("a/b", "a--b")))
    assert run(["score", str(path), "--task", "countdown", "--run-key", "model"]) == 2
    assert "a--b, imported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["score", "{run}", "--out", "{run}"], "/base"),
        (["score", "{run}", "--split", "test"], "--split"),
        (["score", "{run}", "--task", "countdwn"], "'countdown'"),
        (["score", "{file}"], "--task"),
        (["score", "{file}", "--task", "countdown", "--out", "x", "--key", "a"], "OURS=THEIRS"),
        (["score", "nowhere"], "nowhere"),
        (["score", "{run}", "--run-key", "model"], "--run-key"),
        (["score", "{file}", "--task", "countdown", "--run-key", "modle"], "modle"),
        (["score", "x=f.jsonl", "--task", "countdown", "--run-key", "problem_id"], "'x'"),
        (["score", "x=f.jsonl,g.jsonl", "--task", "countdown", "--run-key", "k"], "g.jsonl"),
        (["export", "{file}", "--out", "x"], "f.jsonl"),
        (["sample", "--model", "/no/model", "--out", "x"], "/no/model"),
        (["sample", "--model", "m", "--out", "x", "--n", "0"], "got 0"),
        (["sample", "--model", "m", "--out", "x", "--max-new-tokens", "0"], "max_new_tokens"),
        (["sample", "--model", "m", "--out", "x", "--split", "tset"], "'test'"),
        (["sample", "--model", "m", "--out", "x", "--base-url", "h:1"], "base_url"),
        (["sample", "--model", "m"], "--out"),
        (["sample", "--model", "m", "--out", "x", "--n", "many"], "--num-samples"),
        (["sample", "--model", "m", "--out", "x", "--n", "many"], "many"),
    ],
)
def test_mistakes_are_one_line(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.jsonl").write_text('{"problem_id": "a", "completion": "x"}')
    names = {"run": str(finished), "file": "f.jsonl"}
    assert run([option.format(**names) for option in options]) == 2
    shown = capsys.readouterr().err.strip().splitlines()
    assert len(shown) == 1
    assert text in shown[0]


def test_a_server_is_sampled_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    behaviour = Behaviour(most_choices=1)
    with serving(behaviour) as url:
        words = ["sample", "--model", "m", "--base-url", url, "--n", "2", "--limit", "3", "--chat"]
        out = ["--out", str(tmp_path / "r"), "--api-key-env", "MY_KEY"]
        assert run([*words, *out]) == 0
    assert "n=2" in capsys.readouterr().out
    assert len(rows_of(tmp_path / "r")) == 6
    assert behaviour.headers[0]["Authorization"] == "Bearer sk-secret"
    assert set(behaviour.paths) == {"/v1/chat/completions"}


def test_eval_prints_the_metrics(
    finished: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "m.json"
    options = ["--n", "8", "--limit", "12", "--batch-size", "2", "--greedy"]
    out = ["--out", str(finished), "--json", str(report)]
    assert run(["eval", *words[1:], *options, *out]) == 0
    shown = capsys.readouterr().out
    assert "0 new" in shown
    assert "pass@8" in shown
    assert "greedy pass@1" in shown
    keys = {m["key"] for m in json.loads(report.read_text())["runs"][0]["metrics"]}
    assert {"pass@1", "pass@8"} <= keys


def test_score_and_export_do_not_import_torch(finished: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom polypath.cli.main import run\n"
        "assert run(['score', sys.argv[1]]) == 0\n"
        "assert run(['export', sys.argv[1], '--out', sys.argv[2]]) == 0\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    words = [sys.executable, "-c", code, str(finished), str(tmp_path / "x.jsonl")]
    assert subprocess.run(words, check=False, stdout=subprocess.DEVNULL).returncode == 0
