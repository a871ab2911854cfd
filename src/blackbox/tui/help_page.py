"""Keys, letters and marks."""

from itertools import zip_longest

from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.layout import TextLine, beside, fit
from blackbox.terminal.looks import look_of, tone_look
from blackbox.terminal.purposes import LOOKS
from blackbox.tui.actions import STEPS
from blackbox.tui.scene import PageLines, Scene, line, text

KEY_CELLS = 12
COLUMN_CELLS = 60


def lines(scene: Scene) -> PageLines:
    """The page."""
    look = scene.palette
    keys: list[TextLine] = [line(" Keys", look.strong)]
    keys += [
        (text(fit(f"  {step.shown}", KEY_CELLS), look.strong), text(step.help))
        for step in STEPS
        if not step.shown.isdigit()
    ]
    keys.append((text(fit("  1 to 8", KEY_CELLS), look.strong), text("pages, as on the dashboard")))
    keys.append((text(fit("  q", KEY_CELLS), look.strong), text("leave")))
    signs: list[TextLine] = [line(" Memory is for", look.strong)]
    signs += [(text("  "), text(one.glyph, look_of(one.key, scene.depth)), text(f" {one.name}")) for one in LOOKS]
    signs += [(), line(" Marks", look.strong)]
    words: dict[str, list[str]] = {}
    for mark in MARKS.values():
        words.setdefault(mark.glyph, []).append(mark.word)
    tones = {mark.glyph: tone_look(mark.tone, scene.depth) for mark in reversed(MARKS.values())}
    signs += [(text("  "), text(glyph, tones[glyph]), text(f" {', '.join(names)}")) for glyph, names in words.items()]
    signs += [(text("  >"), text(" it fills soon; >>> where free memory stands"))]
    if scene.width < 2 * COLUMN_CELLS - 10:
        return PageLines([*keys, (), *signs])
    return PageLines([beside(left, right, COLUMN_CELLS) for left, right in zip_longest(keys, signs, fillvalue=())])
