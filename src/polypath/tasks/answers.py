r"""A task from a YAML file: problems with exact, numeric or mathematical answers, without any Python.

data: problems.jsonl         # or one file for each split: {train: a.jsonl, test: b.jsonl}
verify: numeric              # exact, numeric or math
template: "{question}\nAnswer with a number."     # optional; otherwise the prompt column as it is
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from polypath.errors import ConfigError, DataError, unknown_name
from polypath.settings import check_settings, setting
from polypath.tasks.base import EvaluationDefaults
from polypath.tasks.own import Rows
from polypath.tasks.records import Row, gold_of
from polypath.tasks.solutions import SOLUTIONS
from polypath.verify.base import Status, Verdict
from polypath.verify.math_extract import find_answer
from polypath.verify.math_number import read_number
from polypath.verify.math_prose import read_answer
from polypath.verify.pool import shared_pool
from polypath.yaml_file import read_yaml

_NUMBER = re.compile(r"[-+]?(?:\d+/[1-9]\d*|(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)")
_SEVERAL = re.compile(r"\d\s*(?:,|and|or)\s+[-$]?\.?\d")
CLOSE = Fraction(1, 10**6)  # numbers are equal if they differ by at most this share of the gold


@dataclass(frozen=True, kw_only=True)
class AnswerTask:
    """The keys that the YAML file of a task may have."""

    data: Any = setting(None, "File or hub id, or a mapping from names of splits to these.")
    verify: Literal["exact", "numeric", "math"] = setting(
        "exact",
        "When an answer is right: exact (the same text, but for case, white space and a full stop), numeric "
        "(the same number up to a millionth), math (equal mathematically).",
    )
    prompt: str | None = setting(None, "Column with the prompt; found automatically.")
    answer: str | None = setting(None, "Column with the answer; found automatically.")
    template: str | None = setting(
        None, "The prompt, with columns in braces, such as '{question} Think first.'."
    )
    system: str | None = setting(
        None, "System prompt. With one, prompts are chats of two messages."
    )
    solution: str | None = setting(
        None,
        f"What defines a solution besides the answer: {', '.join(SOLUTIONS)}. Unset: the answer.",
    )
    test_share: float = setting(
        0.1, "Share of one file's rows that becomes the split test.", within="[0, 1)"
    )
    max_completion_length: int = setting(
        1024, "Most tokens that a completion needs.", within="[1, inf)"
    )
    num_samples: int = setting(16, "Samples per problem in sample and eval.", within="[1, inf)")
    temperature: float = setting(1.0, "Temperature of sample and eval.", within="[0, inf)")

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.data:
            raise ConfigError("data is missing: which file holds the problems?")
        if self.solution is not None and self.solution not in SOLUTIONS:
            raise unknown_name("solution", self.solution, SOLUTIONS)


def task_from_yaml(path: Path) -> "AnsweredRows":
    """Build the task of a YAML file. Relative paths in it start from its folder.

    Raises:
        MissingFileError, DataError: the file cannot be read.
        ConfigError: a key is unknown, or a value is invalid.
    """
    values = read_yaml(path, "Task")
    known = [field.name for field in fields(AnswerTask)]
    for key in values:
        if key not in known:
            raise unknown_name(f"key in {path}:", str(key), known)
    try:
        settings = AnswerTask(**values)
    except ConfigError as error:
        raise ConfigError(f"Task {path}: {error}") from None
    return AnsweredRows(settings, path)


class AnsweredRows(Rows):
    """Problems with one answer each. The gold is the answer."""

    def __init__(self, settings: AnswerTask, path: Path) -> None:
        data = settings.data
        data = (
            {split: _beside(path, part) for split, part in data.items()}
            if isinstance(data, dict)
            else _beside(path, data)
        )
        solution = None if settings.solution is None else SOLUTIONS[settings.solution]
        super().__init__(
            data,
            name=path.stem,
            solution=solution,
            prompt=self._ask if settings.template or settings.system else settings.prompt,
            answer=settings.answer,
            test_share=settings.test_share,
            evaluation=EvaluationDefaults(
                num_samples=settings.num_samples,
                temperature=settings.temperature,
                max_completion_length=settings.max_completion_length,
                source=str(path),
            ),
        )
        self._settings = settings
        self.knows_solutions = True
        self.one_answer = solution is None
        self.verifier = f"the answer is right: {settings.verify}"

    def _ask(self, row: Row) -> Any:
        """Return the prompt of a row, made with the template."""
        template = self._settings.template or f"{{{self._settings.prompt or 'prompt'}}}"
        try:
            text = template.format_map(row)
        except (KeyError, ValueError, IndexError) as error:
            raise DataError(
                f"template of {self.name} cannot be filled: {error}; a row has {', '.join(row)}."
            ) from None
        if self._settings.system is None:
            return text
        return [
            {"role": "system", "content": self._settings.system},
            {"role": "user", "content": text},
        ]

    def _gold(self, problem_id: str, row: Row, column: str | None) -> str:
        if column is None:
            raise DataError(f"{self.name} has no answers: name their column with answer.")
        return gold_of(row, column, f"{self.name}, problem {problem_id}")

    def gold_completion(self, gold: str) -> str:
        """Return the gold in a box."""
        return f"\\boxed{{{gold}}}"

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, each against its own gold."""
        if self._settings.verify == "math":
            pool = shared_pool("polypath.verify.math:math_verifier", {"extraction": "any"})
            verdicts = pool.verify(completions, golds)
        else:
            judge = _exact if self._settings.verify == "exact" else _numeric
            verdicts = [judge(text, gold) for text, gold in zip(completions, golds, strict=True)]
        if self.solution is None:
            return verdicts
        return [
            Verdict(status=v.status, reward=v.reward, answer=self.solution(text, {}))
            for v, text in zip(verdicts, completions, strict=True)
        ]


def _beside(path: Path, name: Any) -> Any:
    """Return a file next to the YAML file, if there is one; a hub id is returned unchanged."""
    beside = path.parent / str(name)
    return beside if beside.is_file() else name


def _final(completion: str) -> str | None:
    """Return the answer that a completion ends with: a box, an announced answer, or its last line."""
    found = find_answer(completion)
    if found is None:
        return None
    return found.text.strip().splitlines()[-1] if found.mark == "tail" else found.text


def _exact(completion: str, gold: str) -> Verdict:
    final = _final(completion)
    if final is None:
        return Verdict(status=Status.NO_ANSWER)
    answer = _folded(final)
    return Verdict(
        status=Status.GRADED, reward=float(answer == _folded(gold)), answer=answer or None
    )


def _folded(text: str) -> str:
    return " ".join(text.split()).strip("$*\"'` ").removesuffix(".").strip().casefold()


def _numeric(completion: str, gold: str) -> Verdict:
    wanted = _number(gold)
    if wanted is None:
        return Verdict(status=Status.BAD_GOLD)
    said = read_answer(completion)
    answer = None if said is None or _SEVERAL.search(said.text) else _number(said.text)
    if answer is None:
        return Verdict(status=Status.NO_ANSWER)
    right = abs(answer - wanted) <= CLOSE * abs(wanted)
    return Verdict(
        status=Status.GRADED, reward=float(right), answer=str(wanted if right else answer)
    )


def _number(text: str) -> Fraction | None:
    """Return the number that a text is, or the last number in it."""
    whole = read_number(text)
    if whole is not None:
        return whole.value
    found = _NUMBER.findall(text)
    return Fraction(found[-1].replace(",", "")) if found else None
