"""The kinds of word problems, by name."""

from polypath.tasks.word_problems.long_kinds import GIFTS, REST_OF_RATE, SORTS
from polypath.tasks.word_problems.short_kinds import (
    BOXES,
    CHANGE,
    LEFT,
    PRICE,
    RATE,
    SETS,
    SHARE,
)
from polypath.tasks.word_problems.writing import Kind

KINDS: dict[str, Kind] = {
    "rate": RATE,
    "left": LEFT,
    "change": CHANGE,
    "boxes": BOXES,
    "sets": SETS,
    "price": PRICE,
    "share": SHARE,
    "rest_of_rate": REST_OF_RATE,
    "gifts": GIFTS,
    "sorts": SORTS,
}
