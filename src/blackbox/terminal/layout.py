"""Lines of text with looks: built once, then printed with ANSI codes or drawn by a screen."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal, NamedTuple

from blackbox.model.text import printable
from blackbox.terminal.colour_depth import Depth

Align = Literal["left", "right"]
ELLIPSIS = "…"


class Look(NamedTuple):
    """How characters look. Colours are the terminal's own numbers, from 0 to 255; None: its default."""

    ink: int | None = None
    ground: int | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False
    underline: bool = False


PLAIN = Look()
BOLD = Look(bold=True)


class Fragment(NamedTuple):
    """Characters of one look. `target`: what a click on them means, for screens that know."""

    text: str
    look: Look = PLAIN
    target: str | None = None


TextLine = tuple[Fragment, ...]
EMPTY: TextLine = ()


_NARROW = re.compile("[\u0020-\u007e\u00a0-\u02ff\u2010-\u2027\u2190-\u21ff\u2200-\u22ff\u2500-\u259f]*")
"""Letters of the West, arrows, signs of mathematics, boxes and bars: each takes one column."""


def text_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii() or _NARROW.fullmatch(text):
        return len(text)
    return sum(_width_of_sign(sign) for sign in text)


def _width_of_sign(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def fit(text: str, width: int, align: Align = "left") -> str:
    """The text in exactly `width` columns: filled up with blanks, or cut with an ellipsis."""
    text = printable(text)
    wanted = text_width(text)
    if wanted > width:
        text = cut(text, width)
        wanted = text_width(text)
    blanks = " " * (width - wanted)
    return blanks + text if align == "right" else text + blanks


def cut(text: str, width: int) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    text = printable(text)
    if text_width(text) <= width:
        return text
    if width <= 0:
        return ""
    taken, kept = 0, ""
    for sign in text:
        taken += _width_of_sign(sign)
        if taken > width - 1:
            break
        kept += sign
    return kept + ELLIPSIS


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """The words of the text on lines of at most `width` columns, those after the first moved in by `indent`."""
    lines: list[str] = []
    current = ""
    for word in printable(" ".join(text.split())).split(" "):
        room = width - (indent if lines else 0)
        tried = f"{current} {word}" if current else word
        if text_width(tried) <= room or not current:
            current = tried
        else:
            lines.append(current)
            current = word
        current = cut(current, width - (indent if lines else 0))
    lines.append(current)
    return [line if place == 0 else " " * indent + line for place, line in enumerate(lines)]


def width_of(line: Iterable[Fragment]) -> int:
    """Columns that the line takes."""
    return sum(text_width(fragment.text) for fragment in line)


def clipped(line: TextLine, width: int) -> TextLine:
    """The line without what lies beyond `width` columns."""
    found: list[Fragment] = []
    room = width
    for fragment in line:
        taken = text_width(fragment.text)
        if taken > room:
            found.append(fragment._replace(text=fit(fragment.text, room) if room > 0 else ""))
            break
        found.append(fragment)
        room -= taken
    return tuple(fragment for fragment in found if fragment.text)


def beside(left: TextLine, right: TextLine, column: int) -> TextLine:
    """Both lines on one, the right one beginning at `column`."""
    if not right:
        return left
    left = clipped(left, column)
    return (*left, Fragment(" " * (column - width_of(left))), *right)


def spread(left: TextLine, right: TextLine, width: int) -> TextLine:
    """Both lines on one as wide as `width`, the right one at its end; the left one gives way."""
    return beside(left, right, max(0, width - width_of(right))) if right else clipped(left, width)


def plain(line: TextLine) -> str:
    """The characters alone, without blanks at the end."""
    return "".join(fragment.text for fragment in line).rstrip()


def ansi(line: TextLine, depth: Depth) -> str:
    """The line for a terminal; without any code where it shows no colours."""
    if depth == 0:
        return plain(line)
    return "".join(f"\x1b[{codes}m{one.text}\x1b[0m" if (codes := _codes(one.look)) else one.text for one in line)


def _codes(look: Look) -> str:
    codes: list[str] = []
    for is_on, code in ((look.bold, "1"), (look.dim, "2"), (look.underline, "4"), (look.reverse, "7")):
        if is_on:
            codes.append(code)
    for colour, base, bright, extended in ((look.ink, 30, 90, "38"), (look.ground, 40, 100, "48")):
        if colour is None:
            continue
        codes.append(
            str(base + colour) if colour < 8 else str(bright + colour - 8) if colour < 16 else f"{extended};5;{colour}"
        )
    return ";".join(codes)
