"""Events as rows: repeats of one kind on one device are one row, told by its newest."""

from collections.abc import Sequence
from typing import NamedTuple

from blackbox.model.query import NumberedEvent
from blackbox.model.text import size
from blackbox.terminal.event_marks import MARKS
from blackbox.tui.frame import QUIET
from blackbox.tui.scene import Scene, names_of


class IncidentRow(NamedTuple):
    """Events of the same kind in the same place."""

    event: NumberedEvent
    """The newest."""
    times: tuple[float, ...]
    """Of all, newest first."""


def folded(events: Sequence[NumberedEvent], *, quiet: bool = False) -> list[IncidentRow]:
    """Newest first; `quiet`: starts, ends and returns too."""
    rows: dict[tuple[object, ...], IncidentRow] = {}
    for event in reversed(events):
        if not quiet and (event.kind in QUIET or (event.threshold is not None and not event.threshold.above)):
            continue
        above = event.threshold.above if event.threshold is not None else None
        name = event.process.name if event.process is not None and event.kind in QUIET else None
        key = event.kind, event.gpu_uuid, event.code, above, name
        row = rows.get(key)
        rows[key] = (
            IncidentRow(event, (event.timestamp,)) if row is None else row._replace(times=(*row.times, event.timestamp))
        )
    return list(rows.values())


def word_of(event: NumberedEvent) -> str:
    """`OOM`, `Xid 63`, `95 %`."""
    if event.kind in ("xid", "ecc") and event.code is not None:
        return f"{MARKS[event.kind].word} {event.code}"
    if event.threshold is not None:
        return f"{'' if event.threshold.above else '< '}{event.threshold.threshold_percent:g} %"
    return MARKS[event.kind].word


def headline_of(event: NumberedEvent, events: Sequence[NumberedEvent]) -> str:
    """One sentence."""
    if event.oom is not None and event.pid is not None:
        name = names_of(events).get(event.pid, "process")
        return f"{name} {event.pid} ran out of memory: it asked for {size(event.oom.requested_bytes)}"
    return event.message[:1].upper() + event.message[1:]


def shown_incidents(scene: Scene) -> list[IncidentRow]:
    """Those that the filter and the chosen GPU let pass; with a filter, quiet ones too."""
    words = scene.view.filter.lower().split()
    events = scene.server.events
    return [
        row
        for row in folded(events, quiet=bool(words))
        if scene.view.gpu in (None, row.event.gpu_uuid)
        and all(word in f"{word_of(row.event)} {headline_of(row.event, events)}".lower() for word in words)
    ]
