"""The small SQL task: eight databases of a few dozen rows, questions with many right queries.

It is text-to-SQL without a download: databases, questions and base model ship with polypath. The base
has learned the schemas, so a prompt is one line of words:

    shop : list 'red' products with price over 20 ? :

A stable hash of template and literals assigns every question on a database to one of four parts:

    base 70 %    the shipped base model was trained on these, and on nothing else
    train 15 %   for reinforcement learning
    dev 5 %      for choices
    test 10 %    for results

The splits are views of these parts. ``train``, ``dev`` and ``test`` hold the six databases of the
*domain*. The split ``test_ood`` holds the questions on two other databases (``zoo``, ``garage``) that
are not in ``base``. The base model has seen questions on these databases; reinforcement learning never does.

Results are compared as bags of rows (``compare="strict"`` of ``polypath.verify.sql``): whether a
value occurs once or once per row is part of the question, and no gold query orders its rows.

``scripts/make_small_sql.py`` makes the databases and questions.
"""

import gzip
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from polypath.errors import ConfigError, unknown_name
from polypath.tasks.base import EvaluationDefaults, Problem
from polypath.verify.base import Status, Verdict
from polypath.verify.pool import shared_pool

DATA = Path(__file__).parent.parent / "assets" / "small_sql"
DATABASES = DATA / "database"  # laid out as <db_id>/<db_id>.sqlite
QUESTIONS = DATA / "questions.jsonl.gz"  # one a line, in the order of the splits
SPLITS = ("base", "train", "dev", "test", "test_ood")
MAX_COMPLETION_TOKENS = 30  # the longest demonstrated query has 28, then the end of text
EVALUATION = EvaluationDefaults(num_samples=64, max_completion_length=MAX_COMPLETION_TOKENS)
KEPT_VERDICTS = 200_000


@cache
def _problems() -> Mapping[str, tuple[Problem, ...]]:
    """Read the problems of every split; the gold is the first of a question's right queries."""
    found: dict[str, list[Problem]] = {split: [] for split in SPLITS}
    with gzip.open(QUESTIONS, "rt", encoding="utf-8") as lines:
        for line in lines:
            question = json.loads(line)
            found[question["split"]].append(
                Problem(
                    problem_id=question["problem_id"],
                    prompt=question["prompt"],
                    gold=json.dumps({"db_id": question["db_id"], "query": question["query"]}),
                    extra={"db_id": question["db_id"], "template": question["template"]},
                )
            )
    return {split: tuple(problems) for split, problems in found.items()}


_VERDICTS: dict[tuple[str, str], Verdict] = {}
_VERDICTS_LOCK = threading.Lock()


def _verify(pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
    """Verify pairs of completion and gold, each pair once per process.

    A policy repeats itself, and more so the longer it trains. A pair that ran into the deadline or failed
    is verified again when it occurs again.
    """
    with _VERDICTS_LOCK:
        known = {pair: _VERDICTS[pair] for pair in pairs if pair in _VERDICTS}
    new = list(dict.fromkeys(pair for pair in pairs if pair not in known))
    if new:
        pool = shared_pool(
            "polypath.verify.sql:sql_verifier",
            {"databases": str(DATABASES), "compare": "strict", "deadline": 2.0},
            workers=1,
        )
        completions, golds = zip(*new, strict=True)
        fresh = dict(zip(new, pool.verify(completions, golds), strict=True))
        known |= fresh
        lasting = {
            pair: verdict
            for pair, verdict in fresh.items()
            if verdict.status in (Status.GRADED, Status.NO_ANSWER)
        }
        with _VERDICTS_LOCK:
            if len(_VERDICTS) + len(lasting) > KEPT_VERDICTS:
                _VERDICTS.clear()
            _VERDICTS.update(lasting)
    return [known[pair] for pair in pairs]


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallSql:
    """The task of this module's docstring; see ``polypath.tasks.base.Task`` for the interface."""

    name: str = "small_sql"
    splits: tuple[str, ...] = SPLITS
    max_completion_length: int = MAX_COMPLETION_TOKENS
    evaluation: EvaluationDefaults = EVALUATION

    @property
    def options(self) -> Mapping[str, str]:
        """Empty: there is only one small SQL task."""
        return {}

    def problems(self, split: str, limit: int | None = None) -> tuple[Problem, ...]:
        """Return the first ``limit`` problems of a split; the fixed order is a random one.

        Raises:
            ConfigError: the split is unknown or the limit negative.
        """
        if split not in self.splits:
            raise unknown_name("split of small_sql", split, self.splits)
        if limit is not None and limit < 0:
            raise ConfigError(f"limit is {limit}; expected 0 or more, or None for all problems.")
        return _problems()[split][:limit]

    def verify(self, completion: str, gold: str) -> Verdict:
        """Verify one completion by running it; the answer is its canonical SQL."""
        return _verify([(completion, gold)])[0]

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, each against its own gold, in one worker process."""
        return _verify(list(zip(completions, golds, strict=True)))
