"""From a row of any file, already under our keys, to the samples in it."""

import ast
import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

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
_WORDS = {"true": True, "false": False, "1": True, "0": False}


class VerdictLike(Protocol):
    """What is needed of a ``polypath.verify.base.Verdict``."""

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

    ``raw`` is the row it came from, under our keys, for those who need more of it.
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


class _LeftOut(Exception):
    """A row cannot be used; the message is the reason it is counted under."""


def sample_rows(
    raw: Mapping[str, Any], left_out: Counter[str], *, to_verify: bool = False
) -> Iterator[SampleRow]:
    """Yield the samples of one row, and count in ``left_out`` what cannot be used.

    With ``to_verify``, stored correctness is ignored for rows with a gold answer: their verdict
    comes from ``verified``.
    """
    for entry in _unroll(raw):
        try:
            yield _sample_row(entry, to_verify)
        except _LeftOut as reason:
            left_out[str(reason)] += 1


def verified(rows: Iterable[SampleRow], verify_batch: VerifyBatch) -> Iterator[SampleRow]:
    """Yield the rows in their order, those that have a gold answer with their verdict."""
    for some in in_chunks(rows, VERIFIED_TOGETHER):
        asked = [(row.completion, row.gold) for row in some if row.gold is not None]
        verdicts = iter(verify_batch([text for text, _ in asked], [gold for _, gold in asked]))
        for row in some:
            yield row if row.gold is None else _with_verdict(row, next(verdicts))


def in_chunks(rows: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Cut an iterable into lists of ``size``, the last one shorter."""
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


def _unroll(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Turn a row per problem into rows per sample; a row per sample stays as it is."""
    texts = raw.get("completion")
    if not isinstance(texts, list) or not texts or isinstance(texts[0], Mapping):
        yield raw
        return
    beside = {
        name: raw[name]
        for name in PER_SAMPLE
        if isinstance(raw.get(name), list) and len(raw[name]) == len(texts)
    }
    own = (*PER_SAMPLE, *DETAILS, "sample_id")
    shared = {name: value for name, value in raw.items() if name not in own}
    for place in range(len(texts)):
        yield {**shared, **{name: values[place] for name, values in beside.items()}}


def _sample_row(raw: Mapping[str, Any], to_verify: bool) -> SampleRow:
    completion = plain_text(raw.get("completion"))
    if completion is None:
        raise _LeftOut("no completion")
    prompt, gold = _prompt(raw.get("prompt")), _name(raw.get("gold")) or None
    sample_id = _number(raw.get("sample_id"))
    told: Mapping[str, Any] = {} if to_verify and gold is not None else raw
    correct, reward = _correct(told), told.get("reward")
    problem_id = _name(raw.get("problem_id"))
    if problem_id is None:
        if prompt is None:
            raise _LeftOut("no problem_id and no prompt")
        problem_id = prompt_id(prompt)
    return SampleRow(
        problem_id=problem_id,
        sample_id=sample_id,
        completion=completion,
        prompt=prompt,
        gold=gold,
        correct=correct,
        answer=_name(told.get("answer")),
        status=told.get("status") if isinstance(told.get("status"), str) else None,
        reward=None if reward is None or isinstance(reward, str) else float(reward),
        raw=raw,
        greedy=raw.get("greedy") is True or sample_id == -1,
    )


def prompt_id(prompt: str) -> str:
    """Return the problem id of a prompt that came without one: equal prompts, equal ids."""
    return "prompt-" + hashlib.blake2b(prompt.encode(), digest_size=6).hexdigest()


def _correct(raw: Mapping[str, Any]) -> bool | None:
    """Return what the file says, ``None`` where it does not say.

    Raises:
        _LeftOut: it says something that cannot be understood.
    """
    correct, reward = raw.get("correct"), raw.get("reward")
    if _is_nan(correct) or _is_nan(reward):
        raise _LeftOut("NaN reward")
    if raw.get("status") in WITHOUT_VERDICT:
        return None
    if correct is not None:
        if isinstance(correct, str):
            correct = _WORDS.get(correct.strip().lower(), correct)
        if correct not in (True, False):  # 0, 1, 0.0 and 1.0 are among them
            raise _LeftOut("correct is not true or false")
        return bool(correct)
    if reward is None:
        return None
    if isinstance(reward, str) or not isinstance(reward, int | float) or math.isinf(reward):
        raise _LeftOut("reward is not a number")
    return reward > RIGHT_FROM


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def plain_text(value: Any) -> str | None:
    """Return a completion as text: itself, or what the assistant's messages say."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, list) and value and all(isinstance(m, Mapping) for m in value):
        said = [m.get("content") for m in value if m.get("role", "assistant") == "assistant"]
        return whole_characters("\n".join(text for text in said if isinstance(text, str)))
    return None


def _prompt(value: Any) -> str | None:
    """Return a prompt as text, messages as JSON without the empty fields that columns add.

    An empty prompt is none: stores hold it where it is unknown.
    """
    if isinstance(value, list) and value and all(isinstance(m, Mapping) for m in value):
        messages = [{k: v for k, v in m.items() if v is not None} for m in value]
        return whole_characters(json.dumps(messages, ensure_ascii=False, default=str))
    return _name(value) or None


def _name(value: Any) -> str | None:
    """Return an id, a gold answer or a solution as text; ``None`` where there is none."""
    if value is None or _is_nan(value):
        return None
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of integers with a gap in it comes back as floats
    if isinstance(value, list) and len(value) == 1:
        return _name(value[0])
    return whole_characters(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def whole_characters(text: str) -> str:
    r"""Join surrogate pairs, and replace lone halves, which no file or page could hold.

    >>> whole_characters("a\ud800b")
    'a�b'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def parsed(value: Any) -> Any:
    """Undo ``str()`` of a list or mapping, as some tools store them; else the value itself."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    return value


def in_lists(values: Sequence[Any] | Any) -> list[Any]:
    """Return a list as it is, and anything else as a list of one."""
    return list(values) if isinstance(values, list | tuple) else [values]
