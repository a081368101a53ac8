"""The names in a parsed query, made the same whatever its author called things. Needs sqlglot."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from polypath.verify.sql_schema import Schema

if TYPE_CHECKING:
    Node = exp.Expr  # the class of all of sqlglot's nodes

MAX_COPIES = 30
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
# SQLite's words that cannot be a name without quotes.
_RESERVED_WORDS = """
add all alter and as autoincrement between case check collate commit constraint create default
deferrable delete distinct drop else escape except exists foreign from group having in index
insert intersect into is isnull join limit not notnull null on or order primary references
returning select set table then to transaction union unique update using values when where
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


def canonical_names(tree: Node, schema: Schema | None) -> None:
    """Rename in place; what is done is listed in ``sql_canonical``."""
    nodes = [*tree.walk(bfs=False)]
    # The order matters: names are compared in lower case, and columns take the names of tables.
    _lower_names(nodes)
    _texts_in_double_quotes(nodes, schema)
    scopes = _rename_sources(nodes, schema)
    _qualify_columns(nodes, scopes)
    _drop_unused_aliases(nodes)
    _drop_result_names(tree, schema)


@dataclass
class Scope:
    """The tables that one SELECT reads.

    Attributes:
        names: new name by alias (or name, if there is none), in lower case.
        columns: columns by new name; ``None`` for a source whose columns are not known.
    """

    names: dict[str, str] = field(default_factory=dict)
    columns: dict[str, frozenset[str] | None] = field(default_factory=dict)


def _lower_names(nodes: list[Node]) -> None:
    """Write every name in lower case, in quotes only where it needs them.

    A lone name in double quotes may be a text, which ``_texts_in_double_quotes`` decides.
    """
    for node in nodes:
        if isinstance(node, exp.Identifier) and not _may_be_text(node):
            _lower(node)


def _lower(name: exp.Identifier) -> None:
    text = name.name.lower()
    name.set("this", text)
    name.set("quoted", not _PLAIN_NAME.fullmatch(text) or text in _RESERVED)


def _may_be_text(name: exp.Identifier) -> bool:
    column = name.parent
    return bool(name.args.get("quoted")) and isinstance(column, exp.Column) and not column.table


def _texts_in_double_quotes(nodes: list[Node], schema: Schema | None) -> None:
    """Turn ``"France"`` into ``'France'`` where no column has that name, as SQLite reads it.

    Without a schema such a name stays as it is written, case and quotes.
    """
    if schema is None:
        return
    known = {found.alias.lower() for found in nodes if isinstance(found, exp.Alias)}
    known |= {
        name.name.lower()
        for found in nodes
        if isinstance(found, exp.TableAlias)
        for name in found.args.get("columns") or ()
    }
    for node in nodes:
        if not isinstance(node, exp.Identifier) or not _may_be_text(node):
            continue
        if node.name.lower() in schema.every_column or node.name.lower() in known:
            _lower(node)
        elif node.parent is not None:
            node.parent.replace(exp.Literal.string(node.name))


def _sources(select: Node) -> Iterator[Node]:
    """Yield the tables and subqueries in FROM, from left to right."""
    start = select.args.get("from_") or select.args.get("from")
    for clause in (start, *(select.args.get("joins") or ())):
        if clause is not None:
            yield clause.this
            for join in clause.this.args.get("joins") or ():
                yield join.this


def _rename_sources(nodes: list[Node], schema: Schema | None) -> dict[int, Scope]:
    """Give every table, subquery and common table expression its canonical name."""
    shared = _rename_ctes(nodes)
    selects = [node for node in nodes if isinstance(node, exp.Select)]
    tables = [
        source for select in selects for source in _sources(select) if isinstance(source, exp.Table)
    ]
    times = Counter(table.name for table in tables)
    seen: Counter[str] = Counter()
    scopes: dict[int, Scope] = {}
    subqueries = 0
    for select in selects:
        scope = scopes[id(select)] = Scope()
        for source in _sources(select):
            alias = source.alias_or_name.lower()
            if isinstance(source, exp.Table):
                name = shared.get(source.name, source.name)
                seen[source.name] += 1
                new = name if times[source.name] == 1 else f"{name}_{seen[source.name]}"
                if source.name in shared:
                    source.this.set("this", name)
                _set_alias(source, None if new == name else new)
                known = None if source.name in shared else schema
                scope.columns[new] = known.columns.get(name) if known else None
            else:
                subqueries += 1
                new = f"subquery_{subqueries}"
                _set_alias(source, new)
                scope.columns[new] = None
            scope.names[alias] = new
    return scopes


def _rename_ctes(nodes: list[Node]) -> dict[str, str]:
    """Number the common table expressions; return new names by old ones."""
    ctes = [node for node in nodes if isinstance(node, exp.CTE)]
    if len({cte.alias.lower() for cte in ctes}) < len(ctes):
        return {cte.alias.lower(): cte.alias.lower() for cte in ctes}  # shadowing: leave them
    names = {cte.alias.lower(): f"cte_{number}" for number, cte in enumerate(ctes, start=1)}
    for cte in ctes:
        cte.args["alias"].this.set("this", names[cte.alias.lower()])
    return names


def _set_alias(source: Node, alias: str | None) -> None:
    old = source.args.get("alias")
    if alias is None and not (isinstance(old, exp.TableAlias) and old.args.get("columns")):
        source.set("alias", None)
    elif isinstance(old, exp.TableAlias):
        old.set("this", exp.to_identifier(alias or source.name))
    else:
        source.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))


def _enclosing(node: Node, scopes: dict[int, Scope]) -> Iterator[Scope]:
    """Yield the scopes a column is looked up in, from the inside out."""
    parent = node.parent
    while parent is not None:
        scope = scopes.get(id(parent))
        if scope is not None:
            yield scope
        parent = parent.parent


def _qualify_columns(nodes: list[Node], scopes: dict[int, Scope]) -> None:
    """Name the table of each column where there are several, and only there."""
    for node in nodes:
        if not isinstance(node, exp.Column):
            continue
        table, innermost = node.table.lower(), True
        for scope in _enclosing(node, scopes):
            new = scope.names.get(table) if table else _owner(node, scope)
            if new is not None:
                lone = innermost and len(scope.names) == 1
                node.set("table", None if lone else exp.to_identifier(new))
                break
            if not table and (None in scope.columns.values() or len(scope.names) == 1):
                break  # it may belong here: leave it as it is written
            innermost = False


def _drop_unused_aliases(nodes: list[Node]) -> None:
    """Drop the alias of every source that no column names."""
    used = {node.table for node in nodes if isinstance(node, exp.Column)}
    for select in nodes:
        for source in _sources(select) if isinstance(select, exp.Select) else ():
            alias = source.args.get("alias")
            if alias is not None and alias.name not in used and not alias.args.get("columns"):
                source.set("alias", None)


def _owner(column: exp.Column, scope: Scope) -> str | None:
    """Return the only source of a scope that has this column, if all columns are known."""
    if isinstance(column.this, exp.Star) or None in scope.columns.values():
        return None
    name = column.name.lower()
    owners = [new for new, columns in scope.columns.items() if columns and name in columns]
    return owners[0] if len(owners) == 1 else None


def _drop_result_names(tree: Node, schema: Schema | None) -> None:
    """Drop the names of the result columns of the outermost query, which no comparison reads.

    ORDER BY such a name or by position becomes ORDER BY the expression, and so does GROUP BY by
    position. Elsewhere a column of that name would come first: there a name becomes its expression
    if the schema has no such column, and otherwise all names stay.
    """
    if not isinstance(tree, exp.Select):
        return
    columns = tree.expressions
    named = {
        column.alias.lower(): column.this for column in columns if isinstance(column, exp.Alias)
    }
    starred = any(column.is_star for column in columns)
    order, group = tree.args.get("order"), tree.args.get("group")
    terms = [term for term in order.expressions if term.this is not None] if order else []
    groups = group.expressions if group else []
    uses = _uses(tree, named)
    # Each use is a copy of an expression: not too many, or a short query makes a long text.
    if len(terms) + len(groups) + len(uses) > MAX_COPIES:
        return
    meanings = [_meant(term.this, columns, named, starred=starred) for term in terms]
    if any(meant is not None and _is_constant(meant) for meant in meanings):
        return  # ORDER BY 3 would mean the third column
    for term in groups:
        meant = _meant(term, columns, {}, starred=starred)
        if meant is not None and not _is_constant(meant):
            term.replace(meant.copy())
    direct = {id(term.this) for term in terms}
    if not all(_inline(use, tree, named, schema) for use in uses if id(use) not in direct):
        return
    for term, meant in zip(terms, meanings, strict=True):
        if meant is not None:
            term.set("this", meant.copy())
    tree.set("expressions", [column.unalias() for column in columns])


def _uses(tree: Node, named: dict[str, Node]) -> list[exp.Column]:
    """Return the columns that may mean a result column, but for ``name AS name``.

    Within the list of result columns a name never means another of them.
    """
    if not named:
        return []
    listed = {id(node) for column in tree.expressions for node in column.find_all(exp.Column)}
    found = []
    for column in tree.find_all(exp.Column):
        if id(column) in listed:
            continue
        owner = named.get(column.name.lower())
        if owner is None or column.table:
            continue
        if not isinstance(owner, exp.Column) or owner.name.lower() != column.name.lower():
            found.append(column)
    return found


def _inline(use: exp.Column, tree: Node, named: dict[str, Node], schema: Schema | None) -> bool:
    """Put the expression for the name of a result column; say whether it was certain and done."""
    name = use.name.lower()
    if schema is None or name in schema.every_column or use.parent_select is not tree:
        return False
    meant = named[name].copy()
    use.replace(
        meant if isinstance(meant, exp.Column | exp.Func | exp.Literal) else exp.Paren(this=meant)
    )
    return True


def _is_constant(node: Node) -> bool:
    return node.find(exp.Column, exp.Func, exp.Query) is None


def _meant(
    term: Node,
    columns: list[Node],
    named: dict[str, Node],
    *,
    starred: bool,
) -> Node | None:
    """Return the result column that a term of ORDER BY stands for."""
    if isinstance(term, exp.Column) and not term.table:
        return named.get(term.name.lower())
    if isinstance(term, exp.Literal) and not term.is_string and term.name.isdecimal():
        place = int(term.name)
        if not starred and 1 <= place <= len(columns):
            return columns[place - 1].unalias()
    return None
