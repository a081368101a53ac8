"""Rows that could not be read: how many for each reason, and where the first of them are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeVar

_T = TypeVar("_T")
PLACES = 3  # number of rows that are named for each reason


class UnusableError(Exception):
    """A row cannot be used. The message is the reason under which it is counted."""


class Place(NamedTuple):
    """The place of a row, such as line 7 of run.jsonl."""

    unit: str
    number: int | str
    file: str

    def __str__(self) -> str:
        return f"{self.unit} {self.number} of {self.file}"


class LeftOut(Counter[str]):
    """Reason -> number of rows that could not be used.

    Attributes:
        places: reason -> places of the first ``PLACES`` rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, tuple[str, ...]] = {}

    def add(self, reason: str, place: object = None, count: int = 1) -> None:
        """Count rows; ``place`` is the place of the first of them."""
        self[reason] += count
        if place is not None:
            self._place(reason, [str(place)])

    def attempt(self, place: Place, make: Callable[..., _T], *arguments: Any) -> _T | None:
        """Return the result of ``make`` for a row. If the row is unusable, count it and return ``None``."""
        try:
            return make(*arguments)
        except UnusableError as reason:
            self.add(str(reason), place)
        except RecursionError:
            self.add("nested too deeply", place)
        return None

    def join(self, counts: Mapping[str, int], places: Mapping[str, Sequence[str]]) -> Self:
        """Add rows that were left out elsewhere."""
        self.update(counts)
        for reason, found in places.items():
            self._place(reason, found)
        return self

    def _place(self, reason: str, places: Sequence[str]) -> None:
        self.places[reason] = (*self.places.get(reason, ()), *places)[:PLACES]


def tell_left_out(counts: Mapping[str, int], places: Mapping[str, Sequence[str]]) -> str:
    """Say how many rows were left out for each reason, and where the first of them are."""
    told = []
    for reason, count in counts.items():
        where = ", ".join(places.get(reason, ()))
        more = ", ..." if where and count > len(places[reason]) else ""
        told += [f"{count:,} {reason}{f' ({where}{more})' if where else ''}"] if count else []
    return "; ".join(told)
