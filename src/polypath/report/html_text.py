"""Foreign text, such as names and model output, as HTML that shows it and does nothing else."""

import html

from polypath.report.measures import EXPLAINED, stem
from polypath.terminal import visible


def mark(text: str, limit: int = 400, *, markup: bool = True) -> str:
    """Return foreign text as inert HTML.

    Args:
        text: any text, even with lone surrogates.
        limit: most characters shown.
        markup: whether to isolate its text direction by ``<bdi>``; titles can't contain markup.
    """
    cut = text[:limit] + ("…" if len(text) > limit else "")
    seen = html.escape(visible(cut))
    return f"<bdi>{seen}</bdi>" if markup else seen


def about(key: str) -> tuple[str, str] | None:
    """Return the link to a measure in the page's glossary, and its meaning; ``None`` if it is unknown.

    Args:
        key: key of a measure, such as ``pass@16``.
    """
    place = {name: n for n, name in enumerate(EXPLAINED)}.get(stem(key))
    return None if place is None else (f"#about-{place}", EXPLAINED[stem(key)].meaning)


def term(inner: str, key: str) -> str:
    """Return HTML with the meaning of a measure as a tooltip, linked to the glossary.

    Args:
        inner: HTML to show, already escaped.
        key: key of a measure; for an unknown one the HTML is returned unchanged.
    """
    found = about(key)
    if found is None:
        return inner
    return f'<a class="term" href="{found[0]}" title="{html.escape(found[1])}">{inner}</a>'


def glossary() -> str:
    """Return all measures with their meanings as an HTML list; ``about`` links to it."""
    items = (
        f'<dt id="about-{n}">{html.escape(one.name)}</dt><dd>{html.escape(one.meaning)}</dd>'
        for n, one in enumerate(EXPLAINED.values())
    )
    return f'<dl class="glossary">{"".join(items)}</dl>'
