"""Names and layouts of other tools: from a row of their files to a row under our keys."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polypath.errors import DataError
from polypath.rollouts.left_out import UnusableError
from polypath.rollouts.rows import DETAILS, KEYS, RIGHT_FROM, in_lists, parsed
from polypath.settings import is_number

Row = Mapping[str, Any]
ROW = "\0row"  # in a row as read: its number in the file, from 0, counting rows that were left out
_RIGHT = re.compile(r"correct|accura|verif|solved", re.IGNORECASE)
_OLD_METRICS = ("exact_match", "acc")  # rows of older lm-evaluation-harness name no metrics
_NO_ANSWER = ("[invalid]", "")  # what its filters return if they find nothing


@dataclass(frozen=True)
class Layout:
    """How one tool lays out its rows.

    Attributes:
        columns: keys that are read; the others may stay unread.
        adapt: turns a row of the file into a row under our keys.
        completion: key of the completions; ``a.b`` means b in a.
    """

    columns: Sequence[str]
    adapt: Callable[[Row], dict[str, Any]]
    completion: str


def find_layout(
    names: Collection[str],
    path: Path,
    keys: Mapping[str, str],
    *,
    numbers: Collection[str],
    details: bool = False,
    run_key: str | None = None,
) -> Layout:
    """Choose the layout by the keys of a file; ``keys`` renames in addition.

    ``numbers`` are the keys that hold a number, or nothing yet: one of them may be the reward.
    With ``details``, the keys of ``DETAILS`` are read as well, if the layout is our own. ``run_key`` is the
    column that tells runs apart.
    """
    if {"doc", "model_response", "metric"} <= set(names):
        layout = _lighteval(path)
    elif {"full_prompt", "predictions", "metrics"} <= set(names):
        layout = _old_lighteval(path)
    elif {"doc_id", "resps", "filtered_resps"} <= set(names):
        layout = _lm_eval(names, path, one_filter=run_key != "filter")
    elif {"epoch", "input", "target", "output"} <= set(names):
        layout = _inspect()
    elif {"step", "prompt", "completion"} <= set(names) and "problem_id" not in names:
        layout = _trl(
            [name for name in names if name in numbers],
            path,
            decided=bool({"correct", "reward"} & set(keys)),
        )
    elif {"input", "output", "score"} <= set(names) and "completion" not in names:
        layout = _verl()
    else:
        layout = _own(KEYS + DETAILS if details else KEYS)
    return _renamed(layout, keys) if keys else layout


def _from_keys(source: Mapping[str, str]) -> Layout:
    """Read each of our keys from one of the file's."""
    return Layout(
        [*source.values()],
        lambda raw: {ours: raw.get(theirs) for ours, theirs in source.items()},
        source["completion"],
    )


def _own(names: Sequence[str]) -> Layout:
    """Read rows under our keys; a reward may be called score."""
    plain = _from_keys({name: name for name in names})

    def adapt(raw: Row) -> dict[str, Any]:
        row = plain.adapt(raw)
        return row if "reward" in raw else {**row, "reward": raw.get("score")}

    return replace(plain, columns=[*names, "score"], adapt=adapt)


def _renamed(layout: Layout, keys: Mapping[str, str]) -> Layout:
    """Read some of our keys from places that the user names (``a.b`` is b in a), the rest as before."""
    heads = [key.split(".")[0] for key in keys.values()]

    def adapt(raw: Row) -> dict[str, Any]:
        found = {ours: look_up(raw, theirs) for ours, theirs in keys.items()}
        return {**layout.adapt(raw), **found}

    columns = [*dict.fromkeys([*layout.columns, *heads, *keys.values()])]
    return Layout(columns, adapt, keys.get("completion", layout.completion))


def look_up(raw: Row, key: str) -> Any:
    """Return the value of a key, where ``a.b`` means b in a; None if there is none."""
    if key in raw or "." not in key:
        return raw.get(key)
    head, rest = key.split(".", 1)
    inner = parsed(raw.get(head))
    return look_up(inner, rest) if isinstance(inner, Mapping) else None


def _trl(numbers: Sequence[str], path: Path, *, decided: bool) -> Layout:
    """``completions_*.parquet`` of TRL's GRPOTrainer with ``log_completions`` (read: 1.16).

    Its columns are step, prompt, completion, one per reward function, other logged values, and
    advantage. Numbers between completion and advantage are rewards. If there are several, the one whose
    name is about correctness counts. There is no problem id, so the prompt stands for it.
    """
    source = {"prompt": "prompt", "completion": "completion"}
    if not decided:
        others = [name for name in numbers if name not in ("step", "advantage")]
        right = [name for name in others if _RIGHT.search(name)]
        chosen = right if len(right) == 1 else others
        if len(chosen) != 1:
            raise DataError(
                f"{path} has {len(others)} columns that may be the reward ({', '.join(others) or 'none'}). "
                f"Name the one that tells right from wrong: --key reward={(others or ['COLUMN'])[0]}, in "
                "Python keys={'reward': ...}."
            )
        source["reward"] = chosen[0]
    return _from_keys(source)


def _verl() -> Layout:
    """Read a JSONL file of verl's ``trainer.validation_data_dir`` (or ``rollout_data_dir``).

    Its keys are input, output, score, step, in newer versions gts, and whatever the reward function
    returned: of these, ``acc`` says whether the output is right, and ``pred`` is the answer. There is no
    problem id, so the input stands for it.
    """
    prompt = {"prompt": "input", "completion": "output", "gold": "gts"}
    plain = _from_keys({**prompt, "correct": "acc", "reward": "score", "answer": "pred"})

    def adapt(raw: Row) -> dict[str, Any]:
        row = plain.adapt(raw)
        accuracy = row["correct"]
        if is_number(accuracy) and accuracy == accuracy:  # NaN does not mean wrong
            row["correct"] = accuracy > RIGHT_FROM
        return row

    return replace(plain, adapt=adapt)


def _lighteval(path: Path) -> Layout:
    """``details_TASK_TIME.parquet`` of today's lighteval: doc, model_response, metric.

    A metric is one number per problem. With one prediction it says whether this is right. With several it
    is unknown which of them were right, so they are not verified.
    """
    task, columns = _task_of(path), ("doc", "model_response", "metric")

    def adapt(raw: Row) -> dict[str, Any]:
        doc, said, metric = (_mapping(raw.get(name)) for name in columns)
        index = doc.get("id") if doc.get("id") not in (None, "") else raw[ROW]
        texts = in_lists(said.get("text") or [])
        choices = in_lists(doc.get("choices") or [])
        golds = [choices[i] for i in in_lists(doc.get("gold_index")) if _is_index(i, choices)]
        return {
            "problem_id": f"{task}:{index}",
            "prompt": doc.get("query"),
            "completion": texts,
            "gold": golds or None,
            "reward": _one_score(metric, texts),
        }

    return Layout(columns, adapt, "model_response")


def _old_lighteval(path: Path) -> Layout:
    """Read the same file of older lighteval: full_prompt, predictions, gold, metrics, and others."""
    task = _task_of(path)

    def adapt(raw: Row) -> dict[str, Any]:
        texts = [text for text in in_lists(parsed(raw.get("predictions"))) if isinstance(text, str)]
        return {
            "problem_id": f"{task}:{raw[ROW]}",
            "prompt": parsed(raw.get("full_prompt")),
            "completion": texts,
            "gold": parsed(raw.get("gold")),
            "reward": _one_score(_mapping(raw.get("metrics")), texts),
        }

    return Layout(("full_prompt", "predictions", "gold", "metrics"), adapt, "predictions")


def _lm_eval(names: Collection[str], path: Path, *, one_filter: bool) -> Layout:
    """``samples_TASK_TIME.jsonl`` of lm-evaluation-harness with ``log_samples`` (read: 0.4.13).

    A row is the result of one filter for the responses to one problem, so every response occurs once
    with every filter. With ``one_filter``, only the file's first filter is read. Metrics: see ``_lighteval``.
    """
    task = _task_of(path)
    filters: list[str] = []

    def adapt(raw: Row) -> dict[str, Any]:
        name = raw.get("filter")
        asked = _asked(parsed(raw.get("arguments")))
        # A choice has log-probs in place of texts, and its second argument is a text.
        chosen = len(asked) < 2 or not isinstance(asked[1], Mapping)
        texts = [] if chosen else _flat(parsed(raw.get("resps")))
        if isinstance(name, str) and not filters and any(isinstance(t, str) for t in texts):
            filters.append(name)
        if one_filter and isinstance(name, str) and [name] != (filters or [name]):
            raise UnusableError(f"of another filter than {filters[0]}")
        answers = _flat(parsed(raw.get("filtered_resps")))
        if name == "none" or len(answers) != len(texts):
            answers = []
        metrics = in_lists(parsed(raw.get("metrics"))) if "metrics" in names else _OLD_METRICS
        return {
            "problem_id": f"{task}:{raw.get('doc_id')}",
            "prompt": asked[0] if asked else None,
            "completion": texts or None,
            "gold": raw.get("target"),
            "answer": [None if text in _NO_ANSWER else text for text in answers] or None,
            "reward": _one_score({m: raw.get(m) for m in metrics if isinstance(m, str)}, texts),
        }

    return Layout([*names], adapt, "resps")


def _asked(arguments: Any) -> list[Any]:
    """Return the arguments of the first request: the prompt, and the settings or the continuation."""
    for _ in range(2):  # {"gen_args_0": {"arg_0": ..., "arg_1": ...}}; older: lists
        if isinstance(arguments, Mapping):
            arguments = list(arguments.values())
        if isinstance(arguments, list) and arguments and not isinstance(arguments[0], str):
            arguments = arguments[0]
    return list(arguments.values()) if isinstance(arguments, Mapping) else in_lists(arguments)


def _flat(value: Any) -> list[Any]:
    return [x for v in value for x in _flat(v)] if isinstance(value, list | tuple) else [value]


def _inspect() -> Layout:
    """Read samples of inspect_ai (read: 0.3.285). Of several scorers the first counts.

    A partial answer (P) is 0.5, so it is not right.
    """
    columns = ("id", "epoch", "input", "target", "output", "scores", "error")

    def adapt(raw: Row) -> dict[str, Any]:
        output, epoch = _mapping(raw.get("output")), raw.get("epoch")
        first = next(iter(in_lists(output.get("choices") or [])), None)
        score = _mapping(next(iter(_mapping(raw.get("scores")).values()), None))
        return {
            "problem_id": raw.get("id"),
            "sample_id": epoch - 1 if isinstance(epoch, int) else None,
            "prompt": raw.get("input"),
            "completion": _mapping(first).get("message") or output.get("completion") or None,
            "gold": raw.get("target"),
            "reward": score.get("value"),
            "answer": score.get("answer"),
            "status": "error" if raw.get("error") else None,
        }

    return Layout(columns, adapt, "output")


def _task_of(path: Path) -> str:
    """Return TASK of ``details_TASK_2025-01-31T10-00-00.123456.parquet``, or of ``samples_...``."""
    stem = re.sub(r"_\d{4}-\d\d-\d\dT[\d.-]+$", "", path.stem)
    return re.sub(r"^(details|samples)_", "", stem)


def _mapping(value: Any) -> Mapping[str, Any]:
    value = parsed(value)
    return value if isinstance(value, Mapping) else {}


def _is_index(place: Any, choices: Sequence[Any]) -> bool:
    return isinstance(place, int) and 0 <= place < len(choices)


def _one_score(metric: Mapping[str, Any], texts: Sequence[str]) -> list[Any] | None:
    """Return the score of a single prediction, from the first metric with a number.

    A metric whose name is about correctness comes first.
    """
    names = sorted(metric, key=lambda name: not _RIGHT.search(str(name)))
    numbers = [metric[name] for name in names if isinstance(metric[name], bool | int | float)]
    return [numbers[0]] if len(texts) == 1 and numbers else None
