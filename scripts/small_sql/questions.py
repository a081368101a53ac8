"""The questions of the small SQL task: templates filled in, checked against the data, and dealt out.

A question is kept if its queries give one and the same non-empty result, if that result is not the
one of another reading, and if enough different queries remain. So no question is right by not
looking, and every one can be answered in several ways. The reading a question means, its place in
the order and its part are functions of a hash of its template and literals.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from small_sql.databases import in_memory
from small_sql.joins import TEMPLATES
from small_sql.schema import DATABASES, Database, Table
from small_sql.templates import Reading, Template

Slots = dict[str, str]

# Share of the questions of a database dealt to each part, in percent.
PARTS = {"base": 70, "train": 15, "dev": 5, "test": 10}
MOST = 60  # questions of one template on one database
FEWEST_QUERIES = 2
NUMBERS = 14  # bounds tried a column: enough to fill the above, few enough to be quick

# What "over" and "under" stand for in queries.
_WORDS = {
    "over": {"op": ">", "not_op": "<=", "closed": ">=", "not_closed": "<", "reverse": "<"},
    "under": {"op": "<", "not_op": ">=", "closed": "<=", "not_closed": ">", "reverse": ">"},
}
_EXTREMES = {
    "highest": {"best": "max(", "order": "desc"},
    "lowest": {"best": "min(", "order": "asc"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question.

    Attributes:
        question_id: database, template and literals.
        database: name.
        template: key of ``TEMPLATES``.
        prompt: what the model reads.
        queries: all right; the first is the gold query.
        others: right under the other readings, and wrong under this question's.
        share: of the reading that the question means, in (0, 1].
        habit: a plausible mistake, right for almost no question.
        part: key of ``PARTS``.
    """

    question_id: str
    database: str
    template: str
    prompt: str
    queries: tuple[str, ...]
    others: tuple[str, ...]
    share: float
    habit: str
    part: str

    @property
    def split(self) -> str:
        """The split of the task that the question is in.

        It is the part, except that ``test_ood`` holds what is not ``base`` of the databases that
        reinforcement learning does not use.
        """
        if self.part == "base" or DATABASES[self.database].trained:
            return self.part
        return "test_ood"


def draw(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


@lru_cache(maxsize=1 << 14)
def result_of(database: str, query: str) -> frozenset[tuple[tuple[object, ...], int]] | None:
    """Return the rows of a query with how often each comes; ``None`` if it is no SQL.

    The order of rows is left out: no question asks for one.
    """
    try:
        rows = in_memory(database).execute(query).fetchall()
    except sqlite3.Error:
        return None
    return frozenset(Counter(rows).items())


def _part_of(question_id: str) -> str:
    left = draw(f"part {question_id}") * 100
    for part, percent in PARTS.items():
        if left < percent:
            return part
        left -= percent
    raise AssertionError("PARTS must sum to 100")


def _roles(tables: str, database: Database) -> Iterator[dict[str, Table]]:
    """Yield which tables play a, b and d."""
    owner, item, event = database.tables
    if tables == "single":
        yield {"b": owner}
        yield {"b": item}
    elif tables == "pair":
        yield {"a": owner, "b": item}
    elif tables == "links":
        yield {"a": owner, "b": item}
        yield {"a": item, "b": event}
    else:
        yield {"a": owner, "b": item, "d": event}


def _names(roles: Mapping[str, Table]) -> Slots:
    """Return the slots that roles fill in, save numbers."""
    slots: Slots = {}
    for role, table in roles.items():
        slots |= {
            role: table.name,
            f"{role}s": table.plural,
            f"{role}k": table.key,
            f"{role}l": table.label or "",
            f"{role}c": table.category,
        }
    return slots


def _bounds(table: Table, column: str, database: Database) -> list[int]:
    """Return values of a number column to compare with, all of them present in the data."""
    rows = in_memory(database.name).execute(
        f"select distinct {column} from {table.name} order by {column}"
    )
    values = [value for (value,) in rows][1:-1]
    step = max(1, len(values) // NUMBERS)
    return values[::step]


def _numbers(template: Template, roles: Mapping[str, Table], database: Database) -> list[Slots]:
    """Return every filling of the number slots."""
    role = "d" if template.number == "dn" else "b"
    table = roles[role]
    if template.number == "count":
        return [{"k": str(k), "word": word} for k in (1, 2, 3) for word in _WORDS]
    filled = []
    for column in table.numbers:
        column_slot = {f"{role}n": column}
        if template.number == "between":
            bounds = _bounds(table, column, database)
            filled += [
                {**column_slot, "j": str(low), "k": str(high)}
                for i, low in enumerate(bounds)
                for high in bounds[i + 2 :: 2]
            ]
        elif template.number:
            filled += [
                {**column_slot, "k": str(bound), "word": word}
                for bound in _bounds(table, column, database)
                for word in _WORDS
            ]
        elif "{word}" in template.words:
            filled += [{**column_slot, "word": word} for word in _WORDS]
        elif "{extreme}" in template.words:
            filled += [{**column_slot, "extreme": extreme} for extreme in _EXTREMES]
        elif f"{{{role}n}}" in template.words:
            filled.append(column_slot)
    return filled or [{}]


def _fillings(template: Template, database: Database) -> Iterator[Slots]:
    """Yield every filling of a template's slots for a database."""
    for roles in _roles(template.tables, database):
        values: tuple[str, ...] = ("",)
        if template.value:
            values = roles[template.value[0]].categories
        for value in values:
            for numbers in _numbers(template, roles, database):
                slots = _names(roles) | numbers
                slots["v"] = f"'{value}'"
                slots |= _WORDS.get(slots.get("word", ""), {})
                slots |= _EXTREMES.get(slots.get("extreme", ""), {})
                yield slots


def _meant(question_id: str, readings: tuple[Reading, ...]) -> int:
    left = draw(f"reading {question_id}")
    for number, reading in enumerate(readings):
        if left < reading.share:
            return number
        left -= reading.share
    return len(readings) - 1


def _make(name: str, template: Template, database: Database, slots: Slots) -> Question | None:
    """Fill in one question; ``None`` if the data make it a poor one."""
    words = template.words.format(**slots)
    question_id = f"{database.name} {name} {words}".replace(" ", "-").replace("'", "")
    chosen = _meant(question_id, template.readings)
    meant = template.readings[chosen]
    queries = [query.format(**slots) for query in meant.queries]
    gold = result_of(database.name, queries[0])
    if not gold or _is_trivial(gold):
        return None
    queries += [
        query
        for query in (text.format(**slots) for text in meant.tied)
        if result_of(database.name, query) == gold
    ]
    others = [
        query.format(**slots)
        for number, reading in enumerate(template.readings)
        if number != chosen
        for query in reading.queries
    ]
    habit = template.habit.format(**slots)
    if len(queries) < FEWEST_QUERIES or result_of(database.name, habit) == gold:
        return None
    if any(result_of(database.name, query) == gold for query in others):
        return None
    return Question(
        question_id=question_id,
        database=database.name,
        template=name,
        prompt=f"{database.name} : {words} ? :",
        queries=tuple(queries),
        others=tuple(others),
        share=meant.share,
        habit=habit,
        part=_part_of(question_id),
    )


def _is_trivial(gold: frozenset[tuple[tuple[object, ...], int]]) -> bool:
    """Whether a result is one that queries give by chance: nothing, none or one."""
    return any(gold == {((value,), 1)} for value in (None, 0, 1))


def _questions_of(database: str) -> list[Question]:
    """Return all questions on a database."""
    kept: list[Question] = []
    for name, template in TEMPLATES.items():
        fillings = sorted(
            _fillings(template, DATABASES[database]),
            key=lambda slots: draw(f"order {database} {name} {sorted(slots.items())}"),
        )
        made = (_make(name, template, DATABASES[database], slots) for slots in fillings)
        found = [question for question in made if question is not None]
        kept += found[:MOST]
    return kept


@cache
def all_questions() -> tuple[Question, ...]:
    """Return every question in the order of the splits, which is a random one fixed by a hash."""
    questions = [question for database in DATABASES for question in _questions_of(database)]
    return tuple(sorted(questions, key=lambda question: draw(f"place {question.question_id}")))
