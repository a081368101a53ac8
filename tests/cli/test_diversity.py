"""`polypath diversity` and `compare`: what they print and write, and one line for what goes wrong."""

import csv
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polypath.cli.main import run

Capture = pytest.CaptureFixture[str]


def rows(
    num_problems: int = 12, num_samples: int = 4, seed: int = 0, shift: float = 0.0
) -> list[dict[str, object]]:
    """A run in which problem n is solved with chance n / num_problems + shift."""
    rng = np.random.default_rng(seed)
    return [
        {
            "problem_id": f"q{n}",
            "sample_id": s,
            "prompt": f"What is {n} + 1?",
            "completion": f"First {rng.integers(5)}, then $x = {n} + {rng.integers(3)}$.",
            "correct": bool(rng.random() < n / num_problems + shift),
            "answer": str(rng.integers(3)),
        }
        for n in range(num_problems)
        for s in range(num_samples)
    ]


def write(path: Path, rows: Iterable[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return write(tmp_path / "base.jsonl", rows())


@pytest.fixture
def new(tmp_path: Path) -> str:
    return write(tmp_path / "new.jsonl", rows(seed=1, shift=0.4))


def shares(rows: list[dict[str, object]]) -> float:
    return float(np.mean([bool(row["correct"]) for row in rows]))


def one_line(capsys: Capture) -> str:
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("polypath: ")
    return lines[0]


def test_diversity_prints_every_group_and_writes_every_number(
    base: str, tmp_path: Path, capsys: Capture
):
    out = tmp_path / "deep" / "numbers.json"
    assert run(["diversity", base, "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "base: 12 problems, 48 samples." in shown
    for word in ("pass@4", "majority@4", "Potential@2", "distinct correct in 4", "Div-Equ",
                 "Self-BLEU", "Vendi"):  # fmt: skip
        assert word in shown
    (record,) = json.loads(out.read_text())["runs"]
    numbers = {m["key"]: m for m in record["metrics"]}
    assert numbers["pass@1"]["estimate"] == pytest.approx(shares(rows()))
    assert numbers["pass@1"]["low"] < numbers["pass@1"]["estimate"] < numbers["pass@1"]["high"]
    assert record["pass_curve"]["ks"] == [1, 2, 3, 4]
    assert f"{numbers['pass@1']['estimate']:.3f}" in shown


def test_csv_and_json_on_stdout_stay_clean(base: str, capsys: Capture):
    assert run(["diversity", base, "--csv", "-"]) == 0
    captured = capsys.readouterr()
    table = list(csv.DictReader(io.StringIO(captured.out)))
    assert {row["run"] for row in table} == {"base"}
    assert float(table[0]["estimate"]) == pytest.approx(shares(rows()))
    assert "pass@1" in captured.err
    assert run(["diversity", base, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["name"] == "base"


def test_several_runs_are_columns_measured_at_the_same_k(
    base: str, tmp_path: Path, capsys: Capture
):
    few = write(tmp_path / "few.jsonl", rows(num_samples=3, seed=2))
    assert run(["diversity", base, few]) == 0
    shown = capsys.readouterr().out
    assert "base: 12 problems" in shown
    assert "few: 12 problems" in shown
    assert "k stops at 3" in shown
    assert "pass@3" in shown
    assert "pass@4" not in shown


def test_keys_of_other_tools_are_mapped(tmp_path: Path, capsys: Capture):
    odd = [
        {"idx": row["problem_id"], "response": row["completion"], "is_right": row["correct"]}
        for row in rows()
    ]
    path = write(tmp_path / "odd.jsonl", odd)
    keys = ["problem_id=idx", "completion=response", "correct=is_right"]
    arguments = [part for key in keys for part in ("--key", key)]
    assert run(["diversity", path, *arguments, "--csv", "-"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(table[0]["estimate"]) == pytest.approx(shares(rows()))


def test_task_judges_samples_that_have_no_verdict(tmp_path: Path, capsys: Capture):
    texts = ["8*6*(3-2)", "6*8*(3-2)", "8+6", "no idea"]  # the first two are one solution
    path = write(
        tmp_path / "bare.jsonl",
        [{"problem_id": "a", "completion": text, "gold": "48 from 2 3 6 8"} for text in texts],
    )
    tables = []
    for task in ([], ["--task", "countdown"]):
        assert run(["diversity", path, *task, "--csv", "-"]) == 0
        tables.append(
            {row["key"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
        )
    bare, judged = tables
    assert bare["pass@1"]["estimate"] == ""
    assert "no sample has a verdict" in bare["pass@1"]["note"]
    assert float(bare["self_bleu_diversity (all)"]["estimate"]) > 0
    assert float(judged["pass@1"]["estimate"]) == 0.5
    assert float(judged["distinct@4"]["estimate"]) == 1


def test_compare_prints_differences_words_and_what_was_kept(
    base: str, new: str, tmp_path: Path, capsys: Capture
):
    out = tmp_path / "numbers.json"
    assert run(["compare", base, new, "--json", str(out)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    record = json.loads(out.read_text())
    for d in record["differences"]:
        assert d["estimate"] is None or f"{d['label']} " in shown
    first = record["differences"][0]
    before, after = shares(rows()), shares(rows(seed=1, shift=0.4))
    assert first["key"] == "pass@1"
    assert first["estimate"] == pytest.approx(after - before)
    assert first["p_holm"] >= first["p_value"]
    assert record["num_shared_problems"] == 12
    for line in record["summary"]:
        assert line in shown
    assert shown.startswith(f"{record['summary'][0]} {record['summary'][1]} base: 12 problems")
    assert shown.endswith(record["summary"][-1])
    assert set(record["flows"][0]["status_N"]) == {f"q{n}" for n in range(12)}


def test_seeds_of_one_method_are_pooled_under_its_name(
    base: str, new: str, tmp_path: Path, capsys: Capture
):
    again = write(tmp_path / "again.jsonl", rows(seed=3, shift=0.4))
    assert run(["compare", base, f"method={new},{again}", "--csv", "-"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["run"] for row in table} == {"method"}
    both = (shares(rows(seed=1, shift=0.4)) + shares(rows(seed=3, shift=0.4))) / 2
    assert float(table[0]["run_value"]) == pytest.approx(both)


@pytest.fixture
def of_models(tmp_path: Path) -> str:
    """One file with the samples of three models, a row of nobody's and a broken line."""
    models = {"base": rows(), "small": rows(seed=1, shift=0.4), "large": rows(seed=2, shift=0.2)}
    made = [row | {"model": model} for model, of_model in models.items() for row in of_model]
    path = tmp_path / "all.jsonl"
    write(path, [*made, rows()[0]])
    with path.open("a") as file:
        file.write("{\n")
    return str(path)


def values(csv_text: str) -> dict[str, tuple[float, float]]:
    """Name of a run -> pass@1 of the base and of the run."""
    table = csv.DictReader(io.StringIO(csv_text))
    passed = [row for row in table if row["key"] == "pass@1"]
    return {row["run"]: (float(row["base_value"]), float(row["run_value"])) for row in passed}


def test_a_file_of_several_models_is_not_pooled_silently(of_models: str, capsys: Capture):
    for command in ("diversity", "compare", "report"):
        assert run([command, of_models, *([of_models] if command != "diversity" else [])]) == 2
        message = one_line(capsys)
        assert all(
            word in message for word in ("all.jsonl", "'base'", "'small'", "--run-key model")
        )
    assert run(["diversity", of_models, "--run-key", "none", "--csv", "-"]) == 0
    table = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert {row["run"] for row in table} == {"all"}


def test_a_run_key_reads_the_models_of_a_file_apart(of_models: str, capsys: Capture):
    expected = [shares(rows()), shares(rows(seed=1, shift=0.4)), shares(rows(seed=2, shift=0.2))]
    assert run(["compare", of_models, "--run-key", "model", "--csv", "-"]) == 0
    captured = capsys.readouterr()
    found = values(captured.out)
    assert found["small"] == pytest.approx((expected[0], expected[1]))
    assert found["large"] == pytest.approx((expected[0], expected[2]))
    told = " ".join(captured.err.split())
    assert told.count("left out 2 rows: 1 not JSON (line ") == 3
    assert told.count("; 1 no model (line ") == 3


def test_with_a_run_key_a_name_says_which_run(of_models: str, new: str, capsys: Capture):
    named = [f"large={of_models}", f"small={of_models}"]
    assert run(["compare", *named, "--run-key", "model", "--csv", "-"]) == 0
    assert values(capsys.readouterr().out).keys() == {"small"}
    assert run(["compare", new, of_models, "--run-key", "model", "--csv", "-"]) == 0  # one without
    assert values(capsys.readouterr().out).keys() == {"base", "small", "large"}
    assert run(["compare", f"huge={of_models}", *named, "--run-key", "model"]) == 2
    message = one_line(capsys)
    assert all(name in message for name in ("huge", "base, small, large"))
    assert run(["compare", new, of_models, "--run-key", "modle"]) == 2
    assert "modle" in one_line(capsys)


def test_parquet_and_nested_columns_tell_runs_apart_too(tmp_path: Path, capsys: Capture):
    made = [
        row | {"model": model, "meta": {"step": step}}
        for model, step in (("one", 10), ("two", 20))
        for row in rows(seed=step)
    ]
    path = tmp_path / "all.parquet"
    pq.write_table(pa.Table.from_pylist(made), path)
    assert run(["diversity", str(path)]) == 2
    assert "--run-key model" in one_line(capsys)
    for key, names in (("model", {"one", "two"}), ("meta.step", {"10", "20"})):
        assert run(["diversity", str(path), "--run-key", key, "--csv", "-"]) == 0
        table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert {row["run"] for row in table} == names


def test_a_key_of_one_run_is_not_looked_for_in_the_others(
    base: str, tmp_path: Path, capsys: Capture
):
    odd = [{**row, "is_right": row["correct"]} for row in rows(seed=1, shift=0.4)]
    for row in odd:
        del row["correct"]
    path = write(tmp_path / "odd.jsonl", odd)
    expected = pytest.approx((shares(rows()), shares(rows(seed=1, shift=0.4))))
    for name, argument in (("odd", path), ("new", f"new={path}")):
        key = ["--key", f"{name}:correct=is_right"]
        assert run(["compare", base, argument, *key, "--csv", "-"]) == 0
        assert values(capsys.readouterr().out)[name] == expected
    assert run(["compare", base, path, "--key", "correct=is_right"]) == 2
    assert "base.jsonl" in one_line(capsys)
    assert run(["compare", base, path, "--key", "add:correct=is_right"]) == 2
    message = one_line(capsys)
    assert all(word in message for word in ("--key", "'add'", "'odd'"))


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, capsys: Capture):
    paths = []
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "samples.jsonl", rows()))
    assert run(["compare", *paths]) == 0
    assert "after/samples against before/samples" in capsys.readouterr().out


def test_three_runs_draw_the_fits(base: str, new: str, tmp_path: Path, capsys: Capture):
    third = write(tmp_path / "third.jsonl", rows(seed=4, shift=0.2))
    figure = tmp_path / "figure.png"
    out = tmp_path / "numbers.json"
    arguments = ["compare", base, new, third, "--figure", str(figure), "--json", str(out)]
    assert run(arguments) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    fits = json.loads(out.read_text())["fits"]
    assert any(fit["key"] == "div_equ (all)" for fit in fits)
    assert "Drawn: " in capsys.readouterr().out


def test_same_seed_same_numbers(base: str, capsys: Capture):
    texts = []
    for seed in ("5", "5", "6"):
        assert run(["diversity", base, "--seed", seed, "--csv", "-"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


def cut_line(path: Path) -> str:
    text = Path(write(path, rows())).read_text()
    path.write_text(text[: len(text) - 40])
    return str(path)


def with_nan_rewards(path: Path) -> str:
    made = rows()
    for row in made:
        row["reward"] = float(bool(row.pop("correct")))
    made[0]["reward"] = math.nan
    return write(path, made)


def with_rows_without_completion(path: Path) -> str:
    return write(path, [*rows(), {"problem_id": "q1"}, {"problem_id": "q2", "completion": None}])


@pytest.mark.parametrize(
    ("make", "left_out"),
    [(cut_line, 1), (with_nan_rewards, 1), (with_rows_without_completion, 2)],
)
def test_good_rows_are_measured_and_the_others_counted(
    make: Callable[[Path], str], left_out: int, tmp_path: Path, capsys: Capture
):
    path = make(tmp_path / "bad.jsonl")
    assert run(["diversity", path, "--csv", "-"]) == 0
    captured = capsys.readouterr()
    assert f"left out {left_out} row" in " ".join(captured.err.split())
    table = list(csv.DictReader(io.StringIO(captured.out)))
    assert float(table[0]["estimate"]) > 0


def test_ragged_counts_are_measured_up_to_the_fewest(tmp_path: Path, capsys: Capture):
    path = write(tmp_path / "ragged.jsonl", rows()[:-2])
    assert run(["diversity", path]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "k stops at 2" in shown
    assert "'q11'" in shown


def test_problems_of_one_run_only_are_counted(base: str, tmp_path: Path, capsys: Capture):
    other = write(tmp_path / "other.jsonl", rows(num_problems=15, seed=1))
    assert run(["compare", base, other]) == 0
    assert "left out 3 problems of other" in capsys.readouterr().out


def truncated_parquet(path: Path) -> str:
    pq.write_table(pa.Table.from_pylist(rows()), path)
    path.write_bytes(path.read_bytes()[:-200])
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{none}"], ["nowhere.jsonl"]),
        (["{empty}"], ["empty.jsonl"]),
        (["{garbage}"], ["garbage.jsonl"]),
        (["{truncated}"], ["truncated.parquet"]),
        (["{base}", "--k", "1,many"], ["--k", "1,many"]),
        (["{base}", "--k", "64"], ["k = 64", "at most 4"]),
        (["{base}", "--k", "0"], ["at least 1"]),
        (["{base}", "--level", "95"], ["level", "0.95"]),
        (["{base}", "--key", "completion"], ["--key", "OURS=THEIRS"]),
        (["{base}", "--key", "completions=x"], ["completions"]),
        (["{base}", "--task", "countdwn"], ["countdwn", "countdown"]),
        (["{base}", "--figure", "x.gif"], [".png", "x.gif"]),
        (["{base}", "--json", "{base}/x.json"], ["base.jsonl"]),
        (["{base}", "--figure", "{base}/x.png"], ["base.jsonl"]),
        (["=x"], ["NAME=PATH"]),
        (["{base}", "--text-samples", "1"], ["text_samples", "2"]),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_code_2(
    arguments: list[str], words: list[str], base: str, tmp_path: Path, capsys: Capture
):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "garbage.jsonl").write_text("not json\n{]\n")
    places = {
        "base": base,
        "none": tmp_path / "nowhere.jsonl",
        "empty": tmp_path / "empty.jsonl",
        "garbage": tmp_path / "garbage.jsonl",
        "truncated": truncated_parquet(tmp_path / "truncated.parquet"),
    }
    assert run(["diversity", *(argument.format(**places) for argument in arguments)]) == 2
    message = one_line(capsys)
    for word in words:
        assert word in message


def test_runs_on_different_problems_cannot_be_compared(base: str, tmp_path: Path, capsys: Capture):
    other = write(
        tmp_path / "other.jsonl", [row | {"problem_id": f"x{row['problem_id']}"} for row in rows()]
    )
    assert run(["compare", base, other]) == 2
    assert "base and other share no problem" in one_line(capsys)


def test_compare_needs_a_second_run(base: str, capsys: Capture):
    assert run(["compare", base]) == 2
    assert "RUN" in capsys.readouterr().err


def test_hostile_names_and_texts_are_shown_as_they_are(tmp_path: Path, capsys: Capture):
    made = [row | {"completion": "[bold]x[/bold] [/] \ud800 \x1b[31m"} for row in rows()]
    path = write(tmp_path / "[red]run[_$.jsonl", made)
    assert run(["diversity", path]) == 0
    assert "[red]run[_$: 12 problems" in capsys.readouterr().out


def test_tables_are_there_before_torch_matplotlib_or_scipy_stats(base: str):
    code = (
        "import sys\n"
        "from polypath.cli.main import run\n"
        f"assert run(['diversity', {base!r}]) == 0\n"
        f"assert run(['compare', {base!r}, 'other=' + {base!r}]) == 0\n"
        "late = {'torch', 'transformers', 'matplotlib', 'scipy.stats', 'pandas'} & set(sys.modules)\n"
        "assert not late, late\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
