"""Text from outside, such as names and model output, as HTML that shows it and does nothing else."""

import html
import re

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
