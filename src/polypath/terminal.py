"""Shows foreign text in a terminal as plain text, so that it cannot move the cursor or reorder a line."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# Invisible, reordering, or not encodable in UTF-8; the same signs as in assets/page/text.js.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Return the text with invisible and control signs written as their code points.

    Line ends and tabs stay as they are.

    >>> visible("a \x1b[31mred one")
    'a [U+001B][31mred one'
    """
    return _UNSEEN.sub(lambda sign: f"[U+{ord(sign[0]):04X}]", text)


class Terminal(Console):
    """A console that shows names, answers and errors without markup, emoji codes and control signs.

    ``out`` prints exactly one line, whatever the text contains.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def out(self, *objects: Any, **options: Any) -> None:
        """Print on one line, without wrapping."""
        super().out(*(str(one).replace("\n", "[U+000A]") for one in objects), **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text to show. It is made visible here, so its measured width is the shown width."""
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the rendered pieces, with the console's own control codes as they are."""
        if isinstance(renderable, Text) and visible(renderable.plain) != renderable.plain:
            renderable = renderable.copy()
            renderable.plain = visible(renderable.plain)  # before it is wrapped
        for piece in super().render(renderable, options):
            yield piece if piece.control else piece._replace(text=visible(piece.text))
