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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from polypath.tasks.base import EvaluationDefaults, Problem, check_split
from polypath.tasks.kept_verdicts import KeptVerdicts
from polypath.verify.base import Verdict
from polypath.verify.pool import shared_pool

DATA = Path(__file__).parent.parent / "assets" / "small_sql"
DATABASES = DATA / "database"  # laid out as <db_id>/<db_id>.sqlite
QUESTIONS = DATA / "questions.jsonl.gz"  # one a line, in the order of the splits
SPLITS = ("base", "train", "dev", "test", "test_ood")
MAX_COMPLETION_TOKENS = 30  # the longest demonstrated query has 28, then the end of text
EVALUATION = EvaluationDefaults(num_samples=64, max_completion_length=MAX_COMPLETION_TOKENS)


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


def _run(completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
    """Run queries in one worker process and compare their results."""
    pool = shared_pool(
        "polypath.verify.sql:sql_verifier",
        {"databases": str(DATABASES), "compare": "strict", "deadline": 2.0},
        workers=1,
    )
    return pool.verify(completions, golds)


_VERDICTS = KeptVerdicts(_run)


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
        check_split(self.name, self.splits, split, limit)
        return _problems()[split][:limit]

    def verify(self, completion: str, gold: str) -> Verdict:
        """Verify one completion by running it; the answer is its canonical SQL."""
        return self.verify_batch([completion], [gold])[0]

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, each against its own gold, in one worker process."""
        return _VERDICTS.verify(completions, golds)
