"""Text to SQL: Spider and BIRD, verified by running the query on the database.

Spider (Yu 2018) is on the hub as questions only. For BIRD (Li 2023) no upload is known well enough to
name. The databases of both come with the originals. They are folders of
``<db_id>/<db_id>.sqlite``, named by ``databases=``, or found next to the questions of ``data=`` where
the originals have them (``database``; ``dev_databases``, ``train_databases``).

DPH-RL trains on BIRD train and evaluates on BIRD dev and, out of domain, on Spider dev.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.tasks.prompts import SQL_PROMPTS, sql_prompt
from polypath.tasks.record_task import OPTIONS, Asked, RecordTask, SetSpec
from polypath.tasks.records import Row, find_field, text_of

QUERY_FIELDS = ("query", "SQL", "sql", "gold_sql")
DB_FIELDS = ("db_id", "database", "db")
DATABASE_FOLDERS = ("database", "databases", "dev_databases", "train_databases")
COMPARE = ("bird", "spider", "strict")
PARTIAL = ("none", "column_overlap")

SQL_SETS: dict[str, SetSpec] = {
    spec.name: spec
    for spec in (
        SetSpec(
            name="spider",
            what="questions on 200 databases, train and dev share none of them (Yu 2018)",
            splits=("train", "dev"),
            hub="xlangai/spider",
            hub_splits={"dev": "validation"},
            file_names={"train": ("train_spider",), "dev": ("validation",)},
            protocol="dph_sql",
            prompt="schema",
        ),
        SetSpec(
            name="bird",
            what="questions on large real databases, some with external knowledge (Li 2023)",
            splits=("train", "dev"),
            hub=None,
            file_names={"dev": ("validation", "dev_20240627")},
            protocol="dph_sql",
            prompt="schema",
        ),
    )
}


class TextToSql(RecordTask):
    """Spider or BIRD; see ``polypath.tasks.base.Task`` for the interface.

    The gold is JSON text ``{"db_id": ..., "query": ...}``. The reward is that of
    ``polypath.verify.sql``. ``compare=bird``, results as sets of rows, is what DPH-RL uses for both.
    """

    SETS = SQL_SETS
    OPTIONS: ClassVar = {
        **OPTIONS,
        "databases": "folder with <db_id>/<db_id>.sqlite; by default searched for next to data",
        "prompt": "how the question is asked: schema or plain",
        "query_field": "field that holds the gold query; found automatically",
        "db_field": "field that holds the database's name; found automatically",
        "compare": "when two results are the same: bird, spider or strict",
        "partial": "reward for a wrong result: none or column_overlap",
    }
    CHOICES: ClassVar = {"prompt": SQL_PROMPTS, "compare": COMPARE, "partial": PARTIAL}
    verifier = "results of both queries are the same on the database"
    verifier_factory = "polypath.verify.sql:sql_verifier"

    def __init__(self, name: str, options: Mapping[str, str] | None = None) -> None:
        super().__init__(name, options)
        self._schemas: dict[str, tuple[str, ...]] = {}

    @property
    def databases(self) -> Path:
        """The folder of databases.

        Raises:
            ConfigError: none was named, and next to the data there is none, or more than one.
            MissingFileError: it does not exist.
        """
        named = self.options.get("databases")
        if named is not None:
            if not Path(named).is_dir():
                raise MissingFileError(
                    f"databases={named} of task {self.name} does not exist; expected a folder with "
                    "<db_id>/<db_id>.sqlite."
                )
            return Path(named)
        found: list[Path] = []
        if "data" in self.options:
            data = Path(self.options["data"])
            beside = data if data.is_dir() else data.parent
            found = [beside / name for name in DATABASE_FOLDERS if (beside / name).is_dir()]
        if len(found) != 1:
            several = f"found {' and '.join(map(str, found))}" if found else "found none"
            raise ConfigError(
                f"Task {self.name} needs databases=FOLDER, with <db_id>/<db_id>.sqlite in it "
                f"({several} beside the data)."
            )
        return found[0]

    def _asked(self, rows: Sequence[Row], where: str) -> list[Asked]:
        found = {}
        for what, candidates in (
            ("question_field", ("question", "problem")),
            ("query_field", QUERY_FIELDS),
            ("db_field", DB_FIELDS),
        ):
            chosen = self.options.get(what)
            found[what] = find_field(rows, chosen, candidates, what=what, where=where)
        self.fields = {what.removesuffix("_field"): name for what, name in found.items()}
        asked = []
        for number, row in enumerate(rows, start=1):
            place = f"{where}, row {number}"
            question = text_of(row, found["question_field"], place)
            db_id = text_of(row, found["db_field"], place)
            query = text_of(row, found["query_field"], place)
            evidence = row.get("evidence")
            prompt = sql_prompt(
                self.prompt,
                question,
                schema=self._schema(db_id, place),
                evidence=evidence if isinstance(evidence, str) else None,
            )
            gold = json.dumps({"db_id": db_id, "query": query}, ensure_ascii=False)
            extra = {"question": question, "db_id": db_id}
            asked.append(Asked(f"{db_id}\n{question}", prompt, gold, extra))
        return asked

    def _schema(self, db_id: str, place: str) -> tuple[str, ...]:
        """Return the statements that create the tables of a database, in its own order."""
        if db_id not in self._schemas:
            path = self.databases / db_id / f"{db_id}.sqlite"
            if not path.is_file():
                raise MissingFileError(f"{place}: database {path} does not exist.")
            try:
                with closing(
                    sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
                ) as connection:
                    found = connection.execute(
                        "SELECT sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL "
                        "AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
                    ).fetchall()
            except sqlite3.Error as error:
                raise DataError(f"{place}: database {path} cannot be read: {error}.") from error
            self._schemas[db_id] = tuple(str(statement) for (statement,) in found)
        return self._schemas[db_id]

    def gold_completion(self, gold: str) -> str:
        """Return the gold query."""
        return str(json.loads(gold)["query"])

    def _verifier_options(self) -> dict[str, Any]:
        return {
            "databases": str(self.databases),
            "compare": self.options.get("compare", COMPARE[0]),
            "partial": self.options.get("partial", PARTIAL[0]),
            "deadline": self.deadline,
        }

    def _pool_deadline(self) -> float:
        return (
            2 * self.deadline + 1
        )  # the first completion of a problem also waits for the gold query
