"""Looks of words and of memory at each depth of colour, for screens that draw fragments."""

from functools import cache
from typing import NamedTuple

from blackbox.terminal.colour_depth import BASIC_COLOURS, Depth
from blackbox.terminal.event_marks import Tone
from blackbox.terminal.layout import PLAIN, Look
from blackbox.terminal.purposes import DRIVER, LOOK_OF

BLACK, WHITE = 16, 15
_GLYPHS_AT_FULL_STRENGTH = ("kv_cached", DRIVER)


class Palette(NamedTuple):
    """Looks of words, at one depth of colour."""

    strong: Look
    soft: Look
    alarm: Look
    """With a word or a shape beside it, always."""
    warn: Look
    good: Look
    accent: Look
    """What can be chosen, and is."""
    bar: Look
    """A line that must not be missed."""


@cache
def palette(depth: Depth) -> Palette:
    """Colours that can be read on black and on white: nobody tells which a terminal has."""
    if depth == 0:
        bold = Look(bold=True)
        return Palette(bold, Look(dim=True), bold, bold, PLAIN, Look(bold=True, underline=True), Look(reverse=True))
    red, amber, green, blue, grey = (196, 136, 28, 33, 244) if depth == 256 else (1, 3, 2, 4, 8)
    return Palette(
        strong=Look(bold=True),
        soft=Look(ink=grey),
        alarm=Look(ink=red, bold=True),
        warn=Look(ink=amber),
        good=Look(ink=green),
        accent=Look(ink=blue, bold=True),
        bar=Look(reverse=True),
    )


def tone_look(tone: Tone, depth: Depth) -> Look:
    """Of what is as urgent as that."""
    words = palette(depth)
    return {"alarm": words.alarm, "warn": words.warn, "plain": PLAIN}[tone]


@cache
def look_of(purpose: str, depth: Depth) -> Look:
    """Of memory for a purpose: live bytes have a colour, others none."""
    found = LOOK_OF[purpose]
    if found.colour is None or found.basic is None:
        return PLAIN if purpose in _GLYPHS_AT_FULL_STRENGTH else palette(depth).soft
    if depth == 0:
        return Look(bold=True)
    ground = found.colour if depth == 256 else BASIC_COLOURS[found.basic]
    return Look(ink=BLACK if found.dark_ink else WHITE, ground=ground)
