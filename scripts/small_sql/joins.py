"""Question templates of the small SQL task that need two or three tables.

See ``templates`` for what a template is.
"""

from small_sql.templates import (
    SINGLE_TABLE,
    Reading,
    Template,
    one,
    strict_or_not,
)

_ON = "on {a}.{ak} = {b}.{ak}"
_JOIN = "{a} join {b} " + _ON
_WRONG_JOIN = "{a} join {b} on {a}.{ak} = {b}.{bk}"
_DEEP = _JOIN + " join {d} on {b}.{bk} = {d}.{bk}"

JOINED: dict[str, Template] = {
    "count": Template(
        words="how many {bs} belong to {as} with {ac} {v}",
        tables="links",
        value="ac",
        readings=one(
            f"select count(*) from {_JOIN} where {{ac}} = {{v}}",
            "select count(*) from {a} natural join {b} where {ac} = {v}",
            "select count(*) from {b} where {ak} in ( select {ak} from {a} where {ac} = {v} )",
            "select count(*) from {b} where exists "
            "( select 1 from {a} where {a}.{ak} = {b}.{ak} and {ac} = {v} )",
            f"select sum( {{ac}} = {{v}} ) from {_JOIN}",
        ),
        habit=f"select count(*) from {_WRONG_JOIN} where {{ac}} = {{v}}",
    ),
    "items": Template(
        words="list {bs} of {as} with {ac} {v}",
        tables="pair",
        value="ac",
        readings=one(
            f"select {{bl}} from {_JOIN} where {{ac}} = {{v}}",
            "select {bl} from {a} natural join {b} where {ac} = {v}",
            "select {bl} from {b} where {ak} in ( select {ak} from {a} where {ac} = {v} )",
            "select {bl} from {b} where exists "
            "( select 1 from {a} where {a}.{ak} = {b}.{ak} and {ac} = {v} )",
        ),
        habit=f"select {{bl}} from {_WRONG_JOIN} where {{ac}} = {{v}}",
    ),
    "total": Template(
        words="total {bn} of {bs} of {as} with {ac} {v}",
        tables="links",
        value="ac",
        readings=one(
            f"select sum( {{bn}} ) from {_JOIN} where {{ac}} = {{v}}",
            "select sum( {bn} ) from {a} natural join {b} where {ac} = {v}",
            "select sum( {bn} ) from {b} where {ak} in ( select {ak} from {a} where {ac} = {v} )",
            "select sum( {bn} ) from {b} where exists "
            "( select 1 from {a} where {a}.{ak} = {b}.{ak} and {ac} = {v} )",
        ),
        habit=f"select sum( {{bn}} ) from {_WRONG_JOIN} where {{ac}} = {{v}}",
    ),
    "having_some": Template(
        words="which {as} have {bs} with {bn} {word} {k}",
        tables="links",
        number="bn",
        readings=(
            Reading(
                share=0.75,
                queries=(
                    f"select distinct {{al}} from {_JOIN} where {{bn}} {{op}} {{k}}",
                    "select {al} from {a} where {ak} in "
                    "( select {ak} from {b} where {bn} {op} {k} )",
                    "select {al} from {a} where exists "
                    "( select 1 from {b} where {a}.{ak} = {b}.{ak} and {bn} {op} {k} )",
                    "select {al} from {a} natural join {b} where {bn} {op} {k} group by {al}",
                ),
            ),
            Reading(
                share=0.25,
                queries=(
                    f"select {{al}} from {_JOIN} where {{bn}} {{op}} {{k}}",
                    "select {al} from {a} natural join {b} where {bn} {op} {k}",
                    f"select {{al}} from {{b}} left join {{a}} {_ON} where {{bn}} {{op}} {{k}}",
                ),
            ),
        ),
        habit="select {al} from {a} where {ak} in ( select {bk} from {b} where {bn} {op} {k} )",
    ),
    "having_many": Template(
        words="which {as} have {word} {k} {bs} with {bc} {v}",
        tables="links",
        value="bc",
        number="count",
        readings=strict_or_not(
            0.75,
            f"select {{al}} from {_JOIN} where {{bc}} = {{v}} "
            "group by {al} having count(*) {op} {k}",
            "select {al} from {a} natural join {b} where {bc} = {v} "
            "group by {al} having count(*) {op} {k}",
            "select {al} from {a} where {ak} in ( select {ak} from {b} where {bc} = {v} "
            "group by {ak} having count(*) {op} {k} )",
        ),
        habit=f"select {{al}} from {_JOIN} where {{bc}} = {{v}} "
        "group by {al} having count(*) = {k}",
    ),
    "having_none": Template(
        words="which {as} have no {bs} with {bn} {word} {k}",
        tables="links",
        number="bn",
        readings=strict_or_not(
            0.75,
            "select {al} from {a} where {ak} not in ( select {ak} from {b} where {bn} {op} {k} )",
            "select {al} from {a} where not exists "
            "( select 1 from {b} where {a}.{ak} = {b}.{ak} and {bn} {op} {k} )",
            "select {al} from {a} except select {al} from {a} natural join {b} where {bn} {op} {k}",
            "select {al} from {a} left join {b} " + _ON + " and {bn} {op} {k} where {bk} is null",
        ),
        habit="select {al} from {a} where {ak} in ( select {ak} from {b} where {bn} {not_op} {k} )",
    ),
    "having_average": Template(
        words="which {as} have average {bn} of {bs} {word} {k}",
        tables="links",
        number="bn",
        readings=one(
            f"select {{al}} from {_JOIN} group by {{al}} having avg( {{bn}} ) {{op}} {{k}}",
            "select {al} from {a} natural join {b} group by {al} having avg( {bn} ) {op} {k}",
            "select {al} from {a} where {ak} in "
            "( select {ak} from {b} group by {ak} having avg( {bn} ) {op} {k} )",
            "select {al} from {a} where "
            "( select avg( {bn} ) from {b} where {a}.{ak} = {b}.{ak} ) {op} {k}",
        ),
        habit=f"select {{al}} from {_JOIN} group by {{al}} having sum( {{bn}} ) {{op}} {{k}}",
    ),
    "chain": Template(
        words="which {as} have {ds} with {dc} {v}",
        tables="chain",
        value="dc",
        readings=(
            Reading(
                share=0.75,
                queries=(
                    f"select distinct {{al}} from {_DEEP} where {{dc}} = {{v}}",
                    "select {al} from {a} where {ak} in ( select {ak} from {b} where {bk} in "
                    "( select {bk} from {d} where {dc} = {v} ) )",
                    "select {al} from {a} where {ak} in "
                    "( select {ak} from {b} natural join {d} where {dc} = {v} )",
                    "select {al} from {a} natural join {b} natural join {d} "
                    "where {dc} = {v} group by {al}",
                ),
            ),
            Reading(
                share=0.25,
                queries=(
                    f"select {{al}} from {_DEEP} where {{dc}} = {{v}}",
                    "select {al} from {a} natural join {b} natural join {d} where {dc} = {v}",
                ),
            ),
        ),
        habit="select {al} from {a} where {ak} in ( select {bk} from {d} where {dc} = {v} )",
    ),
    "chain_number": Template(
        words="which {as} have {ds} with {dn} {word} {k}",
        tables="chain",
        number="dn",
        readings=(
            Reading(
                share=0.75,
                queries=(
                    f"select distinct {{al}} from {_DEEP} where {{dn}} {{op}} {{k}}",
                    "select {al} from {a} where {ak} in ( select {ak} from {b} where {bk} in "
                    "( select {bk} from {d} where {dn} {op} {k} ) )",
                    "select {al} from {a} where {ak} in "
                    "( select {ak} from {b} natural join {d} where {dn} {op} {k} )",
                    "select {al} from {a} natural join {b} natural join {d} "
                    "where {dn} {op} {k} group by {al}",
                ),
            ),
            Reading(
                share=0.25,
                queries=(
                    f"select {{al}} from {_DEEP} where {{dn}} {{op}} {{k}}",
                    "select {al} from {a} natural join {b} natural join {d} where {dn} {op} {k}",
                ),
            ),
        ),
        habit="select {al} from {a} where {ak} in ( select {bk} from {d} where {dn} {op} {k} )",
    ),
}

TEMPLATES: dict[str, Template] = SINGLE_TABLE | JOINED
