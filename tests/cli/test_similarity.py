"""`polypath similarity`: what a similarity sees, on samples whose answer is known."""

import json
from pathlib import Path

import pytest

from polypath.cli.main import run
from polypath.report.agreement import choose_right
from polypath.rollouts.samples import load_samples
from tests.cli.test_main import one_line
from tests.tiny import save_tiny_model

Capture = pytest.CaptureFixture[str]

# The same sum in other words, and another sum in the same words.
TEXTS = [
    ("I add them : 3 + 4 = 7", "3+4"),
    ("I add them : 3 + 4 = 7", "3+4"),
    ("so the answer : 3 + 4 = 7", "3+4"),
    ("I add them : 4 * 2 = 8", "4*2"),
    ("so the answer : 4 * 2 = 8", "4*2"),
]


def rows(texts=TEXTS, problems: int = 6, **more) -> list[dict[str, object]]:
    return [
        {"problem_id": f"q{n}", "prompt": "solve", "completion": text, "answer": answer,
         "correct": True, **more}
        for n in range(problems)
        for text, answer in texts
    ]  # fmt: skip


def write(path: Path, made: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return str(path)


@pytest.fixture
def samples(tmp_path: Path) -> str:
    return write(tmp_path / "run.jsonl", rows())


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    """Similarities that see the solution, and the first word; and a solution function."""
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "def equal(texts_P_G, key):\n"
        "    return np.array([[[float(key(a) == key(b)) for b in g] for a in g] for g in texts_P_G])\n"
        "def solutions(texts): return equal(texts, lambda t: t.split(':')[1])\n"
        "def wordings(texts): return equal(texts, lambda t: t.split(':')[0])\n"
        "def way(text, row): return row['problem_id'] + ('+' if '+' in text else '*')\n"
        "def broken(text, row): return row['answer']\n",
        encoding="utf-8",
    )
    return path


def measured(capsys: Capture, *arguments: str) -> dict[str, dict[str, object]]:
    assert run(["similarity", *arguments, "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    return {one["name"]: one for one in record["similarities"]} | {"": record}


def test_solutions_and_wordings_are_told_apart(samples: str, functions: Path, capsys: Capture):
    names = [f"{functions}:solutions", f"{functions}:wordings"]
    found = measured(capsys, samples, "--similarity", ",".join([*names, "answer"]))
    for name in (names[0], "answer"):
        alone = found[name]["different_texts"]
        assert (alone["num_same"], alone["num_different"]) == (18, 36)
        assert (alone["auc"]["estimate"], alone["auc"]["num_problems"]) == (1, 6)
        assert "sees solutions" in found[name]["meaning"]
    # Same pairs in other words have 0. Of the six different pairs, three have the same words: 0 ties with
    # the other three.
    wordings = found[names[1]]
    assert wordings["different_texts"]["auc"]["estimate"] == pytest.approx(0.25)
    assert "sees wordings, not solutions" in wordings["meaning"]
    # The pair of equal texts has 1: it ties with three and beats three.
    assert wordings["all_pairs"]["num_same"] == 24
    assert wordings["all_pairs"]["auc"]["estimate"] == pytest.approx((3 * 0.25 + 0.75) / 4)


def test_words_and_a_figure_need_no_model(samples: str, tmp_path: Path, capsys: Capture):
    figure = tmp_path / "deep" / "pairs.png"
    assert run(["similarity", samples, "--figure", str(figure)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "30 of 30 right completions, of 6 problems" in shown
    assert "0.5 is chance" in shown
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_solution_function_sees_the_problem_and_replaces_the_answer(
    tmp_path: Path, functions: Path, capsys: Capture
):
    # As in mathematics: all right completions have one answer.
    path = write(tmp_path / "mathematics.jsonl", [{**row, "answer": "7"} for row in rows()])
    assert run(["similarity", path, "--similarity", "answer"]) == 2
    assert "--solution-fn" in one_line(capsys)
    for solution in (f"{functions}:way", "operations"):
        found = measured(capsys, path, "--similarity", "answer", "--solution-fn", solution)
        assert found["answer"]["all_pairs"]["auc"]["estimate"] == 0.5
        assert found[""]["solution"] == f"equal {solution}"


def test_a_model_gives_tokens_and_hidden_states(samples: str, tmp_path: Path, capsys: Capture):
    save_tiny_model(tmp_path / "model")
    options = ["--similarity", "ngram,policy", "--model", str(tmp_path / "model")]
    found = measured(capsys, samples, *options)
    assert found["ngram"]["all_pairs"]["num_same"] == found["policy"]["all_pairs"]["num_same"] == 24
    # Every problem has the same texts, so the intervals are points, and cosines are cosines.
    policy = found["policy"]["different_texts"]
    assert policy["auc"]["low"] == pytest.approx(policy["auc"]["high"])
    assert -1 <= policy["mean_different"]["estimate"] < 1


def test_completions_without_a_solution_and_wrong_ones_are_left_out(
    tmp_path: Path, capsys: Capture
):
    wrong = [{**row, "correct": False, "answer": "9"} for row in rows(TEXTS[:2])]
    none = [{**row, "answer": None} for row in rows([("no idea", "")])]
    path = write(tmp_path / "mixed.jsonl", rows() + wrong + none)
    record = measured(capsys, path)[""]
    assert (record["num_right"], record["num_without_solution"]) == (36, 6)
    assert record["num_compared"] == 30


def test_at_most_so_many_pairs_of_a_problem_by_seed(samples: str):
    read = load_samples(samples)

    def texts(most: int, seed: int = 0) -> list[tuple[str, ...]]:
        chosen = choose_right(read, None, None, most_pairs=most, seed=seed)
        return [problem.texts for problem in chosen.problems]

    sizes = {most: len(texts(most)[0]) for most in (1, 2, 3, 5, 6, 10, 100)}
    assert sizes == {1: 2, 2: 2, 3: 3, 5: 3, 6: 4, 10: 5, 100: 5}
    assert texts(3) == texts(3)
    assert texts(3) != texts(3, seed=1)
    assert len(set(texts(1))) > 1  # problems have draws of their own


@pytest.mark.parametrize(
    ("made", "arguments", "words"),
    [
        (rows([("a", "x"), ("b", "y")]), [], "same solution"),
        (rows(TEXTS[:3]), [], "same solution"),
        (rows(TEXTS[:1]), [], "two right completions"),
        (rows([("a", None), ("b", None)]), [], "--solution-fn"),
        (rows([("a", "x"), ("b", "y")]), ["--solution-fn", "equations"], "found a solution in none"),
        ([{**row, "correct": None} for row in rows()], [], "no sample has a verdict"),
        (rows(), ["--similarity", "ngrams"], "ngram"),
        (rows(), ["--similarity", ","], "needs a name"),
        (rows(), ["--similarity", "policy"], "--model"),
        (rows(), ["--similarity", "answer", "--model", "x"], "--model is for"),
        (rows(), ["--embedding-model", "x"], "--embedding-model is for"),
        (rows(), ["--device", "cpu"], "--device is for"),
        (rows(), ["--pairs", "0"], "--pairs must be at least 1"),
        (rows(), ["--solution-fn", "words"], "solution_fn must be one of"),
        (rows(), ["--figure", "pairs.txt"], ".png"),
        ([{**row, "run": "ab"[n % 2]} for n, row in enumerate(rows())], ["--run-key", "run"], "one run"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_one_line(
    made: list[dict[str, object]],
    arguments: list[str],
    words: str,
    tmp_path: Path,
    capsys: Capture,
):
    assert run(["similarity", write(tmp_path / "run.jsonl", made), *arguments]) == 2
    assert words in one_line(capsys)


def test_policy_without_prompts_and_a_broken_function_are_one_line(
    tmp_path: Path, functions: Path, capsys: Capture
):
    bare = [{key: value for key, value in row.items() if key != "prompt"} for row in rows()]
    path = write(tmp_path / "bare.jsonl", bare)
    save_tiny_model(tmp_path / "model")
    options = ["--similarity", "policy", "--model", str(tmp_path / "model")]
    assert run(["similarity", path, *options]) == 2
    assert "--key prompt=COLUMN" in capsys.readouterr().err.splitlines()[-1]
    assert run(["similarity", path, "--solution-fn", f"{functions}:broken"]) == 2
    assert "KeyError: 'answer'" in one_line(capsys)
