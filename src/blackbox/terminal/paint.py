"""Colours of a plain terminal, as SGR sequences: as many as it has, none where nobody wants them."""

from collections.abc import Mapping
from typing import Literal

from blackbox.terminal.event_marks import Tone
from blackbox.terminal.purposes import PurposeLook

Depth = Literal[0, 16, 256]
"""How many colours."""
_BASIC = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
BASIC_COLOURS = {name: place for place, name in enumerate((*_BASIC, *(f"bright_{name}" for name in _BASIC)))}
"""Numbers of the 16, by their names."""
_RESET = "\x1b[0m"
_TONES: dict[Tone, str] = {"alarm": "1;31", "warn": "33", "plain": ""}


def depth_of(environ: Mapping[str, str]) -> Depth:
    """Of the terminal that the environment tells of (`NO_COLOR`, `TERM`, `COLORTERM`)."""
    terminal = environ.get("TERM", "")
    if environ.get("NO_COLOR") or terminal in ("", "dumb"):
        return 0
    return 256 if "256color" in terminal or environ.get("COLORTERM") in ("truecolor", "24bit") else 16


class Paint:
    """Puts text into colours, or leaves it as it is."""

    def __init__(self, depth: Depth) -> None:
        self._depth: Depth = depth

    @property
    def colours(self) -> bool:
        """Whether there are any."""
        return self._depth > 0

    def purpose(self, look: PurposeLook, text: str) -> str:
        """On the colour of a purpose; dim where it has none."""
        if look.colour is None or look.basic is None:
            return self.dim(text)
        ink = "30" if look.dark_ink else "97"
        if self._depth == 256:
            return self._sgr(f"{ink};48;5;{look.colour}", text)
        return self._sgr(f"{ink};{_background(look.basic)}", text)

    def tone(self, tone: Tone, text: str) -> str:
        """As urgent as that."""
        return self._sgr(_TONES[tone], text)

    def bold(self, text: str) -> str:
        """What is to be read first."""
        return self._sgr("1", text)

    def dim(self, text: str) -> str:
        """What is to be read last."""
        return self._sgr("2", text)

    def reverse(self, text: str) -> str:
        """What must not be missed."""
        return self._sgr("7", text)

    def _sgr(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}{_RESET}" if self._depth and code and text else text


def _background(name: str) -> int:
    bright = name.startswith("bright_")
    return (100 if bright else 40) + _BASIC.index(name.removeprefix("bright_"))
