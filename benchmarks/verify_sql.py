"""Speed of the text-to-SQL verifier, in a pool of workers and called directly.

The same rows and way of timing as verify.py. Every query text is new (a comment numbers it),
so no verdict and no canonical text comes out of a cache; the results of gold queries do, as they
do in training.

    python benchmarks/verify_sql.py --out benchmarks/results/verify_sql.json
    python benchmarks/verify_sql.py --data DIR     # and Spider's, of DIR/spider
"""

import itertools
import json
import os
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import environment
from results_file import finish, in_turns
from verify import arguments, bars, table

from polypath.verify.pool import WorkerPool
from polypath.verify.sql import sql_verifier

ENOUGH = 2000  # queries a second, with two workers
SQL = "polypath.verify.sql:sql_verifier"
NUMBER = itertools.count()
TABLES = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INTEGER);
CREATE TABLE concert (id INTEGER PRIMARY KEY, singer_id INTEGER, year INTEGER);
"""
QUERIES = [
    "SELECT count(*) FROM singer",
    "SELECT name, age FROM singer WHERE country = 'c3' ORDER BY age DESC",
    "SELECT country, count(*) FROM singer GROUP BY country HAVING count(*) > 1",
    "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id WHERE T2.year = 7",
    "SELECT name FROM singer WHERE id NOT IN (SELECT singer_id FROM concert WHERE year > 3)",
    "SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer)",
    "SELECT age FROM singer WHERE country = 'c1' INTERSECT SELECT age FROM singer WHERE id < 50",
]


def generated(folder: Path) -> list[tuple[str, str]]:
    """Write a database of 300 rows and return its questions, as ids and queries."""
    (folder / "music").mkdir()
    connection = sqlite3.connect(folder / "music" / "music.sqlite")
    connection.executescript(TABLES)
    singers = [(i, f"n{i}", f"c{i % 7}", 20 + i % 50) for i in range(100)]
    connection.executemany("INSERT INTO singer VALUES (?, ?, ?, ?)", singers)
    concerts = [(i, i * 7 % 100, i % 10) for i in range(200)]
    connection.executemany("INSERT INTO concert VALUES (?, ?, ?)", concerts)
    connection.commit()
    connection.close()
    return [("music", query) for query in QUERIES]


def pairs(
    questions: list[tuple[str, str]], rng: random.Random, answers: int
) -> list[tuple[str, str]]:
    """Query and gold, half of them the query of another question on the same database."""
    found = []
    for _ in range(answers):
        db_id, query = rng.choice(questions)
        others = [other for other in questions if other[0] == db_id]
        written = query if rng.random() < 0.5 else rng.choice(others)[1]
        found.append((written.rstrip("; "), json.dumps({"db_id": db_id, "query": query})))
    return found


def fresh(texts: list[str]) -> list[str]:
    return [f"{text} -- {next(NUMBER)}" for text in texts]


def processor_seconds(pids: list[int]) -> float:
    """Processor time that processes have taken so far (Linux)."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def sql_rows(
    folder: Path, questions: list[tuple[str, str]], what: str, options: Any
) -> list[dict[str, Any]]:
    answers, repeats = options.answers, options.repeats
    verified = pairs(questions, random.Random(0), answers)
    texts, golds = [pair[0] for pair in verified], [pair[1] for pair in verified]
    where = {"databases": str(folder)}
    verifier = sql_verifier(**where)

    def direct() -> list[Any]:
        return [verifier(text, gold) for text, gold in zip(fresh(texts), golds, strict=True)]

    with (
        WorkerPool(SQL, options=where, workers=1) as one,
        WorkerPool(SQL, options=where, workers=2) as two,
    ):
        for pool in (one, two):  # start the processes, run the gold queries
            pool.verify(fresh(texts), golds)
        right = sum(verdict.correct for verdict in direct())
        processor: list[float | None] = [None, None, None]  # seconds of all processes, per query
        for place, pids, call in (
            (0, [os.getpid()], direct),
            (2, [os.getpid(), *two.worker_pids], lambda: two.verify(fresh(texts), golds)),
        ):
            start = processor_seconds(pids)
            for _ in range(repeats):
                call()
            processor[place] = (processor_seconds(pids) - start) / answers / repeats
        times = in_turns(
            [
                direct,
                lambda: one.verify(fresh(texts), golds),
                lambda: two.verify(fresh(texts), golds),
            ],
            repeats,
            time.perf_counter,
        )
    return table(what, times, right, answers, processor_seconds=processor)


def main() -> None:
    options = arguments(__doc__)
    machine = environment("sqlglot")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = sql_rows(folder, generated(folder), "SQL, generated queries", options)
    if options.data:
        lines = (options.data / "spider" / "dev.jsonl").read_text(encoding="utf-8").splitlines()
        read = [json.loads(line) for line in lines]
        questions = [(row["db_id"], row["query"]) for row in read]
        rows += sql_rows(options.data / "spider" / "database", questions, "SQL, Spider", options)
    finish(
        options.out,
        benchmark="verify_sql",
        environment=machine,
        settings={"answers": options.answers},
        rows=rows,
        bars=bars(rows, ENOUGH),
    )


if __name__ == "__main__":
    main()
