"""A task of one's own, from an empty folder to a report: every command takes its place."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from polypath import task_from
from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts import RolloutStore
from polypath.rollouts.samples import load_samples
from polypath.tasks import get_task
from polypath.tasks.checking import gold_completion
from polypath.verify.base import Status
from tests.forks import python
from tests.refusals import refused
from tests.rehearsal.adder import save_adder

FILE = Path(__file__).parents[1] / "examples" / "my_task.py"
PAGE = Path(__file__).parents[1] / "docs" / "own_task.md"
PLACE = "my_task.py:additions"
TRAIN = {
    "model_name_or_path": "model",
    "task": PLACE,
    "max_steps": 2,
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "max_completion_length": 4,
    "learning_rate": 0.001,
    "bf16": False,
    "use_cpu": True,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, the file of a task, and nothing else."""
    folder = tmp_path_factory.mktemp("own")
    save_adder(folder / "model")
    shutil.copy(FILE, folder)
    return folder


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def polypath(*words: object) -> str:
    from typer.testing import CliRunner

    from polypath.cli.main import app

    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def train(out: str, **settings: object) -> list[dict[str, object]]:
    given = {**TRAIN, "output_dir": out, **settings}
    polypath("train", *(f"--{key}={value}" for key, value in given.items()))
    return [json.loads(line) for line in Path(out, "log.jsonl").read_text().splitlines()]


def sample(command: str, out: str, *words: object) -> str:
    return polypath(
        command,
        "--model",
        "model",
        "--task",
        PLACE,
        "--split",
        "train",
        "--out",
        out,
        "--n",
        4,
        *words,
    )


def test_the_example_is_one_short_file_and_the_page_shows_it() -> None:
    assert FILE.read_text() in PAGE.read_text()
    lines = [line for line in FILE.read_text().splitlines() if line.strip()]
    assert len(lines) <= 25


def blocks(language: str) -> list[str]:
    """Return the code blocks of the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.mark.usefixtures("place")
def test_the_page_runs_from_data_to_a_report() -> None:
    recipe = yaml.safe_load(blocks("yaml")[0].replace("MODEL", "model"))
    del recipe["task"]  # which the command names
    quick = {key: TRAIN[key] for key in TRAIN if key not in recipe and key != "task"}
    few = {"monitor_every": 1, "monitor_problems": 4, "monitor_samples": 4}
    Path("recipe.yaml").write_text(yaml.safe_dump({**recipe, **quick, **few}))
    commands = [line.split("#")[0].split() for line in blocks("bash")[0].splitlines() if line]
    assert [words[1] for words in commands] == [
        *("tasks", "presample", "train", "eval", "eval", "compare", "report")
    ]
    for words in commands:
        assert words[0] == "polypath"
        polypath(*(word.replace("MODEL", "model") for word in words[1:]))
    log = [json.loads(line) for line in Path("runs/trained/log.jsonl").read_text().splitlines()]
    for name in ("diversity/distinct_correct", "rehearsal/divergence", "positive_entropy/loss"):
        assert any(name in line for line in log)
    assert [line["step"] for line in log if "probe/pass@4" in line] == [0, 1, 2]
    assert Path("report.html").stat().st_size > 10_000


@pytest.mark.usefixtures("place")
def test_a_preset_needs_nothing_else() -> None:
    log = train("diverse", preset="diverse", average_weights_from=0.5)
    assert any("rehearsal/divergence" in line for line in log)


def test_a_run_is_verified_again_by_the_same_file_only(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample("sample", "run", "--limit", 3)
    manifest = RolloutStore.open(place / "run" / "samples").manifest
    assert manifest.task == str(place / PLACE)
    monkeypatch.chdir(tmp_path)  # the place is recorded as one that holds anywhere
    polypath("score", place / "run", "--out", tmp_path / "again")
    monkeypatch.chdir(place)
    text = Path("my_task.py").read_text()
    Path("my_task.py").write_text(text.replace("float(f is", "1.0 - float(f is"))
    try:
        with refused(ConfigError, "my_task.py", "changed", "--task"):
            polypath("score", place / "run", "--out", tmp_path / "no")
        with refused(ConfigError, "hash"):
            sample("sample", "run", "--limit", 4)
        polypath("score", "run", "--task", PLACE, "--out", tmp_path / "other")
        before, after = (load_samples(path).correct for path in ("run", tmp_path / "other"))
        assert [[not right for right in problem] for problem in before] == [list(p) for p in after]
    finally:
        Path("my_task.py").write_text(text)


@pytest.mark.usefixtures("place")
def test_the_same_from_python() -> None:
    code = """
from my_task import ROWS, additions, reward, solution
from datasets import Dataset
from polypath import CollapseMonitor, DiversityGRPOConfig, DiversityGRPOTrainer
task = additions()
config = DiversityGRPOConfig(
    "python", max_steps=1, per_device_train_batch_size=8, num_generations=4, max_completion_length=4,
    bf16=False, use_cpu=True, dra=True, similarity="answer", positive_entropy_coef=0.01, report_to="none",
    save_strategy="no",
)
trainer = DiversityGRPOTrainer(
    "model", reward, args=config, train_dataset=Dataset.from_list(ROWS), solution_fn=solution
)
trainer.add_callback(CollapseMonitor(trainer, task, task.problems("test"), num_samples=4, ks=(1, 4)))
trainer.train()
assert any("probe/pass@4" in line for line in trainer.state.log_history)
assert any("diversity/distinct_correct" in line for line in trainer.state.log_history)
"""
    done = subprocess.run([*python(), "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_rows_are_divided_by_their_prompts() -> None:
    rows = [{"question": f"{n}?", "answer": n} for n in range(200)] * 2
    task = task_from(rows, lambda **_: [], test_share=0.25)
    train_ids, test_ids = ({p.prompt for p in task.problems(split)} for split in task.splits)
    assert not train_ids & test_ids
    assert 0.15 < len(test_ids) / 200 < 0.35
    more = task_from([*rows, {"question": "more?", "answer": 1}], lambda **_: [], test_share=0.25)
    assert {p.prompt for p in more.problems("test")} - {"more?"} == test_ids
    assert task_from(rows, lambda **_: [], test_share=0).splits == ("train",)
    assert task_from({"a": rows[:3], "b": rows[3:5]}, lambda **_: []).splits == ("a", "b")


def test_a_reward_sees_what_trl_would_give_it() -> None:
    seen = {}

    def reward(prompts, completions, answer, **columns):
        seen.update(prompts=prompts, completions=completions, answer=answer, **columns)
        return [1, None, float("nan"), 0.3, -1, 2][: len(completions)]

    chat = [{"role": "user", "content": "1+1?"}]
    rows = [{"prompt": chat, "answer": 2, "level": "easy"}] + [
        {"prompt": f"{n}?", "answer": n, "level": None} for n in range(5)
    ]
    task = task_from(rows, reward, test_share=0)
    problems = task.problems("train")
    verdicts = task.verify_batch([f"c{n}" for n in range(6)], [p.gold for p in problems])
    assert seen["completions"] == [
        [{"role": "assistant", "content": "c0"}],
        *(f"c{n}" for n in range(1, 6)),
    ]
    assert seen["prompts"][0] == chat
    assert seen["answer"] == [2, 0, 1, 2, 3, 4]
    assert seen["level"] == ["easy", *[None] * 5]
    assert [v.correct for v in verdicts] == [True, False, False, False, False, True]
    assert [v.status for v in verdicts][:4] == [
        Status.GRADED,
        Status.ERROR,
        Status.ERROR,
        Status.GRADED,
    ]
    assert task.verify("x", "no gold of this task").status is Status.BAD_GOLD


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        (lambda **_: None, "None"),
        (lambda **_: "right", "'right'"),
        (lambda **_: [1.0, 1.0], "2"),
        (lambda **_: ["1"], "'1'"),
        (lambda **_: 1 / 0, "ZeroDivisionError"),
        (lambda prompts: [len(prompts)], "TypeError"),
    ],
)
def test_a_reward_that_gives_something_else_is_one_line(given, fact) -> None:
    task = task_from([{"prompt": "a", "answer": "b"}], given, name="mine", test_share=0)
    with refused(DataError, "mine", fact):
        task.verify("text", task.problems("train")[0].gold)


@pytest.mark.parametrize(
    ("data", "error", "facts"),
    [
        ([{"answer": 1}], DataError, ["answer"]),
        ([{"prompt": ""}], DataError, ["row 1"]),
        ([{"prompt": [{"role": "user"}]}], DataError, ["row 1"]),
        ([], DataError, ["no rows"]),
        (3, ConfigError, ["int"]),
        ([3], ConfigError, ["list"]),
        ("nowhere.jsonl", MissingFileError, ["nowhere.jsonl"]),
    ],
)
def test_data_that_cannot_be_used_is_one_line(data, error, facts) -> None:
    with refused(error, *facts):
        task_from(data, lambda **_: []).problems("train")


def test_rows_without_an_answer_are_told_with_their_columns() -> None:
    rows = [{"prompt": "1 + 1", "total": 2}]
    task = task_from(rows, lambda **_: [1.0], name="sums", test_share=0)
    with refused(ConfigError, "sums", "total", "answer="):
        gold_completion(task, task.problems("train")[0].gold)
    task = task_from(rows, lambda **_: [1.0], answer="total", test_share=0)
    assert gold_completion(task, task.problems("train")[0].gold) == "2"


YAML = 'data: p.jsonl\nverify: {verify}\ntemplate: "{{question}} Say it."\ntest_share: 0\n'


@pytest.mark.parametrize(
    ("verify", "gold", "right", "wrong"),
    [
        (
            "exact",
            "North West",
            ["north west.", "It is far.\nNorth  West", r"\boxed{north west}"],
            ["west"],
        ),
        (
            "numeric",
            1200,
            ["1,200", "The answer is 1200.0", "so 600 * 2 = 1200"],
            ["120", "-1200", "1201"],
        ),
        ("numeric", "1/2", ["0.5", r"\boxed{\frac{1}{2}}", "It takes 1/2 an hour."], ["2"]),
        ("numeric", 4, ["It is 4, not 3."], ["It is not 4.", "The answer is 3 or 4", "print(4)"]),
        ("math", "x^2-1", [r"\boxed{(x-1)(x+1)}"], [r"\boxed{x^2+1}"]),
    ],
)
def test_answers_need_no_python(verify, gold, right, wrong, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"question": "Which?", "answer": gold}) + "\n")
    (tmp_path / "t.yaml").write_text(YAML.format(verify=verify))
    task = get_task(str(tmp_path / "t.yaml"))
    (problem,) = task.problems("train")
    assert problem.prompt == "Which? Say it."
    assert [task.verify(text, problem.gold).correct for text in right] == [True] * len(right)
    assert [task.verify(text, problem.gold).correct for text in wrong] == [False] * len(wrong)
    assert not task.verify("", problem.gold).correct


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("verify: exact\n", ["data"]),
        ("data: p.jsonl\nverfy: exact\n", ["verfy", "verify"]),
        ("data: p.jsonl\nverify: close\n", ["'close'", "numeric"]),
        ("data: p.jsonl\ntest_share: 2\n", ["test_share", "2"]),
        ("data: p.jsonl\nsolution: lines\n", ["'lines'", "operations"]),
    ],
)
def test_a_wrong_file_is_one_line(content: str, facts: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(content)
    with refused(ConfigError, "t.yaml", *facts):
        get_task(str(tmp_path / "t.yaml"))


@pytest.mark.usefixtures("place")
def test_places_that_hold_no_task_are_one_line() -> None:
    for name, error, facts in (
        ("my_task.py:nothing", ConfigError, ["nothing"]),
        ("my_task.py:ROWS", ConfigError, ["list"]),
        ("my_task.py:reward", ConfigError, ["completions"]),
        ("none.py:task", MissingFileError, ["none.py"]),
        ("no_such_module_here:task", ConfigError, ["no_such_module_here"]),
        ("none.yaml", MissingFileError, ["none.yaml"]),
    ):
        with refused(error, *facts):
            get_task(name)
    with refused(ConfigError, "sise"):
        get_task(PLACE, {"sise": "3"})
    assert get_task("my_task:additions").problems("train")  # a module beside the command


@pytest.mark.usefixtures("place")
def test_problems_of_a_file_need_a_task(tmp_path: Path) -> None:
    problems = tmp_path / "p.jsonl"
    problems.write_text(json.dumps({"problem_id": "a", "prompt": "solve 1 + 1 =", "gold": "2"}))
    with refused(ConfigError, "--task", "p.jsonl"):
        polypath("presample", "--model", "model", "--problems", problems, "--out", tmp_path / "set")


def test_a_study_names_an_own_task(place: Path) -> None:
    from polypath.studies.load import load_study

    study = {
        "name": "mine",
        "question": "Does it?",
        "base": "model",
        "task": PLACE,
        "recipe": "recipe.yaml",
        "seeds": [0],
        "methods": {"grpo": {}},
        "evaluation": {"test": {"samples": 4}},
    }
    Path("recipe.yaml").write_text(json.dumps({**TRAIN, "task": PLACE}))
    Path("study.yaml").write_text(json.dumps(study))
    loaded = load_study(place / "study.yaml")
    assert loaded.task == str(place / PLACE)
    assert loaded.task_options == dict(get_task(PLACE).options)


def test_a_factory_that_fails_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("def make():\n    return {}['no']\n")
    with refused(DataError, "broken.py", "KeyError", "line 2"):
        get_task(f"{file}:make")
