"""Find the query in what a model wrote.

It is searched in this order, each step within what the step before left:

1. what follows the last ``</think>`` (or ``</reasoning>`` and the like); an unclosed thought runs
   to the end of the text;
2. the last JSON object with a text under ``SQL``, ``query``, ``answer`` or a similar name;
3. the last ``<answer>``, ``<sql>``, ``<query>``, ``<solution>`` or ``<response>``;
4. the last block in fences (three backticks or tildes) called sql, then the last of any other name;
5. the text: queries that start a line or follow a colon, the last of them that reads a table, then
   the last; then the last within a sentence or in an item of a list that SQLite can parse.

A query ends with its container. Within that it is the longest text, up to a semicolon, the end of a
line or of a sentence, that SQLite can parse, and the rest is taken for words about it. Where the
rest continues like SQL (another statement, a clause, a comma), nothing is cut off: all of it runs then,
and SQLite refuses it. So of two queries with words between them the last one counts, and two without
words between them are no query. Where SQLite can parse no part, the answer is the text up to a blank line.
"""

import html
import json
import re
from collections.abc import Iterator
from itertools import islice

from polypath.verify.sql_tokens import is_query

_SPACE = " \t\r\n\f\v"
_MAX_NESTED = 4
_MAX_STARTS = 40
_MAX_ENDS = 200
_MAX_LABEL = 300
_MAX_LENGTH = 50_000  # longest text that is parsed

# WITH is a common word: it opens a query only with a name and AS after it.
_OPENING = (
    r"(?:SELECT\b|VALUES\s{0,9}\(|WITH\s{1,9}(?:RECURSIVE\s{1,9})?[\w\"`\[\]]{1,64}\s{0,9}"
    r"(?:\([^()]{0,400}\)\s{0,9})?AS\b)"
)
_OTHER_STATEMENT = (
    r"(?:EXPLAIN\s{1,9}(?:QUERY\s{1,9}PLAN\s{1,9})?(?:SELECT|WITH|VALUES)\b|DELETE\s{1,9}FROM\b"
    r"|(?:INSERT|REPLACE)\s{1,9}(?:OR\s{1,9}\w{1,9}\s{1,9})?INTO\b|UPDATE\s{1,9}\S{1,64}\s{1,9}SET\b"
    r"|(?:DROP|ALTER|CREATE)\s{1,9}(?:TEMP\w{0,5}\s{1,9}|UNIQUE\s{1,9}|VIRTUAL\s{1,9}"
    r"|OR\s{1,9}REPLACE\s{1,9})?(?:TABLE|VIEW|INDEX|TRIGGER)\b|ATTACH\s|DETACH\s|PRAGMA\s"
    r"|VACUUM\b|REINDEX\b|BEGIN\b|COMMIT\b|ROLLBACK\b|SAVEPOINT\b|ANALYZE\b)"
)
_FLAGS = re.IGNORECASE | re.ASCII
_START = re.compile(rf"\b(?:(?P<query>{_OPENING})|(?P<other>{_OTHER_STATEMENT}))", _FLAGS)
_BEFORE = r"(?:\s++|--[^\n]*(?:\n|\Z)|/\*(?s:.)*?(?:\*/|\Z))*+"
_OPENS = re.compile(
    rf"{_BEFORE}[\s(]*(?:(?P<query>{_OPENING})|(?P<other>{_OTHER_STATEMENT}))", _FLAGS
)
_EXPLAINS = re.compile(rf"{_BEFORE}EXPLAIN\b", _FLAGS)
_FROM = re.compile(r"\bFROM\b", _FLAGS)
_GOES_ON = re.compile(
    rf"\.?{_BEFORE}(?:;{_BEFORE})*+(?:[,)=|+/%]|(?P<word>(?:FROM|WHERE|GROUP|ORDER|HAVING|LIMIT|OFFSET|UNION"
    r"|INTERSECT|EXCEPT|JOIN|LEFT|RIGHT|INNER|OUTER|CROSS|FULL|NATURAL|ON|AND|OR|USING|WINDOW|AS|SELECT"
    rf"|WITH|VALUES|IN|LIKE|BETWEEN|IS|NOT)\b)|{_OTHER_STATEMENT})",
    _FLAGS,
)

_THOUGHT = r"(?:think|thinking|thought|thoughts|reasoning|scratchpad|analysis)"
_THOUGHT_END = re.compile(rf"</{_THOUGHT}>", re.IGNORECASE)
_THOUGHT_START = re.compile(rf"<{_THOUGHT}>", re.IGNORECASE)
_OBJECT = re.compile(r'\{\s{0,99}"')
_KEYS = re.compile(r"(?P<sql>.*sql.*)|.*(?:query|answer|solution|response)", re.IGNORECASE)
_TAG = re.compile(
    r"<((?:final_?|sql_?)?(?:answer|sql|query|solution|response))>(.*?)(?:</\1>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_FENCE = re.compile(r"`{3,}|~{3,}")
_FENCE_NAME = re.compile(r"[ \t]*(?:(\w*sql\w*)\b[ \t]*\n?|[\w+-]*[ \t]*\n)", re.IGNORECASE)
_END = re.compile(
    r"'(?:[^']|'')*+'|\"[^\"]*+\"|--[^\n]*|/\*(?s:.)*?(?:\*/|\Z)|&\#?\w{1,8};"
    r"|(?P<hard>`{3,}|~{3,}|</|<\|)|(?P<end>;|(?=\n)|\.(?=\s|\Z))"
)
_SENTENCE = re.compile(r"\.\s|[ \t\r]*+\n[ \t\r]*+\n\s{0,99}+[A-Z][a-z]")
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n|`{3,}|~{3,}|</|<\||\Z")
_ITEM = re.compile(r"\s*(?:[-+*•]|\d{1,3}[.)])\s")
_LABEL = re.compile(r"(?:.*:)?[\s*_`\"'“‘>#{(]*")
_WITHIN = re.compile(r"(?:\(|\b(?:UNION|ALL|EXCEPT|INTERSECT))\s*\Z", re.IGNORECASE)
_ABOUT = re.compile(r"\b(?:expla|note\b|reason|breakdown|draft)", re.IGNORECASE)
_CLOSING = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "*": "*", "_": "_", "{": "}"}
_ENTITY = re.compile(r"&\#?\w{1,8};")


def extract_sql(completion: str) -> str | None:
    r"""Find the query in a completion: the module says where, and what is ambiguous.

    A completion is read as HTML (``&lt;``) only where SQLite cannot parse it otherwise. White space
    around the query and one semicolon at its end are dropped.

    Returns:
        The query. In fences, tags and JSON it may also be another statement, which the verifier does
        not run. ``None`` if there is none, or if it is ``EXPLAIN``.

    >>> extract_sql("We count the rows. ```sql\nSELECT count(*) FROM singer;\n``` Done.")
    'SELECT count(*) FROM singer'
    >>> extract_sql("**SQL:** SELECT 1; Explanation: there is one.")
    'SELECT 1'
    """
    text = _after_thought(completion)
    query = _find(text)
    if query is not None and _ENTITY.search(query) and not is_query(query):
        read = _find(html.unescape(text))
        query = read if read is not None and is_query(read) else query
    return None if query is None or _EXPLAINS.match(query) else query


def _after_thought(completion: str) -> str:
    ends = [*_THOUGHT_END.finditer(completion)]
    text = completion[ends[-1].end() :] if ends else completion
    opened = _THOUGHT_START.search(text)
    return text[: opened.start()] if opened else text


def _find(text: str, nested: int = 0) -> str | None:
    if nested > _MAX_NESTED:
        return None
    for container in (_in_json, _in_tags, _in_fences):
        for content in container(text):
            found = _in_container(content, nested)
            if found is not None:
                return found
    return _in_words(text)


def _in_container(content: str, nested: int) -> str | None:
    opens = _OPENS.match(content)
    if opens is None:
        return _find(content, nested + 1)
    return _tidy(content if opens["other"] else _read(content, 0)[0])


def _tidy(query: str) -> str | None:
    query = query.strip(_SPACE)
    return query.removesuffix(";").rstrip(_SPACE) or None


def _in_json(text: str) -> Iterator[str]:
    """Yield texts of JSON objects in the completion that may be a query, the best first."""
    decoder = json.JSONDecoder(strict=False)  # a query may have line breaks
    for start in [*_OBJECT.finditer(text)][: -_MAX_STARTS - 1 : -1]:
        try:
            value, _ = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        named = [
            (match["sql"] is None, content)
            for name, content in value.items()
            if (match := _KEYS.fullmatch(name)) and isinstance(content, str)
        ]
        yield from (content for _, content in sorted(named, key=lambda pair: pair[0]))


def _in_tags(text: str) -> Iterator[str]:
    yield from (found[2] for found in [*_TAG.finditer(text)][: -_MAX_STARTS - 1 : -1])


def _in_fences(text: str) -> Iterator[str]:
    """Yield the blocks in fences, those called sql first, the last first."""
    blocks: list[tuple[bool, str]] = []
    inside = False
    for block in _FENCE.split(text)[1:]:
        head = _FENCE_NAME.match(block)
        is_sql = head is not None and head[1] is not None
        inside = is_sql or not inside  # a fence named sql opens a block
        if inside:
            blocks.append((is_sql, block[head.end() :] if head else block))
    for wanted in (True, False):
        kind = [block for is_sql, block in blocks if is_sql is wanted]
        yield from islice(reversed(kind), _MAX_STARTS)


def _in_words(text: str) -> str | None:
    """Find the query among words; the module says which of several."""
    found: list[tuple[int, str]] = []
    end = 0
    starts = [*_START.finditer(text)][-_MAX_STARTS:]
    if opens := _OPENS.match(text):
        starts.insert(0, opens)  # with the comments and brackets before it
    for match in starts:
        start = match.start()
        line = text[max(text.rfind("\n", 0, start) + 1, start - _MAX_LABEL) : start]
        leads = _LABEL.fullmatch(line) and not _ITEM.match(line) and not _ABOUT.search(line)
        if start < end or (not leads and _WITHIN.search(line)):
            continue
        if match["other"]:
            query, parsed = _paragraph(text, start), False
        else:
            query, parsed = _read(text, start)
        if leads and (match["other"] or parsed or not _is_sentence(match["query"])):
            rank = 3 if match["other"] or _FROM.search(query) else 2 if parsed else 0
        elif parsed and (_FROM.search(query) or match["query"].isupper()):
            rank = 1
        elif match["other"] or match["query"][:4].upper() == "WITH":
            rank = 0
        else:
            continue  # "You can select names": a query may follow
        end = start + len(query)
        found.append((rank, "" if match["other"] else query))
    if not found:
        return None
    best = max(rank for rank, _ in found)
    return _tidy([query for rank, query in found if rank == best][-1])


def _is_sentence(words: str) -> bool:
    """Whether words of SQL begin as a sentence does: ``Select the names``."""
    return words[:2].istitle()


def _read(text: str, start: int) -> tuple[str, bool]:
    """Return the query that begins at ``start``, and whether SQLite can parse it."""
    closing = _CLOSING.get(text[start - 1 : start])
    end = start
    for _ in range(_MAX_STARTS if closing else 0):
        end = text.find(closing or "", end + 1)
        if end < 0:
            break
        if is_query(text[start:end]):
            return text[start:end], True
    ends, last = [], len(text)
    for match in islice(_END.finditer(text, start, start + _MAX_LENGTH), _MAX_ENDS):
        if match["hard"]:
            last = match.start()
            break
        if match["end"] is not None:
            ends.append(match.start())
    # To SQLite the next sentence may be an alias: ``FROM singer. This counts``, ``FROM singer Done``.
    sentences = [end for end in ends if _SENTENCE.match(text, end)]
    for number, end in enumerate((*sentences, last, *reversed(ends))):
        query = text[start:end]
        if end - start > _MAX_LENGTH or not is_query(query):
            continue
        more = _GOES_ON.match(text, end, last)
        if more is None:
            return query, True
        if number >= len(sentences):
            words = more["word"] and _is_sentence(more["word"]) and not _is_sentence(query)
            return (query, True) if words else (text[start:last], False)
    return _paragraph(text, start), False


def _paragraph(text: str, start: int) -> str:
    end = _PARAGRAPH.search(text, start)
    return text[start : end.start() if end else len(text)]
