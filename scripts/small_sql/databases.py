"""The rows of the small SQL task's databases, and their files."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

from small_sql.schema import DATABASES, Database

Row = tuple[int | str, ...]

# Labels are drawn from these pools; within a table each is used once.
FIRST = ("al", "bo", "ca", "du", "fe", "ga", "he", "jo", "ki", "lu")
SECOND = ("bar", "den", "fon", "lix", "mir", "nor", "pas", "rik", "sol", "tem")


def make_rows(database: Database) -> dict[str, list[Row]]:
    """Draw the rows of every table; the same on every machine."""
    rng = random.Random(f"small_sql {database.name}")
    labels = [first + second for first in FIRST for second in SECOND]
    made: dict[str, list[Row]] = {}
    above = 0
    for table in database.tables:
        names = rng.sample(labels, table.rows)
        # Children fall on parents unevenly, and on some not at all: counts and "none" are asked for.
        weights = [rng.random() ** 2 for _ in range(above)]
        rows = []
        for key in range(1, table.rows + 1):
            row: list[int | str] = [key]
            if table.label:
                row.append(names[key - 1])
            row.append(rng.choice(table.categories))
            row += [rng.randint(low, high) for low, high in table.numbers.values()]
            if table.parent:
                row += rng.choices(range(1, above + 1), weights)
            rows.append(tuple(row))
        made[table.name] = rows
        above = table.rows
    return made


def write_database(database: Database, connection: sqlite3.Connection) -> None:
    """Create the tables of a database and fill them."""
    rows = make_rows(database)
    parents: dict[str, str] = {}
    for table in database.tables:
        columns = [f"{name} {kind}" for name, kind in table.columns.items()]
        if table.parent:
            columns.append(f"foreign key ({table.parent}) references {parents[table.parent]}")
        parents[table.key] = f"{table.name} ({table.key})"
        connection.execute(f"create table {table.name} ({', '.join(columns)})")
        marks = ", ".join("?" * len(table.columns))
        connection.executemany(f"insert into {table.name} values ({marks})", rows[table.name])
    connection.commit()


def make_databases(folder: Path) -> Iterator[Path]:
    """Write every database below a folder, replacing what is there; yield the files."""
    for name, database in DATABASES.items():
        path = folder / name / f"{name}.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            # Small pages: the shipped files hold a few dozen rows a table.
            connection.execute("pragma page_size = 1024")
            write_database(database, connection)
        yield path


@cache
def in_memory(name: str) -> sqlite3.Connection:
    """Return a copy of a database in memory, made once a process."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    write_database(DATABASES[name], connection)
    return connection
