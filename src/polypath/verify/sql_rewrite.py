"""The changes behind ``sql_canonical.canonical_sql``, on a parsed query. Needs sqlglot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel

from polypath.verify.sql_names import canonical_names
from polypath.verify.sql_schema import Schema

if TYPE_CHECKING:
    Node = exp.Expr  # the class of all of sqlglot's nodes

# What a comparison becomes when its operands change places.
_MIRROR: dict[type[Node], type[exp.Binary]] = {
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}
# How tightly operators bind, the loosest first.
_RANKS: tuple[tuple[tuple[type[Node], ...], int], ...] = (
    ((exp.Or,), 1),
    ((exp.And,), 2),
    ((exp.Not,), 3),
    ((exp.Predicate, *_MIRROR, exp.Is, exp.In, exp.Between, exp.Escape, exp.Match), 4),
    ((exp.Add, exp.Sub), 5),
    ((exp.Mul, exp.Div, exp.Mod, exp.IntDiv), 6),
)
_DIALECT = SQLite()


def parse(query: str) -> Node | None:
    """Parse a query; ``None`` for everything that is not one, whatever the text."""
    try:
        query.encode()  # no lone surrogates: SQLite takes none
        trees = [tree for tree in _DIALECT.parse(query) if tree is not None]
    # sqlglot raises its own errors for most texts and whatever its code trips over for some.
    except Exception:
        return None
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        return None
    tree: Node = trees[0]
    return tree if tree.key != "select" or tree.expressions else None


def canonical_text(tree: Node, schema: Schema | None) -> str | None:
    """Change a query in place, as the module ``sql_canonical`` lists, and write it."""
    try:
        while isinstance(tree, exp.Subquery) and tree.is_wrapper:
            tree = tree.this
            tree.parent = None
        canonical_names(tree, schema)
        # From the leaves up: operands are final when what holds them is looked at.
        for node in [*tree.walk(bfs=False)][::-1]:
            _simplify(node)
        return _written(tree, comments=False)
    # A tree as odd as a model's text can make it; whatever the writer trips over, there is no text.
    except Exception:
        return None


def _written(node: Node, *, comments: bool = True) -> str:
    text: str = _DIALECT.generate(
        node, copy=False, comments=comments, unsupported_level=ErrorLevel.IGNORE
    )
    return text


def _simplify(node: Node) -> None:
    """Apply what concerns a node and its operands; operands come before what holds them.

    Raises:
        ValueError: the text would not be safe.
    """
    if isinstance(node, exp.Paren):
        _drop_brackets(node)
    elif isinstance(node, exp.Ordered):
        if not node.args.get("desc"):
            node.set("desc", None)
    elif isinstance(node, exp.Join):
        if node.args.get("side"):
            if node.args.get("kind") == "OUTER":
                node.set("kind", None)
        elif node.args.get("kind") == "INNER":
            node.set("kind", None)
    elif isinstance(node, exp.Not):
        if node.parent is not None and _rank(node.parent, outer=True) > 3:
            raise ValueError("NOT as an operand: the parsers of SQLite and sqlglot disagree")
    elif isinstance(node, tuple(_MIRROR)):
        _sort_operands(node)
    elif isinstance(node, exp.And | exp.Or) and not isinstance(node.parent, type(node)):
        _sort_chain(node)


def _rank(node: Node, *, outer: bool = False) -> int:
    """Return how tightly an operator binds; 0 for what is no operator.

    Of operators not told apart here the rank as an operand is low and as a holder high, so that
    brackets stay.
    """
    if isinstance(node, exp.Paren):
        return 0
    for kinds, rank in _RANKS:
        if isinstance(node, kinds):
            return rank
    if isinstance(node, exp.Binary | exp.Unary | exp.Bracket):
        return 7 if outer else 5
    return 0


def _drop_brackets(paren: exp.Paren) -> None:
    inner, parent = paren.this, paren.parent
    if parent is None or isinstance(inner, exp.Query | exp.Values):
        return
    inner_rank = _rank(inner) or 9
    outer_rank = _rank(parent, outer=True)
    if isinstance(parent, exp.In) and paren.arg_key != "this":
        outer_rank = 0
    chain = type(inner) is type(parent) and isinstance(inner, exp.And | exp.Or)
    if inner_rank > outer_rank or chain:
        paren.replace(inner)


def _text(node: Node) -> str:
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier):
        return f"{node.table}.{node.name}"
    return _written(node)


def _sort_operands(node: Node) -> None:
    """Put the operands of a comparison in order; of a node without parent only if it may stay."""
    left, right = node.args["this"], node.args["expression"]
    if 0 < _rank(left) <= 4 or 0 < _rank(right) <= 4:
        return  # `a = b = c` means `(a = b) = c`
    if _sort_key(left) <= _sort_key(right):
        return
    mirrored = _MIRROR[type(node)]
    if isinstance(node, mirrored):
        node.set("this", right)
        node.set("expression", left)
    elif node.parent is not None:
        node.replace(mirrored(this=right, expression=left))


def _sort_key(node: Node) -> tuple[int, str]:
    """Sort columns before expressions, these before subqueries, values last: ``age = 3``."""
    if isinstance(node, exp.Column):
        return 0, _text(node)
    if isinstance(node, exp.Literal):
        return 3, node.name
    return 2 if isinstance(node, exp.Subquery) else 1, _text(node)


def _sort_chain(node: Node) -> None:
    """Sort the operands of a whole chain of AND or of OR."""
    kind = type(node)
    places: list[tuple[Node, str]] = []
    stack: list[Node] = [node]
    while stack:
        link = stack.pop()
        for key in ("this", "expression"):
            operand = link.args[key]
            if type(operand) is kind:
                stack.append(operand)
            else:
                places.append((link, key))
    operands: list[Node] = sorted((link.args[key] for link, key in places), key=_text)
    # Refill as a chain that leans left, whatever the brackets were.
    chain = operands[0]
    for operand in operands[1:-1]:
        chain = kind(this=chain, expression=operand)
    node.set("this", chain)
    node.set("expression", operands[-1])
