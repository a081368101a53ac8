"""Question templates of the small SQL task: words, readings, ways to write each, and a mistake.

A template is text with slots. ``b`` is the table asked about, ``a`` the one above it, ``d`` the one
below; ``{b}`` is the table's name, ``{bs}`` its plural, ``{bk}`` its key, ``{bl}`` its label,
``{bc}`` its category column and ``{bn}`` a number column; ``{v}`` is a category value and ``{k}`` (and
``{j}``) a number.

Questions in words leave things open, as annotated questions of real data sets do: does "over 20"
include 20, is a value listed once or once a row? Such a template has several *readings* with
shares; which one a question means is fixed by a hash of it, and shows in the result only. Within a
reading, all the queries are right, and they differ in structure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a question can mean: its share, and queries that are right if it means this.

    ``queries`` always agree. ``tied`` are right unless there is a tie or an empty group; a question
    keeps those of them that give the right result on its database.
    """

    share: float
    queries: tuple[str, ...]
    tied: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """One kind of question.

    Attributes:
        words: the question.
        tables: "single" (b an owner or an item), "item" (b an item), "pair" (a owner, b item),
            "links" (also a item, b event), or "chain" (a, b, d all three).
        value: column of which ``{v}`` is a value: "ac", "bc", "dc"; empty for none.
        number: column of which ``{k}`` is a value: "bn", "between" (``{j}`` too), or "count"
            (1 to 3); empty for none.
        readings: what it can mean.
        habit: a plausible mistake, right for almost no question.
    """

    words: str
    tables: str
    value: str = ""
    number: str = ""
    readings: tuple[Reading, ...]
    habit: str


def one(*queries: str, tied: tuple[str, ...] = ()) -> tuple[Reading, ...]:
    """One reading of everything."""
    return (Reading(share=1.0, queries=queries, tied=tied),)


def strict_or_not(share: float, *queries: str) -> tuple[Reading, ...]:
    """Two readings of a bound: without the bound itself, with that share, or with it."""
    closed = tuple(
        query.replace("{op}", "{closed}").replace("{not_op}", "{not_closed}") for query in queries
    )
    return (
        Reading(share=share, queries=queries),
        Reading(share=1 - share, queries=closed),
    )


_KEPT = "( select * from {b} where {bn} {op} {k} )"
_CHOSEN = "( select * from {b} where {bc} = {v} )"
_AVERAGE = "( select avg( {bn} ) from {b} )"
_OWN_AVERAGE = "( select avg( {bn} ) from {b} where {bc} = {v} )"
_BEST = "( select {best} {bn} ) from {b} where {bc} = {v} )"
_LAST = "order by {bn} {order} limit 1"

SINGLE_TABLE: dict[str, Template] = {
    "bound": Template(
        words="list {bs} with {bn} {word} {k}",
        tables="single",
        number="bn",
        readings=strict_or_not(
            0.75,
            "select {bl} from {b} where {bn} {op} {k}",
            "select {bl} from {b} where {bk} in ( select {bk} from {b} where {bn} {op} {k} )",
            "select {bl} from {b} except select {bl} from {b} where {bn} {not_op} {k}",
            "select {bl} from {b} where {bk} not in ( select {bk} from {b} where {bn} {not_op} {k} )",
            f"select {{bl}} from {_KEPT}",
        ),
        habit="select {bl} from {b} where {bn} {reverse} {k}",
    ),
    "both": Template(
        words="list {v} {bs} with {bn} {word} {k}",
        tables="single",
        value="bc",
        number="bn",
        readings=strict_or_not(
            0.75,
            "select {bl} from {b} where {bc} = {v} and {bn} {op} {k}",
            "select {bl} from {b} where {bc} = {v} intersect select {bl} from {b} where {bn} {op} {k}",
            "select {bl} from {b} where {bc} = {v} except select {bl} from {b} where {bn} {not_op} {k}",
            f"select {{bl}} from {_CHOSEN} where {{bn}} {{op}} {{k}}",
        ),
        habit="select {bl} from {b} where {bc} = {v} or {bn} {op} {k}",
    ),
    "between": Template(
        words="list {bs} with {bn} between {j} and {k}",
        tables="single",
        number="between",
        readings=(
            Reading(
                share=0.75,
                queries=(
                    "select {bl} from {b} where {bn} between {j} and {k}",
                    "select {bl} from {b} where {bn} >= {j} and {bn} <= {k}",
                    "select {bl} from {b} where {bn} >= {j} intersect "
                    "select {bl} from {b} where {bn} <= {k}",
                    "select {bl} from {b} where {bn} >= {j} except "
                    "select {bl} from {b} where {bn} > {k}",
                ),
            ),
            Reading(
                share=0.25,
                queries=(
                    "select {bl} from {b} where {bn} > {j} and {bn} < {k}",
                    "select {bl} from {b} where {bn} > {j} intersect "
                    "select {bl} from {b} where {bn} < {k}",
                    "select {bl} from {b} where {bn} > {j} except "
                    "select {bl} from {b} where {bn} >= {k}",
                ),
            ),
        ),
        habit="select {bl} from {b} where {bn} >= {j} or {bn} <= {k}",
    ),
    "best": Template(
        words="which {v} {bs} have the {extreme} {bn}",
        tables="single",
        value="bc",
        readings=one(
            f"select {{bl}} from {{b}} where {{bc}} = {{v}} and {{bn}} = {_BEST}",
            "select {bl} from {b} where {bc} = {v} and {bn} in "
            f"( select {{bn}} from {{b}} where {{bc}} = {{v}} {_LAST} )",
            f"select {{bl}} from {_CHOSEN} where {{bn}} = {_BEST}",
            tied=(
                f"select {{bl}} from {{b}} where {{bc}} = {{v}} {_LAST}",
                f"select {{bl}} from {_CHOSEN} {_LAST}",
            ),
        ),
        habit="select {bl} from {b} where {bc} = {v} and {bn} = ( select {best} {bn} ) from {b} )",
    ),
    "average": Template(
        words="list {v} {bs} with {bn} {word} average",
        tables="single",
        value="bc",
        readings=(
            Reading(
                share=0.7,
                queries=(
                    f"select {{bl}} from {{b}} where {{bc}} = {{v}} and {{bn}} {{op}} {_AVERAGE}",
                    f"select {{bl}} from {_CHOSEN} where {{bn}} {{op}} {_AVERAGE}",
                    f"select {{bl}} from {{b}} where {{bn}} {{op}} {_AVERAGE} intersect "
                    "select {bl} from {b} where {bc} = {v}",
                ),
            ),
            Reading(
                share=0.3,
                queries=(
                    "select {bl} from {b} where {bc} = {v} and {bn} {op} " + _OWN_AVERAGE,
                    f"select {{bl}} from {_CHOSEN} where {{bn}} {{op}} {_OWN_AVERAGE}",
                ),
            ),
        ),
        habit=f"select {{bl}} from {{b}} where {{bn}} {{op}} {_AVERAGE}",
    ),
    "values": Template(
        words="which {bc} do {bs} with {bn} {word} {k} have",
        tables="single",
        number="bn",
        readings=(
            Reading(
                share=0.75,
                queries=(
                    "select distinct {bc} from {b} where {bn} {op} {k}",
                    "select {bc} from {b} where {bn} {op} {k} group by {bc}",
                    "select {bc} from {b} intersect select {bc} from {b} where {bn} {op} {k}",
                    f"select distinct {{bc}} from {_KEPT}",
                ),
            ),
            Reading(
                share=0.25,
                queries=(
                    "select {bc} from {b} where {bn} {op} {k}",
                    f"select {{bc}} from {_KEPT}",
                    "select {bc} from {b} where {bk} in "
                    "( select {bk} from {b} where {bn} {op} {k} )",
                ),
            ),
        ),
        habit="select distinct {bl} from {b} where {bn} {op} {k}",
    ),
    "per_group": Template(
        words="count {bs} with {bn} {word} {k} per {bc}",
        tables="single",
        number="bn",
        readings=(
            Reading(
                share=0.75,
                queries=(
                    "select {bc} , count(*) from {b} where {bn} {op} {k} group by {bc}",
                    f"select {{bc}} , count(*) from {_KEPT} group by {{bc}}",
                ),
                tied=("select {bc} , sum( {bn} {op} {k} ) from {b} group by {bc}",),
            ),
            Reading(
                share=0.25,
                queries=(
                    "select count(*) from {b} where {bn} {op} {k} group by {bc}",
                    f"select count(*) from {_KEPT} group by {{bc}}",
                ),
                tied=("select sum( {bn} {op} {k} ) from {b} group by {bc}",),
            ),
        ),
        habit="select {bc} , count(*) from {b} group by {bc}",
    ),
}
