"""Turn a row of any file, already under our keys, into its samples."""

import ast
import hashlib
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from polypath.rollouts.left_out import LeftOut, Place, UnusableError

_T = TypeVar("_T")

KEYS = (
    "problem_id",
    "sample_id",
    "prompt",
    "completion",
    "gold",
    "correct",
    "reward",
    "answer",
    "status",
    "greedy",
)
DETAILS = ("n_tokens", "finish_reason", "token_ids")  # read only to be stored again
PER_SAMPLE = ("completion", "correct", "reward", "answer", "status")  # lists in a row per problem
WITHOUT_VERDICT = frozenset({"timeout", "error", "bad_gold"})  # statuses: neither right nor wrong
RIGHT_FROM = 0.5  # a reward above this counts as right, as in polypath.verify.base.Verdict
LARGEST = sys.float_info.max  # a number beyond it has no float
_JSON_TYPES = (str, bool, int, float)
_EXACT = 2**53  # from here on one float stands for several whole numbers
_WORDS = {"true": True, "false": False, "1": True, "0": False}


class VerdictLike(Protocol):
    """The part of ``polypath.verify.base.Verdict`` that is needed here."""

    @property
    def status(self) -> str:
        """How the verdict came about."""
        ...

    @property
    def reward(self) -> float:
        """In [0, 1]."""
        ...

    @property
    def correct(self) -> bool:
        """Whether the completion is right."""
        ...

    @property
    def answer(self) -> str | None:
        """The canonical solution."""
        ...


# completions, and the gold answer of each -> their verdicts, in order; Task.verify_batch is one
VerifyBatch = Callable[[Sequence[str], Sequence[str]], Sequence[VerdictLike]]
VERIFIED_TOGETHER = 1024  # rows held in memory for one call of a verifier


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRow:
    """One sample as read. ``correct`` is ``None`` where it was not verified.

    ``raw`` is the source row under our keys, for callers that need more of it.
    """

    problem_id: str
    sample_id: int | None
    completion: str
    prompt: str | None
    gold: str | None
    correct: bool | None
    answer: str | None
    greedy: bool
    status: str | None
    reward: float | None
    raw: Mapping[str, Any]
    place: Place


def sample_rows(
    raw: Mapping[str, Any], left_out: LeftOut, place: Place, *, to_verify: bool = False
) -> Iterator[SampleRow]:
    """Yield the samples of one row, and count unusable ones in ``left_out``.

    With ``to_verify``, stored correctness is ignored for rows with a gold answer: their verdict
    comes from ``verified``.
    """
    for entry in left_out.attempt(place, _unroll, raw) or ():
        row = left_out.attempt(place, _sample_row, entry, place, to_verify)
        if row is not None:
            yield row


def verified(rows: Iterable[SampleRow], verify_batch: VerifyBatch) -> Iterator[SampleRow]:
    """Yield the rows in order; those with a gold answer get their verdict."""
    for some in in_chunks(rows, VERIFIED_TOGETHER):
        asked = [(row.completion, row.gold) for row in some if row.gold is not None]
        verdicts = iter(verify_batch([text for text, _ in asked], [gold for _, gold in asked]))
        for row in some:
            yield row if row.gold is None else _with_verdict(row, next(verdicts))


def in_chunks(rows: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Cut an iterable into lists of ``size``; the last may be shorter."""
    rest = iter(rows)
    while some := list(itertools.islice(rest, size)):
        yield some


def _with_verdict(row: SampleRow, verdict: VerdictLike) -> SampleRow:
    status = str(verdict.status)
    return replace(
        row,
        status=status,
        reward=verdict.reward,
        correct=None if status in WITHOUT_VERDICT else verdict.correct,
        answer=verdict.answer,
    )


def _unroll(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Split a row per problem into rows per sample; a row per sample stays as it is.

    Raises:
        UnusableError: one verdict is given for several completions, or not one for each.
    """
    texts = raw.get("completion")
    if not isinstance(texts, list) or not texts or isinstance(texts[0], Mapping):
        return [raw]
    beside: dict[str, list[Any]] = {}
    for name in PER_SAMPLE:
        value = raw.get(name)
        if isinstance(value, list) and len(value) == len(texts):
            beside[name] = value
        elif not isinstance(value, list) and (len(texts) == 1 or name == "status"):
            beside[name] = [value] * len(texts)
        elif value is not None and name in ("correct", "reward"):
            raise UnusableError(f"{name} is not one for each completion")
    own = PER_SAMPLE if len(texts) == 1 else (*PER_SAMPLE, *DETAILS, "sample_id")
    shared = {name: value for name, value in raw.items() if name not in own}
    return [
        {**shared, **{name: values[place] for name, values in beside.items()}}
        for place in range(len(texts))
    ]


def _sample_row(raw: Mapping[str, Any], place: Place, to_verify: bool) -> SampleRow:
    completion = plain_text(_value(raw, "completion"))
    if completion is None:
        raise UnusableError("no completion")
    prompt, gold = _prompt(_value(raw, "prompt")), _name(_value(raw, "gold")) or None
    sample_id = _number(_value(raw, "sample_id"))
    told: Mapping[str, Any] = {} if to_verify and gold is not None else raw
    status = _value(told, "status")
    if status is not None and not isinstance(status, _JSON_TYPES):
        raise UnusableError("status is not a text")
    problem_id = _value(raw, "problem_id")
    if isinstance(problem_id, float) and abs(problem_id) >= _EXACT:
        raise UnusableError("problem_id is a rounded number")
    problem_id = _name(problem_id)
    if problem_id is None:
        if prompt is None:
            raise UnusableError("no problem_id and no prompt")
        problem_id = prompt_id(prompt)
    correct, reward = _verdict(_value(told, "correct"), _value(told, "reward"), status)
    return SampleRow(
        problem_id=problem_id,
        sample_id=sample_id,
        completion=completion,
        prompt=prompt,
        gold=gold,
        correct=correct,
        answer=_name(_value(told, "answer")),
        status=whole_characters(status) if isinstance(status, str) else None,
        reward=reward,
        raw=raw,
        place=place,
        greedy=_truth(_value(raw, "greedy")) == 1 or sample_id == -1,
    )


def _value(raw: Mapping[str, Any], name: str) -> Any:
    """Return a value; types that only Parquet has become what JSON would hold."""
    value = raw.get(name)
    if value is None or type(value) in _JSON_TYPES:  # nearly always
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise UnusableError(f"{name} is not UTF-8") from None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def prompt_id(prompt: str) -> str:
    """Return a problem id for a prompt without one: equal prompts get equal ids."""
    return "prompt-" + hashlib.blake2b(prompt.encode(), digest_size=6).hexdigest()


def _verdict(correct: Any, reward: Any, status: Any) -> tuple[bool | None, float | None]:
    """Return correctness and reward as the file gives them; each ``None`` where it gives none.

    Raises:
        UnusableError: a value cannot be understood.
    """
    if _is_nan(correct) or _is_nan(reward):
        raise UnusableError("NaN reward")
    judged = correct is not None or status in WITHOUT_VERDICT
    correct = _truth(correct)
    if isinstance(reward, str) and judged:
        reward = None  # words beside a verdict
    if reward is not None:
        if not isinstance(reward, int | float) or not -LARGEST <= reward <= LARGEST:
            raise UnusableError("reward is not a number")
        reward = float(reward)
    if status in WITHOUT_VERDICT:
        return None, reward
    if correct is None:
        return None if reward is None else reward > RIGHT_FROM, reward
    if correct not in (True, False):  # also accepts 0, 1, 0.0 and 1.0
        raise UnusableError("correct is not true or false")
    return bool(correct), reward


def _truth(value: Any) -> Any:
    """Return a word such as "True" as a bool, and anything else as it is."""
    return _WORDS.get(value.strip().lower(), value) if isinstance(value, str) else value


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def plain_text(value: Any) -> str | None:
    """Return a completion as text: itself, or the text of the assistant's messages."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, list) and value and all(isinstance(m, Mapping) for m in value):
        messages = [m for m in value if m.get("role") in (None, "assistant")]
        value = _joined([_said(message) for message in messages])
    return whole_characters(value) if isinstance(value, str) else None


def _said(message: Mapping[str, Any]) -> str | None:
    """Return the text of a message or of a part of one; ``None`` where it has none."""
    content = message.get("text") if message.get("content") is None else message["content"]
    if isinstance(content, list):
        return _joined([_said(c) if isinstance(c, Mapping) else c for c in content])
    return content if isinstance(content, str) else None


def _joined(parts: Sequence[Any]) -> str | None:
    texts = [part for part in parts if isinstance(part, str)]
    return "\n".join(texts) if texts else None


def _prompt(value: Any) -> str | None:
    """Return a prompt as text; messages become JSON, without the empty fields that columns add.

    An empty prompt counts as none: stores hold it where the prompt is unknown.
    """
    if isinstance(value, list) and value and all(isinstance(m, Mapping) for m in value):
        messages = [{k: v for k, v in m.items() if v is not None} for m in value]
        return _as_json(messages)
    return _name(value) or None


def _name(value: Any) -> str | None:
    """Return an id, a gold answer or a solution as text; ``None`` where there is none."""
    if isinstance(value, str):
        return whole_characters(value)
    if value is None or _is_nan(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of integers with gaps comes back as floats
    if isinstance(value, list) and len(value) == 1:
        return _name(value[0])
    return _as_json(value, sort_keys=True)


def _as_json(value: Any, *, sort_keys: bool = False) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=sort_keys, default=str)
    except (TypeError, ValueError):  # a tool stored it as text, with keys that are not text
        raise UnusableError("a value that JSON cannot hold") from None
    return whole_characters(text)


def _number(value: Any) -> int | None:
    """Return a whole number, exact however large it is; ``None`` for anything else."""
    if isinstance(value, str):
        for kind in (int, float):
            with suppress(ValueError):
                value = kind(value)
                break
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def whole_characters(text: str) -> str:
    r"""Join surrogate pairs, and replace lone halves, which no file or page can hold.

    >>> whole_characters("a\ud800b")
    'a�b'
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def parsed(value: Any) -> Any:
    """Undo ``str()`` of a list or mapping, as some tools store it; else return the value."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return value
    return value


def in_lists(values: Sequence[Any] | Any) -> list[Any]:
    """Return a list as it is, and anything else as a list of one."""
    return list(values) if isinstance(values, list | tuple) else [values]
