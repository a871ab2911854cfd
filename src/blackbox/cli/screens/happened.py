"""Events on one screen: local times, a mark for each kind, days apart."""

import re
from collections.abc import Iterator, Sequence

from blackbox.cli.common.screen import Screen
from blackbox.model.query import NumberedEvent
from blackbox.model.text import size
from blackbox.model.times import TIME_SECONDS_MAX, local_text
from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.figures import clock, plural
from blackbox.terminal.layout import Fragment, TextLine, wrapped
from blackbox.terminal.looks import palette, tone_look

_RAW_BYTES = re.compile(r"\b([0-9]{4,20}) bytes\b")
"""Messages of older recordings, and of frameworks, tell sizes so."""
WORD_WIDTH = 13
"""Of the longest word for a kind."""


def message(event: NumberedEvent) -> str:
    """What happened, with sizes as people read them, and the process where the text does not name it."""
    text = _RAW_BYTES.sub(lambda match: size(int(match[1])), event.message)
    return text if event.pid is None or str(event.pid) in text else f"pid {event.pid}: {text}"


def lines(events: Sequence[NumberedEvent], now: float, screen: Screen, most: int | None) -> Iterator[TextLine]:
    """The newest of them that fit on `most` lines, oldest first; None: all."""
    soft = palette(screen.depth).soft
    if not events:
        yield (Fragment("Nothing happened in that time that Blackbox tells of.", soft),)
        return
    shown: list[TextLine] = []
    count = 0
    for event in reversed(events):
        found = tuple(_of_event(event, now, screen))
        if most is not None and shown and len(shown) + len(found) > most - 2:
            break
        shown = [*found, *shown]
        count += 1
    if count < len(events):
        text = f"The newest {count} of {plural(len(events), 'event')}: --from, --kind or --limit show others"
        yield (Fragment(text, soft),)
    yield from shown
    yield (Fragment(f"Times are local; the last is {local_text(_in_calendar(events[-1].timestamp))}.", soft),)


def _in_calendar(seconds: float) -> float:
    return min(max(0.0, seconds), TIME_SECONDS_MAX)


def _of_event(event: NumberedEvent, now: float, screen: Screen) -> Iterator[TextLine]:
    """As many lines as its message takes."""
    mark = MARKS[event.kind]
    when = clock(_in_calendar(event.timestamp), now)
    head = f"{when}  {mark.glyph} {mark.word:<{WORD_WIDTH}} "
    first, *rest = wrapped(message(event), screen.width - len(head))
    soft = palette(screen.depth).soft
    yield (
        Fragment(when, soft),
        Fragment(head[len(when) :], tone_look(mark.tone, screen.depth)),
        Fragment(first),
    )
    yield from ((Fragment(" " * len(head) + line),) for line in rest)
