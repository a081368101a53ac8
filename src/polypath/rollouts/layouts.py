"""What other tools call things: from a row of their files to a row under our keys."""

import itertools
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypath.errors import DataError
from polypath.rollouts.rows import DETAILS, KEYS, RIGHT_FROM, in_lists, parsed
from polypath.settings import is_number

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Layout:
    """How one tool lays out its rows.

    Attributes:
        columns: keys that are read; the rest may stay unread.
        adapt: from a row of the file to a row under our keys.
    """

    columns: Sequence[str]
    adapt: Callable[[Row], dict[str, Any]]


def find_layout(
    names: Collection[str], path: Path, keys: Mapping[str, str], *, details: bool = False
) -> Layout:
    """Choose the layout by the keys a file has; ``keys`` renames on top of it.

    With ``details`` the keys of ``DETAILS`` are read as well, where they are our own.
    """
    if {"doc", "model_response", "metric"} <= set(names):
        layout = _lighteval(path)
    elif {"full_prompt", "predictions", "metrics"} <= set(names):
        layout = _old_lighteval(path)
    elif {"step", "prompt", "completion"} <= set(names) and "problem_id" not in names:
        layout = _trl(list(names), path, decided=bool({"correct", "reward"} & set(keys)))
    elif {"input", "output", "score"} <= set(names) and "completion" not in names:
        layout = _verl()
    else:
        source = {name: name for name in (KEYS + DETAILS if details else KEYS)}
        if "score" in names and "reward" not in names:
            source["reward"] = "score"
        layout = _from_keys(source)
    return _renamed(layout, keys) if keys else layout


def _from_keys(source: Mapping[str, str]) -> Layout:
    """Take each of our keys from one of the file's."""
    return Layout(
        [*source.values()],
        lambda raw: {ours: raw.get(theirs) for ours, theirs in source.items()},
    )


def _renamed(layout: Layout, keys: Mapping[str, str]) -> Layout:
    """Take some of our keys from where the user says (``a.b`` is b in a), the rest as before."""
    heads = [key.split(".")[0] for key in keys.values()]

    def adapt(raw: Row) -> dict[str, Any]:
        found = {ours: look_up(raw, theirs) for ours, theirs in keys.items()}
        return {**layout.adapt(raw), **found}

    return Layout([*dict.fromkeys([*layout.columns, *heads, *keys.values()])], adapt)


def look_up(raw: Row, key: str) -> Any:
    """Return the value of a key, of which ``a.b`` is b in a; None where there is none."""
    if key in raw or "." not in key:
        return raw.get(key)
    head, rest = key.split(".", 1)
    inner = parsed(raw.get(head))
    return look_up(inner, rest) if isinstance(inner, Mapping) else None


def _trl(names: Sequence[str], path: Path, *, decided: bool) -> Layout:
    """``completions_*.parquet`` of TRL's GRPOTrainer with ``log_completions`` (read: 1.16).

    Its columns are step, prompt, completion, one per reward function, what was logged besides, and
    advantage. Numbers between completion and advantage are rewards; of several, the one whose name
    says that it is about being right. There is no problem id: the prompt stands for it.
    """
    source = {"prompt": "prompt", "completion": "completion"}
    if not decided:
        others = [n for n in names if n not in ("step", "prompt", "completion", "advantage")]
        right = [n for n in others if re.search(r"correct|accura|verif|solved", n, re.IGNORECASE)]
        chosen = right if len(right) == 1 else others
        if len(chosen) != 1:
            raise DataError(
                f"{path} has {len(others)} columns that may be the reward "
                f"({', '.join(others) or 'none'}); name one with keys reward=COLUMN."
            )
        source["reward"] = chosen[0]
    return _from_keys(source)


def _verl() -> Layout:
    """Read a JSONL file of verl's ``trainer.validation_data_dir`` (or ``rollout_data_dir``).

    Keys are input, output, score, step, in newer versions gts, and whatever the reward function
    returned, of which ``acc`` says what is right and ``pred`` is the answer. There is no problem
    id: the input stands for it.
    """
    prompt = {"prompt": "input", "completion": "output", "gold": "gts"}
    plain = _from_keys({**prompt, "correct": "acc", "reward": "score", "answer": "pred"})

    def adapt(raw: Row) -> dict[str, Any]:
        row = plain.adapt(raw)
        accuracy = row["correct"]
        if is_number(accuracy) and not math.isnan(accuracy):
            row["correct"] = accuracy > RIGHT_FROM
        return row

    return Layout(plain.columns, adapt)


def _lighteval(path: Path) -> Layout:
    """``details_TASK_TIME.parquet`` of today's lighteval: doc, model_response, metric.

    A metric is one number per problem. With one prediction it says whether this is right; with
    several nobody knows which of them were, so they are not verified.
    """
    task, row_numbers = _task_of(path), itertools.count()
    columns = ("doc", "model_response", "metric")

    def adapt(raw: Row) -> dict[str, Any]:
        row_number = next(row_numbers)
        doc, said, metric = (_mapping(raw.get(name)) for name in columns)
        index = doc.get("id") if doc.get("id") not in (None, "") else row_number
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

    return Layout(columns, adapt)


def _old_lighteval(path: Path) -> Layout:
    """Read the same file of older lighteval: full_prompt, predictions, gold, metrics, and others."""
    task, row_numbers = _task_of(path), itertools.count()

    def adapt(raw: Row) -> dict[str, Any]:
        texts = [text for text in in_lists(parsed(raw.get("predictions"))) if isinstance(text, str)]
        return {
            "problem_id": f"{task}:{next(row_numbers)}",
            "prompt": parsed(raw.get("full_prompt")),
            "completion": texts,
            "gold": parsed(raw.get("gold")),
            "reward": _one_score(_mapping(raw.get("metrics")), texts),
        }

    return Layout(("full_prompt", "predictions", "gold", "metrics"), adapt)


def _task_of(path: Path) -> str:
    """Return TASK of ``details_TASK_2025-01-31T10-00-00.123456.parquet``."""
    return re.sub(r"_\d{4}-\d\d-\d\dT[\d.-]+$", "", path.stem).removeprefix("details_")


def _mapping(value: Any) -> Mapping[str, Any]:
    value = parsed(value)
    return value if isinstance(value, Mapping) else {}


def _is_index(place: Any, choices: Sequence[Any]) -> bool:
    return isinstance(place, int) and 0 <= place < len(choices)


def _one_score(metric: Mapping[str, Any], texts: Sequence[str]) -> list[Any] | None:
    """Return the score of a single prediction, by the first metric that has a number."""
    numbers = [v for v in metric.values() if isinstance(v, bool | int | float)]
    return [numbers[0]] if len(texts) == 1 and numbers else None
