"""The changes behind ``sql_canonical.canonical_sql``, made on sqlglot's syntax tree.

sqlglot translates between dialects: it accepts queries that SQLite refuses, and writes functions,
types and clauses in other words. Here its parse counts only if it writes the same tokens again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import ErrorLevel

from polypath.errors import ConfigError
from polypath.verify.sql_names import canonical_names
from polypath.verify.sql_schema import Schema, folded
from polypath.verify.sql_tokens import tokens as sql_tokens

if TYPE_CHECKING:
    Node = exp.Expr  # the class of all of sqlglot's nodes

# What a comparison becomes when its operands are swapped.
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
# In the order in which SQLite looks for them in the name of a type (section 3.1 of "Datatypes").
_AFFINITIES = (
    ("INTEGER", ("INT",)),
    ("TEXT", ("CHAR", "CLOB", "TEXT")),
    ("BLOB", ("BLOB",)),
    ("REAL", ("REAL", "FLOA", "DOUB")),
)
_SAME_SIGNS = {"!=": "<>", "==": "="}
# Words of SQLite's grammar that a query may hold; every other word is a name or a function.
_GRAMMAR_WORDS = """
all and as asc between blob by case cast collate cross current current_date current_time
current_timestamp desc distinct else end escape except exists false filter first following from
full glob group groups having in inner integer intersect is join last left like limit match
materialized natural not null nulls numeric offset on or order outer over partition preceding range
real recursive regexp right rows row select text then true unbounded union using values when where
window with
"""
_GRAMMAR = frozenset(_GRAMMAR_WORDS.split())


class _PlainSQLite(SQLite):
    """SQLite without sqlglot's knowledge of functions, so that each function stays as written."""

    class Parser(SQLite.Parser):  # type: ignore[misc, valid-type]
        FUNCTIONS: ClassVar[dict[str, object]] = {}
        FUNCTION_PARSERS: ClassVar = {"CAST": SQLite.Parser.FUNCTION_PARSERS["CAST"]}

    class Generator(SQLite.Generator):  # type: ignore[misc, valid-type]
        TYPE_MAPPING: ClassVar = {
            **SQLite.Generator.TYPE_MAPPING,
            exp.DataType.Type.DECIMAL: "NUMERIC",
        }

    def to_json_path(self, path: Node | None) -> Node | None:
        """Leave the right side of ``->`` as it is."""
        return path


_DIALECT = _PlainSQLite()
try:
    _DIALECT.parser()
except TypeError:  # otherwise every query would silently be compared by its text
    raise ConfigError(
        "Canonical SQL extends sqlglot's classes, which its compiled version (sqlglot[c]) does not allow. "
        "Run: pip uninstall sqlglotc."
    ) from None


def canonical_text(tokens: list[str], schema: Schema | None) -> str | None:
    """Parse the tokens of one query, change it as ``sql_canonical`` lists, and write it.

    ``None`` where sqlglot reads or writes the query differently from SQLite.
    """
    try:
        plain = _plain_tokens(tokens)
        tree = _DIALECT.parse(" ".join(plain))[0]
        nodes = [*tree.walk(bfs=False)] if tree is not None else []
        if tree is None or not _reads_as_sqlite(tree, nodes, plain):
            return None
        sure = {folded(token[1:-1]) for token in tokens if token[0] in "[`"}
        canonical_names(tree, nodes, schema, sure)
        # From the leaves up: operands are final before their parent is processed.
        for node in [*tree.walk(bfs=False)][::-1]:
            _simplify(node)
        return _written(tree)
    # For most texts sqlglot raises its own errors, for some any exception.
    except Exception:
        return None


def _plain_tokens(tokens: list[str]) -> list[str]:
    """Write types as their affinity, quoted names in double quotes, operators in one way."""
    plain: list[str] = []
    is_cast = [False]  # of each open bracket
    rest = iter(tokens)
    for token in rest:
        before = plain[-1].lower() if plain else ""
        if token == "(":
            is_cast.append(before == "cast")
        elif token == ")":
            is_cast.pop()
        elif before == "as" and is_cast[-1]:
            kind = token
            while (token := next(rest)) != ")" or kind.count("(") > kind.count(")"):
                kind += token
            is_cast.pop()
            plain.append(_affinity(kind))
        elif token[0] == ".":
            token = f"0{token}" if token != "." else token
        elif token[0] in "[`" or (token[0] == "'" and before == "as"):
            inner = token[1:-1] if token[0] == "[" else token[1:-1].replace(token[0] * 2, token[0])
            token = exp.to_identifier(inner, quoted=True).sql()
        plain.append(_SAME_SIGNS.get(token, token))
    if plain[-1] == ";":
        plain.pop()
    for place, word in enumerate(plain):
        if word.lower() == "limit" and plain[place + 2 : place + 3] == [","]:
            first, _, second, *after = plain[place + 1 : place + 5]
            if first.isdecimal() and second.isdecimal() and after in ([], [")"]):
                plain[place + 1 : place + 4] = [second, "OFFSET", first]
    return plain


def _affinity(kind: str) -> str:
    """Return the affinity of a type in ``CAST``: SQLite has five, whatever a type is called."""
    for affinity, parts in _AFFINITIES:
        if any(part in kind.upper() for part in parts):
            return affinity
    return "NUMERIC"


def _reads_as_sqlite(tree: Node, nodes: list[Node], tokens: list[str]) -> bool:
    """Whether sqlglot writes the query with the same tokens, and read names as names.

    These may differ: case, AS, a comma for CROSS JOIN, and the place of NOT: ``NOT a IN b`` for
    ``a NOT IN b``. In ``FROM singer ASOF JOIN concert`` SQLite reads an alias, sqlglot a keyword.
    """
    words = Counter(
        token.lower() for token in tokens if token[0].isalpha() and token.lower() not in _GRAMMAR
    )
    for node in nodes:
        if isinstance(node, exp.Identifier | exp.Anonymous | exp.Var):
            words[node.name.lower()] -= 1
        elif isinstance(node, exp.Lambda):
            return False  # within a function sqlglot reads ``->`` as a lambda
    return max(words.values(), default=0) <= 0 and (
        _comparable(tokens) == _comparable(sql_tokens(_written(tree)))
    )


def _comparable(tokens: list[str]) -> list[str | int]:
    words: list[str | int] = [0]
    for token in tokens:
        word = token if token[0] in "'\"" else token.lower()
        if word == "not":
            words[0] = int(words[0]) + 1
        elif word == "join" and words[-1] == "cross":
            words[-1] = ","
        elif word != "as":
            words.append(word)
    return words


def _written(node: Node) -> str:
    text: str = _DIALECT.generate(node, copy=False, unsupported_level=ErrorLevel.IGNORE)
    return text


def _simplify(node: Node) -> None:
    """Apply the changes to a node and its operands; operands come before their parent.

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
        elif node.args.get("kind") in ("INNER", "CROSS"):
            node.set("kind", None)
    elif isinstance(node, exp.Not):
        if node.parent is not None and _rank(node.parent, outer=True) > 3:
            raise ValueError("NOT as an operand: the parsers of SQLite and sqlglot disagree")
    elif isinstance(node, tuple(_MIRROR)):
        _sort_operands(node)
    elif isinstance(node, exp.And | exp.Or) and not isinstance(node.parent, type(node)):
        _sort_chain(node)


def _rank(node: Node, *, outer: bool = False) -> int:
    """Return how tightly an operator binds; 0 for any other node.

    An operator not listed here ranks low as an operand and high as a parent, so that brackets stay.
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
    """Sort the operands of a comparison; for a node without a parent only if it may stay."""
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
    """Sort columns first, then expressions, subqueries and values: ``age = 3``."""
    if isinstance(node, exp.Column):
        return 0, _text(node)
    if isinstance(node, exp.Literal):
        return 3, node.name
    return 2 if isinstance(node, exp.Subquery) else 1, _text(node)


def _sort_chain(node: Node) -> None:
    """Sort the operands of a whole chain of AND or of OR.

    Not if an operand may fail on some rows, which the operands before it may exclude.
    """
    if any(
        isinstance(part, exp.JSONExtract | exp.JSONExtractScalar | exp.Match)
        or (isinstance(part, exp.Anonymous) and part.name.lower().startswith("json"))
        for part in node.walk(bfs=False)
    ):
        return
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
    # Rebuild as a left-leaning chain, whatever the brackets were.
    chain = operands[0]
    for operand in operands[1:-1]:
        chain = kind(this=chain, expression=operand)
    node.set("this", chain)
    node.set("expression", operands[-1])
