"""Make the small SQL task's databases and questions: `python scripts/make_small_sql.py [FOLDER]`.

The rows and the questions are the same on every machine. The bytes of the files may differ between
versions of SQLite and zlib.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from polypath.tasks.small_sql import DATA, DATABASES, QUESTIONS
from small_sql.databases import make_databases
from small_sql.questions import all_questions


def question_lines() -> Iterator[str]:
    """Yield every question as a line of the shipped file; of its queries, the gold one."""
    for question in all_questions():
        record = {
            "split": question.split,
            "problem_id": question.question_id,
            "prompt": question.prompt,
            "db_id": question.database,
            "template": question.template,
            "query": question.queries[0],
        }
        yield json.dumps(record) + "\n"


def write_questions(path: Path) -> None:
    """Write the questions; no time stamp, so that the same questions give the same bytes."""
    path.write_bytes(gzip.compress("".join(question_lines()).encode(), mtime=0))


def main() -> None:
    """Write every file and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=DATA)
    folder = parser.parse_args().folder
    written = list(make_databases(folder / DATABASES.relative_to(DATA)))
    written.append(folder / QUESTIONS.relative_to(DATA))
    write_questions(written[-1])
    for path in written:
        print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
