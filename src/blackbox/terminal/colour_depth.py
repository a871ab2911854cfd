"""How many colours a terminal shows: as many as it has, none where nobody wants them."""

from collections.abc import Mapping
from typing import Literal

Depth = Literal[0, 16, 256]
"""How many colours."""
_BASIC = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
BASIC_COLOURS = {name: place for place, name in enumerate((*_BASIC, *(f"bright_{name}" for name in _BASIC)))}
"""Numbers of the 16, by their names."""


def depth_of(environ: Mapping[str, str]) -> Depth:
    """Of the terminal that the environment tells of (`NO_COLOR`, `TERM`, `COLORTERM`)."""
    terminal = environ.get("TERM", "")
    if environ.get("NO_COLOR") or terminal in ("", "dumb"):
        return 0
    return 256 if "256color" in terminal or environ.get("COLORTERM") in ("truecolor", "24bit") else 16
