r"""What an answer says, without what precedes and surrounds it, if it says one thing.

``bare`` drops what does not change the value: ``=``, ``\approx`` and ``\therefore`` before the answer, sizes
and colours, signs and names of currencies. "2 2/3" becomes 8/3. ``read_answer`` does the same in prose:

- A denied number is no answer: "not 4", "less than 4". Neither is a range, "3 to 4". Joined numbers
  are one answer: "3 or 4" is the set of both, and neither of them alone.
- A text without an announced answer is trusted only if it ends in a statement. The statement is its last
  line with a value, if only finished sentences without values follow. It is not trusted if it is code, an
  item of a list of numbers, a repetition, or cut off: within a formula, after an operator, or with a number
  that nothing introduces and no full stop ends.
"""

import re

from polypath.verify.math_extract import TAIL_CHARACTERS, VALUE, Found, find_answer, has_words

MOST_FORMULA = 200  # most characters of a line that is read as a whole formula
_MOST_PERIOD = 20  # most words that a degenerate text repeats
_REPEATS = 4

_LOOKS = re.compile(
    r"\\(?:tiny|small|normalsize|[lL]arge|LARGE|[hH]uge|bf|bm|boldsymbol|displaystyle|textstyle"
    r"|underline|checkmark|(?:text)?color\{\w+\})(?![A-Za-z])\s*|[✓✅]"
)
_SIGNS = r"(?:US|A|C|NZ|HK|S)?\\?\$|[€£¥₹₩₽]"
_CODES = r"\\(?:euro|pounds|yen|texteuro|textsterling)(?![A-Za-z])|Rs\.?|USD|EUR|GBP|INR|JPY|CNY|RMB|CAD|AUD"
_MONEY = re.compile(
    rf"\\(?:text|mathrm|mbox)\{{\s*(?:{_SIGNS}|{_CODES})\s*\}}|[€£¥₹₩₽]"
    rf"|(?<![A-Za-z\\])(?:(?:US|A|C|NZ|HK|S)(?=\\?\$\s*\d)|(?:{_CODES})(?=\s*[-\d.\\$]))"
    r"|(?<=[\d}])\s*(?:USD|EUR|GBP|INR|JPY|CNY|RMB|CAD|AUD)(?![A-Za-z])"
)
_LEADING = re.compile(
    r"(?:[\s=:≈≃≅∴⇒→]|\\(?:approx|because|cong|equiv|implies|(?:Long)?[rR]ightarrow|q?quad|simeq"
    r"|therefore|to)(?![A-Za-z])|\\[,;:! ]|(?:\\sim|~)(?=\s*[-\d.\\]))+"
)
_AROUND = re.compile(
    r"(\*\*?|[`\"])([^*`\"]+)\1|\\\(((?:(?!\\\)).)+)\\\)|\\\[((?:(?!\\\]).)+)\\\]|\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_MIXED = re.compile(r"(?<![\d.,/^\\}])(\d{1,9}) +(\d{1,9})/([1-9]\d{0,8})(?![\d/.,]*\d)", re.ASCII)

_FORMULA = re.compile(
    r"\\\[.*?\\\]|\$\$[^$]+\$\$|\\begin\{(?P<env>\w+\*?)\}.*?\\end\{(?P=env)\}"
    r"|\\\(.*?\\\)|\$[^$\n]*\$(?!\d)",
    re.DOTALL,
)
_NUMBER = r"[-+]?\\?\$?-?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:/\d+|\\?%)?"
_ANY_VALUE = rf"(?:[a-zA-Z]\s*=\s*)?(?:\$[^$\n]{{1,80}}\$|\\\([^\n]{{1,80}}?\\\)|{_NUMBER})"
# In both, a formula that is not part of a match is skipped as a whole.
_DENIED = re.compile(
    r"(?P<hit>(?:\b(?:anything\sbut|between|cannot|except|impossible|instead\sof|neither|never|no\slonger|nor|not"
    r"|rather\sthan|unlike)\b|n[’']t\b"
    r"|\b(?:less|more|greater|fewer|smaller|larger|bigger|other|higher|lower)\sthan\b|[<>≤≥≠])"
    rf"(?:\s+[a-z]+){{0,3}}?\s*{_ANY_VALUE}(?:\s*(?:,|and|or|nor)\s*{_ANY_VALUE})*"
    rf"|{_ANY_VALUE}\s+(?:is|was|are|were)(?:n[’']t|\s+(?:false|impossible|incorrect|not|wrong))\b)"
    rf"|{_FORMULA.pattern}",
    re.IGNORECASE | re.DOTALL,
)
_JOINT = r"(?:(?:\s+[a-z]+)?,?\s+(?:or(?:\s+[a-z]+){0,4}?|and(?:\s+also)?|to|through)|,)\s+"
_JOINED = re.compile(
    rf"(?P<hit>{_ANY_VALUE}(?:{_JOINT}{_ANY_VALUE})+)|{_FORMULA.pattern}", re.IGNORECASE | re.DOTALL
)
_EMPHASIS = re.compile(r"(\*\*|`)([^*`\n]+)\1")
_RANGE = re.compile(r"\b(?:to|through)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?]\$))\s+(?=[A-Z$])")

_ITEM = re.compile(
    r"^\s*(?:#+\s*)?(?:[-*•]\s+|\*\*)?(?:\(?\d{1,3}[.)](?:\s+|$)"
    r"|(?:case|equation|example|exercise|figure|part|problem|question|step)\s+\d+[.:)]*\s*)?",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"^\s*(?:>>>|assert\b|class\s|def\s|elif\b|else:|for\s.*:$|from\s\w+\simport|if\s.*:$|import\s|print\b"
    r"|return\b|while\b.*:$|#include|//|\||(?:Human|Input|Q|Question|User):)|[;{]$|\w\(\)|==|\+=|\w\[\w+\]"
)
_CUT = re.compile(
    r"(?:[-,;:=+*/^(\[{<&_≈×÷]|\\[A-Za-z]*|\b(?:a|an|and|are|as|because|but|by|for|from|had|has|have|if|in|is|let"
    r"|next|of|or|so|than|that|the|then|there|therefore|they|this|thus|to|was|we|were|which|with))$",
    re.IGNORECASE,
)
_LAST_NUMBER = re.compile(r"(?<![\w.,/])[-+]?[\d.,/]*\d$")
_STATED = re.compile(
    r"(?:[=≈:>]|\\(?:approx|to)|\b(?:are|be|equals|get|gives|hence|is|makes|so|therefore|thus|was|were),?)\s*(?:about\s|\\?\$|[€£¥₹*])*$",
    re.IGNORECASE,
)
_UNCLOSED = re.compile(r"\\[(\[]|\\begin\b|\$(?![\d.])")
_ONE_NUMBER = re.compile(r"(?:\w\s*=\s*)?[-+]?[\d.,/]+")


def bare(text: str) -> str:
    """Drop what surrounds an answer without changing its value; see the module."""
    text = _MONEY.sub("", _LOOKS.sub("", text)).strip()
    while True:
        inner = _LEADING.sub("", text, count=1) if _LEADING.match(text) else text
        if around := _AROUND.fullmatch(inner):
            inner = next(group for group in around.groups()[1:] if group is not None)
        if inner == text:
            break
        text = inner.strip()
    return _MIXED.sub(_improper, text)


def _improper(match: re.Match[str]) -> str:
    whole, top, bottom = map(int, match.groups())
    return f"{whole * bottom + top}/{bottom}"


def read_answer(completion: str) -> Found | None:
    """Find the answer of a completion, as ``find_answer`` does, and return what it says.

    Returns:
        The bare answer. From prose, what remains of it, with formulas and joined values between dollar signs.
        ``None`` if there is no answer, or if it denies its value or cannot be trusted.
    """
    found = find_answer(completion)
    if found is None or found.mark == "box":
        return found and found._replace(text=bare(found.text))
    text: str | None = found.text
    if VALUE.search(found.text):
        text = _statement(found.text) if found.mark == "tail" else _announced(found.text)
    return None if text is None or (said := _said(text)) is None else found._replace(text=said)


def _announced(line: str) -> str:
    """Return the first sentence with a value of what follows "the answer is"."""
    return next(filter(VALUE.search, _SENTENCE_END.split(line)), line)[:TAIL_CHARACTERS]


def _statement(tail: str) -> str | None:
    """Return the last line with a value, if the module's rules trust it."""
    if tail.count("```") % 2:
        return None
    text = _FORMULA.sub(lambda found: found[0].replace("\n", " "), tail.rpartition("```")[2])
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    bodies = [_ITEM.sub("", line, count=1) if len(lines) > 1 else line for line in lines]
    last = next((place for place in range(len(bodies))[::-1] if VALUE.search(bodies[place])), None)
    if last is None or _repeats(text) or any(line[-1].isalnum() for line in lines[last + 1 :]):
        return None
    body, before = bodies[last], bodies[last - 1] if last else ""
    listed = _ONE_NUMBER.fullmatch(body) and _ONE_NUMBER.fullmatch(before)
    cut = last == len(lines) - 1 and _is_cut(body)
    return None if listed or cut or _CODE.search(body) else body


def _repeats(text: str) -> bool:
    """Return whether a text ends in the same few words over and over."""
    # A comma in thousands does not separate words: 1,000,000,000,000 repeats nothing.
    words = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    words_T = re.findall(r"\w+(?:\.\w+)*", words)[-_REPEATS * _MOST_PERIOD :]
    return any(
        len(words_T) >= _REPEATS * period
        and words_T[-period * (_REPEATS - 1) :] == words_T[-period * _REPEATS : -period]
        for period in range(1, _MOST_PERIOD + 1)
    )


def _is_cut(line: str) -> bool:
    """Return whether the last line of a text may be cut off."""
    outside = _FORMULA.sub("$$", line).rstrip("*_` ")
    if _CUT.search(outside) or _UNCLOSED.search(outside.replace("$$", "")):
        return True
    if any(line.count(left) > line.count(right) for left, right in ("()", "{}")):
        return True
    outside = _JOINED.sub("$$", outside)
    number = _LAST_NUMBER.search(outside)
    before = outside[: number.start()] if number else ""
    return has_words(before) and not _STATED.search(before)


def _said(text: str) -> str | None:
    """Return what a sentence says; ``None`` if it denies the only value it has."""
    text = bare(_EMPHASIS.sub(r"\2", text))
    if len(text) <= MOST_FORMULA and not has_words(text):
        return text if text.isdigit() else f"${_without_dollars(text)}$"
    if not VALUE.search(text):
        return text
    said = _JOINED.sub(
        _together, _DENIED.sub(lambda found: " " if found["hit"] else found[0], text)
    )
    return said if VALUE.search(said) else None


def _without_dollars(text: str) -> str:
    return re.sub(r"\\?\$", " ", text).strip().removesuffix(".")


def _together(match: re.Match[str]) -> str:
    """Write joined values as one formula, and a range as nothing."""
    if not match["hit"]:
        return match[0]
    if _RANGE.search(match[0]):
        return " "
    values = (value.rpartition("=")[2] for value in re.findall(_ANY_VALUE, match[0]))
    return " $" + ", ".join(bare(_without_dollars(value)) for value in values) + "$ "
