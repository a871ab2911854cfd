"""The one widget: lines of fragments, drawn anew where they changed. Textual's own tables cost four times as much."""

from collections.abc import Sequence
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from blackbox.terminal.layout import EMPTY, Look, TextLine, text_width

STYLES_KEPT = 256
"""Looks in use are a few dozen."""


class Sheet(Widget, can_focus=True):
    """Shows the lines it was given last."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._lines: Sequence[TextLine] = ()

    @property
    def shown(self) -> Sequence[TextLine]:
        """What it shows."""
        return self._lines

    def show(self, lines: Sequence[TextLine]) -> None:
        """Draws what differs from before."""
        before = self._lines
        self._lines = lines
        regions = [
            Region(0, place, self.size.width, 1)
            for place in range(max(len(before), len(lines)))
            if _at(before, place) != _at(lines, place)
        ]
        if regions:
            self.refresh(*regions)

    def target_at(self, x: int, y: int) -> str | None:
        """What a click there means."""
        for fragment in _at(self._lines, y):
            x -= text_width(fragment.text)
            if x < 0:
                return fragment.target
        return None

    def render_line(self, y: int) -> Strip:
        """As Textual wants it."""
        width = self.size.width
        segments = [Segment(one.text, style(one.look)) for one in _at(self._lines, y)]
        return Strip(segments).adjust_cell_length(width, style(Look()))


def _at(lines: Sequence[TextLine], place: int) -> TextLine:
    return lines[place] if place < len(lines) else EMPTY


@lru_cache(maxsize=STYLES_KEPT)
def style(look: Look) -> Style:
    """The look in Rich's terms."""
    return Style(
        color=_colour(look.ink),
        bgcolor=_colour(look.ground),
        bold=look.bold or None,
        dim=look.dim or None,
        reverse=look.reverse or None,
        underline=look.underline or None,
    )


def _colour(number: int | None) -> Color | None:
    return Color.default() if number is None else Color.from_ansi(number)
