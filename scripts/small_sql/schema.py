"""Eight small databases invented for the project: their tables and columns.

Every database is a chain of three tables: an *owner* (such as ``store``), *items* of owners
(``product``) and *events* of items (``sale``). Column names are unique within a database, except
that a child's column has the name of the key it points to. Every number is a whole one below 100
and every text one lower-case word, so that a word-level vocabulary covers all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

COLORS = ("red", "blue", "green", "black", "white")
CITIES = ("oslo", "lima", "cairo", "kyoto", "porto", "quito")
DAYS = ("monday", "tuesday", "friday", "saturday", "sunday")
COUNTRIES = ("peru", "kenya", "japan", "chile", "norway", "egypt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: as in SQL.
        plural: as in questions.
        key: column of the primary key; values 1, 2, ...
        label: column of unique words that name a row; ``None`` for events.
        category: column of words, a few different ones.
        categories: the words.
        numbers: columns of numbers, each with its smallest and largest value.
        parent: key of the table above; ``None`` for owners.
        rows: how many.
    """

    name: str
    plural: str
    key: str
    label: str | None = None
    category: str
    categories: tuple[str, ...]
    numbers: Mapping[str, tuple[int, int]]
    parent: str | None = None
    rows: int

    @property
    def columns(self) -> dict[str, str]:
        """Name and SQL type of every column, in order."""
        names = {self.key: "integer primary key"}
        if self.label:
            names[self.label] = "text not null unique"
        names[self.category] = "text not null"
        names |= dict.fromkeys(self.numbers, "integer not null")
        if self.parent:
            names[self.parent] = "integer not null"
        return names


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """A chain of three tables; ``trained`` says whether reinforcement learning uses it."""

    name: str
    owner: Table
    item: Table
    event: Table
    trained: bool = True

    @property
    def tables(self) -> tuple[Table, Table, Table]:
        """Owners, items, events."""
        return self.owner, self.item, self.event


# Table, plural, key, label ("" for none), category, its words, numbers.
_Spec = tuple[str, str, str, str, str, tuple[str, ...], Mapping[str, tuple[int, int]]]


def _table(spec: _Spec, parent: str | None, rows: int) -> Table:
    name, plural, key, label, category, categories, numbers = spec
    return Table(
        name=name,
        plural=plural,
        key=key,
        label=label or None,
        category=category,
        categories=categories,
        numbers=numbers,
        parent=parent,
        rows=rows,
    )


def _database(
    name: str,
    owner: _Spec,
    item: _Spec,
    event: _Spec,
    *,
    rows: tuple[int, int, int],
    trained: bool = True,
) -> Database:
    return Database(
        name=name,
        owner=_table(owner, None, rows[0]),
        item=_table(item, owner[2], rows[1]),
        event=_table(event, item[2], rows[2]),
        trained=trained,
    )


_ALL = (
    _database(
        "shop",
        ("store", "stores", "sid", "sname", "city", CITIES, {"staff": (3, 30)}),
        (
            "product",
            "products",
            "pid",
            "pname",
            "color",
            COLORS,
            {"price": (5, 60), "weight": (1, 30)},
        ),
        ("sale", "sales", "saleid", "", "day", DAYS, {"quantity": (1, 15)}),
        rows=(20, 44, 60),
    ),
    _database(
        "library",
        ("author", "authors", "aid", "aname", "country", COUNTRIES, {"age": (25, 80)}),
        (
            "book",
            "books",
            "bid",
            "title",
            "genre",
            ("crime", "poetry", "drama", "travel", "comic"),
            {"chapters": (4, 40), "shelf": (1, 25)},
        ),
        ("loan", "loans", "loanid", "", "branch", CITIES, {"nights": (2, 30)}),
        rows=(22, 48, 60),
    ),
    _database(
        "school",
        (
            "teacher",
            "teachers",
            "tid",
            "tname",
            "subject",
            ("math", "art", "music", "latin", "sport"),
            {"salary": (30, 70)},
        ),
        (
            "pupil",
            "pupils",
            "uid",
            "uname",
            "hobby",
            ("chess", "piano", "tennis", "dance", "robots"),
            {"height": (50, 95), "absences": (0, 20)},
        ),
        (
            "exam",
            "exams",
            "examid",
            "",
            "term",
            ("spring", "summer", "autumn"),
            {"points": (10, 50)},
        ),
        rows=(20, 50, 60),
    ),
    _database(
        "clinic",
        (
            "doctor",
            "doctors",
            "did",
            "dname",
            "field",
            ("heart", "skin", "bones", "eyes", "teeth"),
            {"experience": (1, 35)},
        ),
        (
            "patient",
            "patients",
            "nid",
            "nname",
            "blood",
            ("a", "b", "ab", "o"),
            {"years": (5, 90), "fever": (36, 42)},
        ),
        ("visit", "visits", "visitid", "", "weekday", DAYS, {"minutes": (5, 55)}),
        rows=(20, 46, 60),
    ),
    _database(
        "airline",
        ("airport", "airports", "hid", "hname", "nation", COUNTRIES, {"gates": (2, 40)}),
        (
            "plane",
            "planes",
            "lid",
            "lname",
            "model",
            ("jet", "cargo", "glider", "shuttle"),
            {"seats": (20, 95), "mileage": (1, 50)},
        ),
        ("flight", "flights", "flightid", "", "target", CITIES, {"delay": (0, 45)}),
        rows=(20, 42, 60),
    ),
    _database(
        "music",
        (
            "band",
            "bands",
            "gid",
            "gname",
            "style",
            ("rock", "jazz", "folk", "techno", "soul"),
            {"members": (2, 14)},
        ),
        (
            "song",
            "songs",
            "zid",
            "zname",
            "mood",
            ("happy", "calm", "sad", "wild"),
            {"length": (2, 40), "rank": (1, 60)},
        ),
        ("concert", "concerts", "concertid", "", "town", CITIES, {"tickets": (10, 90)}),
        rows=(20, 45, 60),
    ),
    _database(
        "zoo",
        (
            "keeper",
            "keepers",
            "kid",
            "kname",
            "shift",
            ("early", "late", "night"),
            {"wage": (20, 60)},
        ),
        (
            "animal",
            "animals",
            "mid",
            "mname",
            "species",
            ("lion", "zebra", "otter", "panda", "eagle"),
            {"mass": (2, 90), "births": (0, 12)},
        ),
        (
            "feeding",
            "feedings",
            "feedid",
            "",
            "food",
            ("meat", "fruit", "fish", "hay"),
            {"portion": (1, 20)},
        ),
        rows=(20, 44, 60),
        trained=False,
    ),
    _database(
        "garage",
        (
            "driver",
            "drivers",
            "rid",
            "rname",
            "district",
            ("north", "south", "east", "west"),
            {"bonus": (0, 25)},
        ),
        (
            "car",
            "cars",
            "cid",
            "cname",
            "paint",
            COLORS,
            {"speed": (30, 99), "doors": (2, 9)},
        ),
        (
            "repair",
            "repairs",
            "repairid",
            "",
            "damage",
            ("brake", "motor", "tyre", "glass"),
            {"hours": (1, 40)},
        ),
        rows=(20, 46, 60),
        trained=False,
    ),
)
DATABASES: dict[str, Database] = {database.name: database for database in _ALL}
