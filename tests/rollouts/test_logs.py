"""Logs of lm-evaluation-harness 0.4.13 and inspect_ai 0.3.285: logs/ holds what they wrote."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import DataError
from polypath.rollouts import Samples, load_runs, load_samples
from polypath.rollouts.inspect_log import log_samples
from tests.rollouts.sample_files import lines

LOGS = Path(__file__).parent / "logs"
HARNESS = next(LOGS.glob("samples_adds1_*.jsonl"))
INSPECT = LOGS / "adds.eval"


def harness_row(**changes: Any) -> dict[str, Any]:
    return {**json.loads(HARNESS.read_text().splitlines()[0]), **changes}


def test_of_several_filters_of_the_harness_the_first_is_read_and_the_others_are_counted() -> None:
    found = load_samples(HARNESS)
    assert found.problem_ids == ("adds1:0", "adds1:1", "adds1:2")
    assert found.completions == (("it is 5",), ("maybe 4",), ("no idea",))
    assert found.correct == ((True,), (False,), (False,))
    assert found.answers == (("5",), (None,), (None,))
    assert found.golds == ("5", "4", "7")
    assert found.prompts[0] == "Q: 2 + 3 =\nA:"
    assert list(found.left_out.values()) == [3]


@pytest.mark.parametrize("odd", [{"filter": "b", "resps": None}, {"filter": None, "resps": [7]}])
def test_a_row_without_a_response_does_not_choose_the_filter(tmp_path: Path, odd: Any) -> None:
    rows = [harness_row(doc_id=7, **odd), *map(json.loads, HARNESS.read_text().splitlines())]
    found = load_samples(lines(tmp_path / HARNESS.name, rows))
    assert found.correct == load_samples(HARNESS).correct
    assert sum(found.left_out.values()) == 4


def test_filters_of_the_harness_are_read_apart_on_request() -> None:
    found = load_runs(HARNESS, "filter")
    assert {name: run.correct for name, run in found.items()} == {
        "strict-match": ((True,), (False,), (False,)),
        "flexible-extract": ((True,), (True,), (False,)),
    }
    assert found["flexible-extract"].left_out == {}


@pytest.mark.parametrize(
    ("changes", "texts", "correct"),
    [
        ({"resps": [["a", "b"]]}, ("a", "b"), (None, None)),  # one metric says nothing of each
        ({"resps": ["a", "b"], "filtered_resps": ["1", "2"]}, ("a", "b"), (None, None)),
        ({"arguments": [["Q", {"until": ["\n"]}]], "metrics": None}, ("it is 5",), (None,)),
        ({"metrics": ["length", "accuracy"], "length": 7, "accuracy": 0}, ("it is 5",), (False,)),
        ({"exact_match": None}, ("it is 5",), (None,)),
    ],
)
def test_other_rows_of_the_harness(
    tmp_path: Path, changes: dict[str, Any], texts: tuple[str, ...], correct: tuple[Any, ...]
) -> None:
    found = load_samples(lines(tmp_path / "samples_x.jsonl", [harness_row(**changes)]))
    assert (found.completions, found.correct) == ((texts,), (correct,))


def test_a_choice_between_log_probs_is_no_sample(tmp_path: Path) -> None:
    asked = {f"gen_args_{n}": {"arg_0": "Q: 2 + 3 =", "arg_1": f" {n}"} for n in (4, 5)}
    row = harness_row(arguments=asked, resps=[[["-0.0", "True"]], [["-1.5", "False"]]])
    with pytest.raises(DataError, match="no completion"):
        load_samples(lines(tmp_path / "samples_x.jsonl", [row]))


def as_kind(folder: Path, kind: str) -> Path:
    """Return the log of inspect_ai as another kind of file, or as it is."""
    if kind == "zstd":
        return INSPECT
    samples = [sample for _, sample in log_samples(INSPECT)]
    head = {"version": 2, "eval": {"task": "adds", "model": samples[0].pop("model")}}
    path = folder / ("adds.json" if kind == "json" else "adds.eval")
    if kind == "json":
        path.write_text(json.dumps({**head, "samples": samples}))
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", json.dumps(head))
        for number, sample in enumerate(samples):
            archive.writestr(f"samples/q1_epoch_{number}.json", json.dumps(sample))
    return path


@pytest.mark.parametrize("kind", ["zstd", "deflate", "json"])
def test_a_log_of_inspect_is_read(tmp_path: Path, kind: str) -> None:
    found = load_samples(as_kind(tmp_path, kind))
    assert found.problem_ids == ("q1",)
    # The last is a list of a thought, which is no part of the answer, and a text.
    assert found.completions == (("5", "4", "half of it", "?"),)
    assert found.correct == ((True, False, False, False),), "C, I, P and N"
    assert found.answers == (("5", "4", "half of it", None),)
    assert found.golds == ("5",)
    assert found.prompts == ("2 + 3 =",)
    assert found.left_out == {}
    assert list(load_runs(as_kind(tmp_path, kind), "model")) == ["mockllm/model"]


def test_another_scorer_of_inspect_is_named_by_key() -> None:
    found = load_samples(INSPECT, keys={"reward": "scores.includes.value"})
    assert found.correct == ((True, False, False, False),)


def written(path: Path, samples: dict[str, Any]) -> Samples:
    with zipfile.ZipFile(path, "w") as archive:
        for name, sample in samples.items():
            archive.writestr(
                f"samples/{name}.json", sample if isinstance(sample, str) else json.dumps(sample)
            )
    return load_samples(path)


def inspect_sample(**changes: Any) -> dict[str, Any]:
    return {**next(sample for _, sample in log_samples(INSPECT)), **changes}


def test_damaged_samples_of_inspect_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    nothing = {"choices": [], "completion": ""}
    found = written(
        tmp_path / "x.eval",
        {
            "good": inspect_sample(),
            "cut": '{"id": "q1", "epo',
            "failed": inspect_sample(epoch=2, output=nothing, error={"message": "x"}, scores=None),
            "late": inspect_sample(epoch=3, error={"message": "limit"}),
            "several": inspect_sample(epoch=4, scores={"m": {"value": {"a": 1}}}),
            "list": [1],
        },
    )
    assert found.completions == (("5", "5"),)
    assert found.correct == ((True, None),), "nobody believes the score of a sample that failed"
    assert found.left_out == {
        "not JSON": 1,
        "no completion": 1,
        "reward is not a number": 1,
        "not a JSON object": 1,
    }
    assert found.left_out_at["not JSON"] == ("member samples/cut.json of x.eval",)


@pytest.mark.parametrize("kind", ["cut", "json without samples", "other compression"])
def test_a_log_that_cannot_be_read_is_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.eval"
    path.write_bytes(INSPECT.read_bytes()[:5000])
    if kind == "json without samples":
        path = path.with_suffix(".json")
        path.write_text('{"a": 1}')
    elif kind == "other compression":
        path.write_bytes(INSPECT.read_bytes().replace(b"\x5d\x00", b"\x61\x00"))
    with pytest.raises(DataError) as caught:
        load_samples(path)
    assert str(path) in str(caught.value)


def test_every_flipped_byte_of_a_log_is_seen(tmp_path: Path) -> None:
    content = INSPECT.read_bytes()
    whole = load_samples(INSPECT, name="x")
    path = tmp_path / "x.eval"
    for place in range(60, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        try:
            found = load_samples(path)
        except DataError:
            continue
        assert found.left_out or found.completions == whole.completions
