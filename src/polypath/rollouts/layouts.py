"""What other tools call things: from a row of their files to a row under our keys."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from polypath.errors import DataError
from polypath.rollouts.rows import DETAILS, KEYS, RIGHT_FROM, in_lists, parsed


class Layout(Protocol):
    """How one tool lays out its rows."""

    @property
    def columns(self) -> Sequence[str]:
        """Keys that are read; the rest may stay unread."""
        ...

    def adapt(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our keys."""
        ...


def find_layout(
    names: Collection[str], path: Path, keys: Mapping[str, str], *, details: bool = False
) -> Layout:
    """Choose the layout by the keys a file has; ``keys`` renames on top of it.

    With ``details`` the keys of ``DETAILS`` are read as well, where they are our own.
    """
    layout: Layout
    if {"doc", "model_response", "metric"} <= set(names):
        layout = LightevalDetails(path)
    elif {"full_prompt", "predictions", "metrics"} <= set(names):
        layout = OldLightevalDetails(path)
    elif {"step", "prompt", "completion"} <= set(names) and "problem_id" not in names:
        layout = TrlCompletions(list(names), path, decided=bool({"correct", "reward"} & set(keys)))
    elif {"input", "output", "score"} <= set(names) and "completion" not in names:
        layout = VerlDump(names)
    else:
        layout = OwnKeys(names, KEYS + DETAILS if details else KEYS)
    return Renamed(layout, keys) if keys else layout


class OwnKeys:
    """Our own keys; ``score`` is taken for ``reward`` where there is no ``reward``."""

    def __init__(self, names: Collection[str], ours: Sequence[str]) -> None:
        self._ours = ours
        self.columns = [name for name in ours if name in names]
        self._score = "score" in names and "reward" not in names
        if self._score:
            self.columns.append("score")

    def adapt(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our keys."""
        row = {name: raw.get(name) for name in self._ours}
        if self._score:
            row["reward"] = raw.get("score")
        return row


class Renamed:
    """Another layout, with some of our keys taken from where the user says (``a.b`` is b in a)."""

    def __init__(self, layout: Layout, keys: Mapping[str, str]) -> None:
        self._layout, self._keys = layout, keys
        self.columns = [
            *dict.fromkeys([*layout.columns, *(k.split(".")[0] for k in keys.values())])
        ]
        self.columns += [key for key in keys.values() if key not in self.columns]

    def adapt(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our keys."""
        row = self._layout.adapt(raw)
        row.update({ours: _look_up(raw, theirs) for ours, theirs in self._keys.items()})
        return row


def _look_up(raw: Mapping[str, Any], key: str) -> Any:
    if key in raw or "." not in key:
        return raw.get(key)
    head, rest = key.split(".", 1)
    inner = parsed(raw.get(head))
    return _look_up(inner, rest) if isinstance(inner, Mapping) else None


class TrlCompletions:
    """``completions_*.parquet`` of TRL's GRPOTrainer with ``log_completions`` (read: 1.16).

    Its columns are step, prompt, completion, one per reward function, what was logged besides, and
    advantage. Numbers between completion and advantage are rewards; of several, the one whose name
    says that it is about being right. There is no problem id: the prompt stands for it.
    """

    def __init__(self, names: Sequence[str], path: Path, *, decided: bool) -> None:
        others = [n for n in names if n not in ("step", "prompt", "completion", "advantage")]
        right = [n for n in others if re.search(r"correct|accura|verif|solved", n, re.IGNORECASE)]
        chosen = right if len(right) == 1 else others
        if len(chosen) != 1 and not decided:
            raise DataError(
                f"{path} has {len(others)} columns that may be the reward "
                f"({', '.join(others) or 'none'}); name one with keys reward=COLUMN."
            )
        self._reward = None if decided else chosen[0]
        self.columns = ["prompt", "completion", *([] if self._reward is None else [self._reward])]

    def adapt(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our keys."""
        row = {"prompt": raw.get("prompt"), "completion": raw.get("completion")}
        if self._reward is not None:
            row["reward"] = raw.get(self._reward)
        return row


class VerlDump:
    """A JSONL file of verl's ``trainer.validation_data_dir`` (or ``rollout_data_dir``).

    Keys are input, output, score, step, in newer versions gts, and whatever the reward function
    returned, of which ``acc`` says what is right and ``pred`` is the answer. There is no problem
    id: the input stands for it.
    """

    def __init__(self, names: Collection[str]) -> None:
        wanted = ("input", "output", "score", "gts", "acc", "pred", "uid")
        self.columns = [name for name in wanted if name in names]

    def adapt(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our keys."""
        accuracy = raw.get("acc")
        if isinstance(accuracy, int | float) and not isinstance(accuracy, bool):
            accuracy = accuracy > RIGHT_FROM if accuracy == accuracy else accuracy
        return {
            "prompt": raw.get("input"),
            "completion": raw.get("output"),
            "gold": raw.get("gts"),
            "correct": accuracy,
            "reward": raw.get("score"),
            "answer": raw.get("pred"),
        }


class LightevalDetails:
    """``details_TASK_TIME.parquet`` of today's lighteval: doc, model_response, metric.

    A metric is one number per problem. With one prediction it says whether this is right; with
    several nobody knows which of them were, so they are not verified.
    """

    columns: Sequence[str] = ("doc", "model_response", "metric")

    def __init__(self, path: Path) -> None:
        self._task, self._row = _task_of(path), -1

    def adapt(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our keys."""
        self._row += 1
        doc, said, metric = (_mapping(raw.get(name)) for name in self.columns)
        index = doc.get("id") if doc.get("id") not in (None, "") else self._row
        texts = in_lists(said.get("text") or [])
        choices = in_lists(doc.get("choices") or [])
        golds = [choices[i] for i in in_lists(doc.get("gold_index")) if _is_index(i, choices)]
        return {
            "problem_id": f"{self._task}:{index}",
            "prompt": doc.get("query"),
            "completion": texts,
            "gold": golds or None,
            "reward": _one_score(metric, texts),
        }


class OldLightevalDetails:
    """The same file of older lighteval: full_prompt, predictions, gold, metrics, and others."""

    columns: Sequence[str] = ("full_prompt", "predictions", "gold", "metrics")

    def __init__(self, path: Path) -> None:
        self._task, self._row = _task_of(path), -1

    def adapt(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row under our keys."""
        self._row += 1
        texts = [text for text in in_lists(parsed(raw.get("predictions"))) if isinstance(text, str)]
        return {
            "problem_id": f"{self._task}:{self._row}",
            "prompt": parsed(raw.get("full_prompt")),
            "completion": texts,
            "gold": parsed(raw.get("gold")),
            "reward": _one_score(_mapping(raw.get("metrics")), texts),
        }


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
