"""A task from a user's own data: rows with a prompt and an answer, and a reward function."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError, MissingFileError, unknown_name
from polypath.rollouts.schema import encode_prompt
from polypath.tasks.base import EvaluationDefaults, Problem, Task
from polypath.tasks.records import (
    ANSWER_FIELDS,
    QUESTION_FIELDS,
    SUFFIXES,
    Origin,
    Row,
    find_field,
    problem_ids,
    read_file,
)
from polypath.tasks.solutions import SolutionFunction, load_solution
from polypath.user_code import blamed, checked_rewards
from polypath.verify.base import Status, Verdict

PROMPT_FIELDS = ("prompt", *(name for name in QUESTION_FIELDS if name != "prompt"))
CORRECT = 0.5  # a reward above this is correct

RewardFunction = Callable[..., Sequence[float | None] | None]


def task_from(
    data: Any,
    reward: RewardFunction,
    solution: str | SolutionFunction | None = None,
    *,
    name: str = "own",
    prompt: str | Callable[[Row], Any] | None = None,
    answer: str | None = None,
    test_share: float = 0.1,
    max_completion_length: int = 1024,
) -> Task:
    """Make a task from data and a reward function.

    Args:
        data: rows with a prompt and, usually, an answer: a list of mappings, a ``datasets.Dataset``, a file
            (``.jsonl``, ``.json``, ``.parquet``), or the id of a data set on the hub. A mapping from names of
            splits to any of these has these splits. Anything else is divided into ``train`` and
            ``test``.
        reward: function as for TRL: called with ``prompts``, ``completions`` and every other column of the
            rows by name, it returns a number, or None for "not scored", for each completion. Above 0.5 is
            correct. Completions of chat prompts are messages.
        solution: defines a solution: ``(text, row) -> text or None``, or ``text``, ``equations`` or
            ``operations``. Without it, nothing about different solutions is reported.
        name: name of the task.
        prompt: column with the prompt, or a function from a row to it: a text, or chat messages. By default
            the first column of ``PROMPT_FIELDS`` that exists.
        answer: column with the answer. By default the first column of ``ANSWER_FIELDS``, if any exists.
        test_share: share of the rows that becomes the split ``test``, in [0, 1), by a hash of the prompt:
            equal prompts stay together, whatever else is in the data.
        max_completion_length: most tokens that a completion needs: the default for sampling. For training,
            the recipe's or the config's ``max_completion_length`` counts.

    Raises:
        ConfigError: an argument is invalid. Data is read only when it is needed.
    """
    if not callable(reward):
        raise ConfigError(f"reward of task {name} must be a function, got {reward!r}.")
    if not 0 <= test_share < 1:
        raise ConfigError(f"test_share of task {name} must be in [0, 1), got {test_share!r}.")
    return RewardedRows(
        data,
        name=name,
        solution=None if solution is None else load_solution(solution),
        prompt=prompt,
        answer=answer,
        test_share=test_share,
        evaluation=EvaluationDefaults(max_completion_length=max_completion_length, source="yours"),
        reward=reward,
    )


class Rows(ABC):
    """The problems of a task made of rows; see ``task_from`` for the arguments."""

    what = "problems of your own"
    options: Mapping[str, str] = {}
    hub = ""

    def __init__(
        self,
        data: Any,
        *,
        name: str,
        solution: SolutionFunction | None,
        prompt: str | Callable[[Row], Any] | None,
        answer: str | None,
        test_share: float,
        evaluation: EvaluationDefaults,
    ) -> None:
        self.name = name
        self.evaluation = evaluation
        self.solution = solution
        self.knows_solutions = solution is not None
        self._data, self._prompt, self._answer = data, prompt, answer
        self._test_share = test_share

    @property
    def max_completion_length(self) -> int:
        """Most tokens that a completion needs."""
        return self.evaluation.max_completion_length

    @cached_property
    def _rows(self) -> dict[str, list[tuple[Problem, Row]]]:
        """Every split's problems and rows."""
        if isinstance(self._data, Mapping):
            return {
                str(split): self._problems(
                    read_rows(part, self.name, str(split)), f"split {split!r} of {self.name}"
                )
                for split, part in self._data.items()
            }
        everything = self._problems(read_rows(self._data, self.name), f"data of {self.name}")
        held = [_share(encode_prompt(p.prompt)) < self._test_share for p, _ in everything]
        found = {
            "train": [pair for pair, test in zip(everything, held, strict=True) if not test],
            "test": [pair for pair, test in zip(everything, held, strict=True) if test],
        }
        return found if found["test"] else {"train": found["train"]}

    @property
    def splits(self) -> tuple[str, ...]:
        """The names that ``problems`` accepts."""
        return tuple(self._rows)

    def problems(self, split: str, limit: int | None = None) -> Sequence[Problem]:
        """Return the problems of a split in the order of the data, at most ``limit`` of them."""
        if split not in self._rows:
            raise unknown_name(f"split of {self.name}", split, self._rows)
        return tuple(problem for problem, _ in self._rows[split][:limit])

    def verify(self, completion: str, gold: str) -> Verdict:
        """Verify one completion."""
        return self.verify_batch([completion], [gold])[0]

    @abstractmethod
    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, each against its own gold."""

    def _problems(self, rows: Sequence[Row], where: str) -> list[tuple[Problem, Row]]:
        if not rows:
            raise DataError(f"{where} holds no rows.")
        ask = self._prompt
        if not callable(ask):
            asked = find_field(rows, ask, PROMPT_FIELDS, what="prompt", where=where)
            ask = lambda row: row.get(asked)  # noqa: E731
        answer = self._answer or next(
            (n for n in ANSWER_FIELDS if rows[0].get(n) is not None), None
        )
        if answer is not None and answer not in rows[0]:
            known = ", ".join(rows[0])
            raise DataError(f"{where} has no column {answer!r} (answer); it has {known}.")
        prompts = [_prompt(ask(row), f"{where}, row {n}") for n, row in enumerate(rows, start=1)]
        ids = problem_ids(rows, [encode_prompt(p) for p in prompts], None, where=where)
        return [
            (
                Problem(problem_id=name, prompt=prompt, gold=self._gold(name, row, answer)),
                row,
            )
            for name, prompt, row in zip(ids, prompts, rows, strict=True)
        ]

    @abstractmethod
    def _gold(self, problem_id: str, row: Row, column: str | None) -> str:
        """Return what a verdict needs to know about a problem, as text."""


class RewardedRows(Rows):
    """A task whose reward function sees the columns of a row. The gold is JSON with the row's id.

    Attributes:
        unscored: statuses of completions without a reward from the function; they have none in training.
    """

    unscored = frozenset({Status.ERROR})

    def __init__(self, data: Any, *, reward: RewardFunction, **rest: Any) -> None:
        super().__init__(data, **rest)
        self._reward = reward
        self.verifier = f"rewarded above {CORRECT:g} by {_name(reward)}"

    @cached_property
    def _by_id(self) -> dict[str, tuple[Problem, Row]]:
        return {
            problem.gold: (problem, row) for rows in self._rows.values() for problem, row in rows
        }

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Reward many completions in one call of the function.

        Raises:
            DataError: the function raises, or returns something other than a number for each.
        """
        verdicts = [Verdict(status=Status.BAD_GOLD)] * len(golds)
        known = [place for place, gold in enumerate(golds) if gold in self._by_id]
        if not known:
            return verdicts
        found = [self._by_id[golds[place]] for place in known]
        texts = [completions[place] for place in known]
        for place, text, (_, row), reward in zip(
            known, texts, found, self._rewards(texts, found), strict=True
        ):
            answer = None if self.solution is None else self.solution(text, dict(row))
            verdicts[place] = _verdict(reward, answer)
        return verdicts

    def gold_completion(self, gold: str) -> str:
        """Return the answer, if the rows have one."""
        answer = json.loads(gold).get("answer")
        if answer is None:
            raise ConfigError(f"Task {self.name} cannot be checked: its rows have no answer.")
        return str(answer)

    def _rewards(
        self, texts: Sequence[str], found: Sequence[tuple[Problem, Row]]
    ) -> list[float | None]:
        prompts = [problem.prompt for problem, _ in found]
        columns = dict.fromkeys(key for _, row in found for key in row if key != "prompt")
        who = f"The reward function {_name(self._reward)} of task {self.name}"
        with blamed(who):
            rewards = self._reward(
                prompts=prompts,
                completions=[
                    text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
                    for text, prompt in zip(texts, prompts, strict=True)
                ],
                **{key: [row.get(key) for _, row in found] for key in columns},
            )
        return checked_rewards(rewards, len(texts), who)

    def _gold(self, problem_id: str, row: Row, column: str | None) -> str:
        answer = {} if column is None else {"answer": _plain(row.get(column))}
        return json.dumps({"id": problem_id, **answer}, ensure_ascii=False)


def read_rows(data: Any, task: str, split: str = "train") -> list[Row]:
    """Return the rows of a list, a ``datasets.Dataset``, a file or a split of a data set on the hub.

    Raises:
        ConfigError: it is none of these.
        MissingFileError, DataError, MissingExtraError: it cannot be read.
    """
    if isinstance(data, str | Path):
        path = Path(data)
        if path.is_file():
            if path.suffix not in SUFFIXES:
                raise DataError(f"data={path} must end in one of {', '.join(SUFFIXES)}.")
            return list(read_file(path))
        if path.suffix in SUFFIXES or not str(data).count("/") == 1:
            raise MissingFileError(f"data={path} of task {task} does not exist.")
        return Origin(
            task=task,
            data=None,
            hub=str(data),
            config=None,
            revision=None,
            hub_splits={},
            file_names={},
        ).read(split)
    try:
        return [dict(row) for row in data]
    except (TypeError, ValueError):
        raise ConfigError(
            f"data of task {task} must be rows, a datasets.Dataset, a file or a hub id, got "
            f"{type(data).__name__}."
        ) from None


def _prompt(value: Any, place: str) -> str | list[dict[str, str]]:
    chat = isinstance(value, list) and all(
        isinstance(message, Mapping) and {"role", "content"} <= message.keys() for message in value
    )
    if not value or not (isinstance(value, str) or chat):
        raise DataError(
            f"{place}: a prompt must be a text or chat messages, got {one_line(value, 60)!r}."
        )
    return value if isinstance(value, str) else [dict(message) for message in value]


def _verdict(reward: float | None, answer: str | None) -> Verdict:
    """Return the verdict of a reward. A reward outside [0, 1] counts as right or wrong."""
    if reward is None:
        return Verdict(status=Status.ERROR)
    if not 0 <= reward <= 1:
        reward = float(reward > CORRECT)
    return Verdict(status=Status.GRADED, reward=reward, answer=answer)


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _share(text: str) -> float:
    """Return a number in [0, 1) that depends on a text only."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
