"""Text from outside, such as names and model output, as HTML that shows it and does nothing else."""

import html
import re

from polypath.report.measures import EXPLAINED, stem

# The same signs as in assets/page/text.js: unseen, reordering, or not to be written in UTF-8.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def mark(text: str, limit: int = 400, *, markup: bool = True) -> str:
    """Return text from outside as inert HTML.

    Args:
        text: anything, lone surrogates included.
        limit: characters shown.
        markup: whether to keep its direction to itself by ``<bdi>``; titles can't hold markup.
    """
    cut = text[:limit] + ("…" if len(text) > limit else "")
    seen = html.escape(_UNSEEN.sub(lambda sign: f"[U+{ord(sign[0]):04X}]", cut))
    return f"<bdi>{seen}</bdi>" if markup else seen


def about(key: str) -> tuple[str, str] | None:
    """Return where the page's glossary explains a measure, and what it says; None for an unknown one."""
    place = {name: n for n, name in enumerate(EXPLAINED)}.get(stem(key))
    return None if place is None else (f"#about-{place}", EXPLAINED[stem(key)].meaning)


def term(inner: str, key: str) -> str:
    """Return HTML that explains a measure where the mouse or the keyboard's focus is on it."""
    found = about(key)
    if found is None:
        return inner
    return f'<a class="term" href="{found[0]}" title="{html.escape(found[1])}">{inner}</a>'


def glossary() -> str:
    """Return all measures with their meanings as a list in HTML; ``about`` leads there."""
    items = (
        f'<dt id="about-{n}">{html.escape(one.name)}</dt><dd>{html.escape(one.meaning)}</dd>'
        for n, one in enumerate(EXPLAINED.values())
    )
    return f'<dl class="glossary">{"".join(items)}</dl>'
