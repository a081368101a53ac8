"""Mathematics sets: read as they come, asked as told, verified in worker processes."""

from pathlib import Path

import pytest

from polypath.errors import ConfigError, DataError, MissingFileError, PolypathError
from polypath.tasks import TASKS, Task, get_task, task_options
from polypath.tasks.checking import check_golds
from polypath.tasks.math_sets import EXTRACTIONS, MATH_SETS
from polypath.tasks.prompts import MATH_PROMPTS
from tests.tasks.data import GOLDS, HUB_SHAPED, real, write_rows

pytest.importorskip("math_verify")


@pytest.mark.parametrize("name", sorted(MATH_SETS))
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_every_set_is_read_with_the_columns_of_the_hub(
    name: str, suffix: str, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / f"x{suffix}", HUB_SHAPED[name])
    task = get_task(name, {"data": str(path)})
    problems = task.problems(task.splits[-1])
    assert [problem.gold for problem in problems] == GOLDS[name]
    assert len({problem.problem_id for problem in problems}) == 2
    prompt = problems[0].prompt
    assert isinstance(prompt, list)
    assert [m["role"] for m in prompt] == ["system", "user"]
    assert "\\boxed{}" in prompt[0]["content"]
    assert task.problems(task.splits[-1], 1) == problems[:1]


@pytest.mark.parametrize("name", sorted(MATH_SETS))
def test_every_gold_is_right_and_others_are_wrong(name: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", HUB_SHAPED[name])
    task = get_task(name, {"data": str(path)})
    done = check_golds(task, task.splits[-1], task.problems(task.splits[-1]))
    assert (done.num_problems, done.failed, done.statuses) == (2, (), {"graded": 2})
    assert (done.num_shuffled, done.accepted, done.share_wrong_when_shuffled) == (2, (), 1.0)


@pytest.mark.parametrize("name", ["gsm8k", "math500", "aime24", "amc23", "minerva_math"])
def test_real_golds_are_right_by_themselves(name: str) -> None:
    task = get_task(name, {"data": real("math", f"{name}.jsonl")})
    problems = task.problems("test", 60)
    done = check_golds(task, "test", problems)
    assert done.failed == ()
    assert done.share_wrong_when_shuffled is not None
    assert done.share_wrong_when_shuffled > 0.95


def test_a_wrong_and_a_missing_answer_and_a_bad_gold_have_their_own_verdicts(
    tmp_path: Path,
) -> None:
    path = write_rows(tmp_path / "x.jsonl", HUB_SHAPED["math500"])
    task = get_task("math500", {"data": str(path)})
    texts = ["so \\boxed{0.5}", "\\boxed{2}", "I do not know"]
    verdicts = task.verify_batch(texts, [r"\frac{1}{2}"] * 3)
    assert [v.correct for v in verdicts] == [True, False, False]
    assert [str(v.status) for v in verdicts] == ["graded", "graded", "no_answer"]
    assert task.verify(texts[0], r"\frac{1}{2}") == verdicts[0]


def test_the_prompt_is_chosen_by_name(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "x.jsonl", HUB_SHAPED["gsm8k"])
    seen = set()
    for name in MATH_PROMPTS:
        prompt = get_task("gsm8k", {"data": str(path), "prompt": name}).problems("test")[0].prompt
        seen.add(prompt if isinstance(prompt, str) else prompt[0]["content"])
        assert (prompt == "What is 2 + 3?") == (name == "plain")
    assert len(seen) == len(MATH_PROMPTS)
    with pytest.raises(ConfigError, match=r"'boxd'.*'boxed'"):
        get_task("gsm8k", {"prompt": "boxd"})


def test_a_folder_has_a_file_for_each_split(tmp_path: Path) -> None:
    one, two = HUB_SHAPED["gsm8k"]
    write_rows(tmp_path / "train.jsonl", [one])
    write_rows(tmp_path / "main" / "test-00000-of-00002.parquet", [two])
    write_rows(tmp_path / "main" / "test-00001-of-00002.parquet", [one])
    task = get_task("gsm8k", {"data": str(tmp_path)})
    assert [p.gold for p in task.problems("train")] == ["5"]
    assert [p.gold for p in task.problems("test")] == ["1200", "5"]
    with pytest.raises(MissingFileError, match=r"'train'.*train\.jsonl"):
        get_task("gsm8k", {"data": str(tmp_path / "main")}).problems("train")


def test_fields_may_be_named(tmp_path: Path) -> None:
    rows = [{"Q": "What is 1 + 1?", "A": 2, "nr": "a"}, {"Q": "2 + 2?", "A": 4, "nr": "b"}]
    options = {"data": str(write_rows(tmp_path / "x.json", rows)), "prompt": "plain"}
    with pytest.raises(DataError, match=r"problem, question.*question_field="):
        get_task("math500", options).problems("test")
    options |= {"question_field": "Q", "answer_field": "A", "id_field": "nr"}
    task = get_task("math500", options)
    found = [(p.problem_id, p.prompt, p.gold) for p in task.problems("test")]
    assert found == [("a", "What is 1 + 1?", "2"), ("b", "2 + 2?", "4")]
    with pytest.raises(DataError, match=r"'B' \(answer_field\).*Q, A, nr"):
        get_task("math500", {**options, "answer_field": "B"}).problems("test")


def test_a_row_that_cannot_be_used_is_named_and_never_left_out(tmp_path: Path) -> None:
    rows = [*HUB_SHAPED["aime24"], {"id": 62, "problem": "C?", "answer": None}]
    path = write_rows(tmp_path / "x.jsonl", rows)
    with pytest.raises(DataError, match=r"x\.jsonl, row 3, field 'answer'"):
        get_task("aime24", {"data": str(path)}).problems("test")
    path = write_rows(tmp_path / "x.jsonl", [{"problem": " ", "answer": "1"}])
    with pytest.raises(DataError, match="row 1, field 'problem'"):
        get_task("aime24", {"data": str(path)}).problems("test")
    path.write_text("")
    with pytest.raises(DataError, match="rows"):
        get_task("aime24", {"data": str(path)}).problems("test")


def test_a_hub_that_cannot_be_reached_is_one_line_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"openai/gsm8k.*data=") as e:
        get_task("gsm8k").problems("test")  # the suite is offline
    assert "\n" not in str(e.value)


def test_options_are_recorded_so_that_the_task_can_be_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "x.jsonl", HUB_SHAPED["gsm8k"])
    monkeypatch.chdir(tmp_path)
    task = get_task("gsm8k", {"data": "x.jsonl", "workers": "1", "prompt": "plain"})
    assert dict(task.options) == {"data": str(tmp_path / "x.jsonl"), "prompt": "plain"}
    monkeypatch.chdir("/")
    again = get_task("gsm8k", task.options)
    assert again.problems("test") == task.problems("test")
    assert get_task("gsm8k").options == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deadline": "0"}, "deadline must be a number above 0, got '0'"),
        ({"deadline": "soon"}, "deadline must be a number above 0, got 'soon'"),
        ({"workers": "0"}, "workers must be a whole number of at least 1, got '0'"),
        ({"protocol": "drq"}, "Unknown protocol 'drq'. Did you mean 'dra'"),
        ({"extraction": "boxes"}, "Unknown extraction 'boxes'. Did you mean 'box'"),
        ({"dat": "x"}, "Unknown option of task gsm8k 'dat'. Did you mean 'data'"),
        ({"data": "nowhere.jsonl"}, "data=.*nowhere.jsonl of task gsm8k does not exist"),
    ],
)
def test_a_bad_option_is_one_line(options: dict[str, str], message: str) -> None:
    with pytest.raises(PolypathError, match=message) as error:
        get_task("gsm8k", options).problems("test")
    assert "\n" not in str(error.value)


def test_a_bad_split_or_limit_is_refused(tmp_path: Path) -> None:
    task = get_task("gsm8k", {"data": str(write_rows(tmp_path / "x.jsonl", HUB_SHAPED["gsm8k"]))})
    with pytest.raises(ConfigError, match="'dev'"):
        task.problems("dev")
    with pytest.raises(ConfigError, match=r"limit.*-1"):
        task.problems("test", -1)


def test_the_protocol_is_a_papers() -> None:
    gsm8k = get_task("gsm8k").evaluation
    assert (gsm8k.num_samples, gsm8k.temperature, gsm8k.top_p) == (8, 0.5, 1.0)
    amc23 = get_task("amc23").evaluation
    assert (amc23.num_samples, amc23.temperature, amc23.top_p) == (1, 0.6, 0.95)
    assert amc23.max_completion_length == 32768
    assert get_task("math500", {"protocol": "dra"}).evaluation == amc23
    assert all(
        "ours" in e.source or "arXiv" in e.source or "authors'" in e.source for e in (gsm8k, amc23)
    )


def test_every_task_is_built_without_options_and_every_option_is_explained() -> None:
    tasks: list[Task] = [get_task(name) for name in TASKS]
    assert [task.name for task in tasks] == list(TASKS)
    for name in (*MATH_SETS, "spider", "bird"):
        options = task_options(name)
        assert {"data", "hub", "prompt", "deadline"} <= options.keys()
        assert all(options.values())


def test_extractions_are_those_of_the_verifier() -> None:
    from polypath.verify import math

    assert math.EXTRACTIONS == EXTRACTIONS
