"""Make the names in a parsed query independent of its author's choices. Needs sqlglot."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from polypath.verify.sql_schema import ROW_IDS, Schema, folded

if TYPE_CHECKING:
    Node = exp.Expr  # the class of all of sqlglot's nodes

MAX_COPIES = 30
_PLAIN_NAME = re.compile(r"[a-z_\x80-\U0010ffff][a-z0-9_$\x80-\U0010ffff]*")
# SQLite's words that cannot be a name without quotes.
_RESERVED_WORDS = """
add all alter and as autoincrement between case check collate commit constraint create default
deferrable delete distinct drop else escape except exists foreign from group having in index
insert intersect into is isnull join limit not notnull null on or order primary references
returning select set table then to transaction union unique update using values when where
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


def canonical_names(
    tree: Node, nodes: list[Node], schema: Schema | None, sure: Collection[str]
) -> None:
    """Rename in place; ``sql_canonical`` lists the changes.

    Args:
        tree: the query.
        nodes: all its nodes, parents before children.
        schema: the database's, if known.
        sure: lower-case names that the query has in brackets or backticks. The tree has them in
            double quotes, but SQLite never reads them as text.

    Raises:
        ValueError: names that SQLite does not find, or ambiguous names.
    """
    # The order matters: names are compared in lower case, and columns use the tables' new names.
    for node in nodes:
        if isinstance(node, exp.Identifier) and not _may_be_text(node):
            _lower(node)
        elif isinstance(node, exp.Ordered):
            node.set("this", node.this.unnest())
    scopes = _rename_sources(tree, nodes, schema)
    for node in nodes:
        if isinstance(node, exp.Column):
            _resolve(node, scopes, schema, sure)
    if isinstance(tree, exp.Select):
        _drop_result_names(tree, scopes[id(tree)], schema)
    _drop_unused_aliases(tree)


@dataclass
class Scope:
    """The tables that one SELECT reads.

    Attributes:
        names: new name by alias (or name, if there is none), in lower case.
        columns: columns by new name; ``None`` for a source whose columns are not known.
        results: names of the result columns.
    """

    names: dict[str, str] = field(default_factory=dict)
    columns: dict[str, frozenset[str] | None] = field(default_factory=dict)
    results: frozenset[str] = frozenset()


def _lower(name: exp.Identifier) -> None:
    """Write a name in lower case, quoted only where necessary."""
    text = folded(name.name)
    name.set("this", text)
    name.set("quoted", _needs_quotes(text))


def _needs_quotes(text: str) -> bool:
    return not _PLAIN_NAME.fullmatch(text) or text in _RESERVED


def _identifier(text: str) -> exp.Identifier:
    return exp.to_identifier(text, quoted=_needs_quotes(text))


def _may_be_text(name: exp.Identifier) -> bool:
    """Whether a name in double quotes may be text: SQLite reads it as text if no column has it."""
    column = name.parent
    return bool(name.args.get("quoted")) and isinstance(column, exp.Column) and not column.table


def _sources(select: Node) -> Iterator[Node]:
    """Yield the tables and subqueries in FROM, from left to right."""
    start = select.args.get("from_") or select.args.get("from")
    for clause in (start, *(select.args.get("joins") or ())):
        if clause is not None:
            yield clause.this
            for join in clause.this.args.get("joins") or ():
                yield join.this


def _rename_sources(tree: Node, nodes: list[Node], schema: Schema | None) -> dict[int, Scope]:
    """Give every table, subquery and common table expression its canonical name.

    Raises:
        ValueError: two names of one SELECT are the same, a new name is that of another
            table, or a table is written with its database.
    """
    shared = _rename_ctes(tree, nodes)
    selects = [node for node in nodes if isinstance(node, exp.Select)]
    tables = [
        source for select in selects for source in _sources(select) if isinstance(source, exp.Table)
    ]
    times = Counter(table.name for table in tables)
    seen: Counter[str] = Counter()
    scopes: dict[int, Scope] = {}
    made: list[str] = [*shared.values()]
    for select in selects:
        scope = scopes[id(select)] = Scope(results=frozenset(_result_names(select)))
        for source in _sources(select):
            alias = folded(source.alias_or_name)
            if alias in scope.names:
                raise ValueError("two tables of one name")
            if source.args.get("db"):
                raise ValueError("a table with the name of its database")
            if isinstance(source, exp.Table):
                name = shared.get(source.name, source.name)
                seen[source.name] += 1
                new = name if times[source.name] == 1 else f"{name}_{seen[source.name]}"
                if source.name in shared:
                    source.this.set("this", name)
                if new != name:
                    made.append(new)
                _set_alias(source, None if new == name else new)
                known = None if source.name in shared else schema
                scope.columns[new] = known.columns.get(name) if known else None
            else:
                new = f"subquery_{len(made)}"
                made.append(new)
                _set_alias(source, new)
                scope.columns[new] = None
            scope.names[alias] = new
    if len({*made}) < len(made) or {*made} & (times.keys() - shared.keys()):
        raise ValueError("a new name is taken")
    return scopes


def _result_names(select: exp.Select) -> Iterator[str]:
    """Yield the names given to result columns, except those equal to their column's own."""
    for column in select.expressions:
        if isinstance(column, exp.Alias):
            own = column.this.name if isinstance(column.this, exp.Column) else ""
            if column.alias != folded(own):
                yield column.alias


def _rename_ctes(tree: Node, nodes: list[Node]) -> dict[str, str]:
    """Number the common table expressions; return new names by old ones."""
    ctes = [node for node in nodes if isinstance(node, exp.CTE)]
    names = {cte.alias: f"cte_{number}" for number, cte in enumerate(ctes, start=1)}
    if len(names) < len(ctes) or any(cte.find_ancestor(exp.Query) is not tree for cte in ctes):
        return {name: name for name in names}  # one may hide another, or a table: keep them
    for cte in ctes:
        cte.args["alias"].this.set("this", names[cte.alias])
    return names


def _set_alias(source: Node, alias: str | None) -> None:
    old = source.args.get("alias")
    if alias is None and not (isinstance(old, exp.TableAlias) and old.args.get("columns")):
        source.set("alias", None)
    elif isinstance(old, exp.TableAlias):
        old.set("this", _identifier(alias or source.name))
    else:
        source.set("alias", exp.TableAlias(this=_identifier(alias or "")))


def _enclosing(node: Node, scopes: dict[int, Scope]) -> Iterator[tuple[Scope, frozenset[str]]]:
    """Yield the scopes in which a column is looked up, from the inside out.

    Each comes with the result-column names it may mean there: none within their own list.
    """
    while node.parent is not None:
        if isinstance(node.parent, exp.SetOperation) and node.arg_key == "order":
            yield Scope(columns={"": None}), frozenset()  # the columns of both sides
        scope = scopes.get(id(node.parent))
        if scope is not None:
            yield scope, frozenset() if node.arg_key == "expressions" else scope.results
        node = node.parent


def _resolve(
    column: exp.Column, scopes: dict[int, Scope], schema: Schema | None, sure: Collection[str]
) -> None:
    """Find a column as SQLite does; name its table where there are several, and only there.

    Where the schema does not say which table has the column, it stays as written.

    Raises:
        ValueError: SQLite does not find it.
    """
    table, name = folded(column.table), folded(column.name)
    if column.args.get("db"):
        raise ValueError("a column with the name of its database")
    quoted = isinstance(column.this, exp.Identifier) and _may_be_text(column.this)
    for depth, (scope, results) in enumerate(_enclosing(column, scopes)):
        lone = depth == 0 and len(scope.names) == 1
        if table:
            if table in scope.names:
                # Without its table it would mean the result column of that name.
                keep = not lone or name in results
                column.set("table", _identifier(scope.names[table]) if keep else None)
                return
            continue
        if name in results and isinstance(column.parent, exp.Ordered):
            break
        owners = [new for new, columns in scope.columns.items() if columns and name in columns]
        if owners and None not in scope.columns.values():
            if quoted:
                _lower(column.this)
            if len(owners) == 1 and not (lone and name not in results):
                column.set("table", _identifier(owners[0]))
            return
        if None in scope.columns.values() or name in results or name in ROW_IDS:
            break
    else:
        if table:
            raise ValueError("a table that is not read here")
        if quoted and schema is not None:
            if name in sure:
                raise ValueError("a column that is not there")
            column.replace(exp.Literal.string(column.name))
        return
    if quoted and name in sure:
        raise ValueError("a column or a text")


def _drop_unused_aliases(tree: Node) -> None:
    """Drop the alias of every source that no column names."""
    nodes = [*tree.walk(bfs=False)]
    used = {node.table for node in nodes if isinstance(node, exp.Column)}
    for select in nodes:
        for source in _sources(select) if isinstance(select, exp.Select) else ():
            alias = source.args.get("alias")
            if alias is not None and alias.name not in used and not alias.args.get("columns"):
                source.set("alias", None)


def _drop_result_names(tree: exp.Select, scope: Scope, schema: Schema | None) -> None:
    """Drop the names of the outermost query's result columns, which no comparison reads.

    ORDER BY such a name or a position becomes ORDER BY the expression, and likewise GROUP BY a
    position. Elsewhere a column of that name would take precedence: there a name becomes its
    expression if the schema has no such column; otherwise all names stay.
    """
    columns = tree.expressions
    named = {column.alias: column.this for column in columns if isinstance(column, exp.Alias)}
    if len(named) < sum(isinstance(column, exp.Alias) for column in columns):
        return
    starred = any(column.is_star for column in columns)
    order, group = tree.args.get("order"), tree.args.get("group")
    terms = [term for term in order.expressions if term.this is not None] if order else []
    groups = group.expressions if group else []
    uses = _uses(tree, named)
    known = schema if None not in scope.columns.values() else None
    # Each use copies an expression: limit them, or a short query makes a long text.
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
    if not all(_inline(use, tree, named, known) for use in uses if id(use) not in direct):
        return
    for term, meant in zip(terms, meanings, strict=True):
        if meant is not None:
            term.set("this", meant.copy())
    tree.set("expressions", [column.unalias() for column in columns])
    if len(scope.names) == 1:
        for node in tree.walk(bfs=False):  # no name hides a column any more
            if isinstance(node, exp.Column) and node.table and node.parent_select is tree:
                node.set("table", None)


def _uses(tree: Node, named: dict[str, Node]) -> list[exp.Column]:
    """Return the columns that may mean a result column, except ``name AS name``.

    Within the list of result columns a name never means another of them.
    """
    if not named:
        return []
    listed = {id(node) for column in tree.expressions for node in column.find_all(exp.Column)}
    found = []
    for column in tree.find_all(exp.Column):
        if id(column) in listed:
            continue
        owner = named.get(folded(column.name))
        if owner is None or column.table:
            continue
        if not isinstance(owner, exp.Column) or folded(owner.name) != folded(column.name):
            found.append(column)
    return found


def _inline(use: exp.Column, tree: Node, named: dict[str, Node], schema: Schema | None) -> bool:
    """Replace a result column's name by its expression, if certain; return whether it was done."""
    name = folded(use.name)
    if schema is None or name in schema.every_column or use.parent_select is not tree:
        return False
    meant = named[name].copy()
    if _is_constant(meant):
        return False  # GROUP BY 3 would mean the third column
    use.replace(
        meant if isinstance(meant, exp.Column | exp.Func | exp.Literal) else exp.Paren(this=meant)
    )
    return True


def _is_constant(node: Node) -> bool:
    """Whether SQLite may read an expression as a number: it turns ``age AND 0`` into 0."""
    return isinstance(node, exp.Connector) or node.find(exp.Column, exp.Func, exp.Query) is None


def _meant(
    term: Node,
    columns: list[Node],
    named: dict[str, Node],
    *,
    starred: bool,
) -> Node | None:
    """Return the result column that a term of ORDER BY stands for."""
    if isinstance(term, exp.Column) and not term.table:
        return named.get(folded(term.name))
    if isinstance(term, exp.Literal) and not term.is_string and term.name.isdecimal():
        place = int(term.name)
        if not starred and 1 <= place <= len(columns):
            return columns[place - 1].unalias()
    return None
