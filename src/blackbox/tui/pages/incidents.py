"""What went wrong, why, and what would have helped?"""

from collections.abc import Sequence
from typing import Any, cast

from blackbox.model.query import NumberedEvent
from blackbox.model.text import size
from blackbox.terminal import figures
from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.layout import TextLine, cut, fit, spread, wrapped
from blackbox.terminal.looks import tone_look
from blackbox.tui.incident_rows import IncidentRow, headline_of, shown_incidents, word_of
from blackbox.tui.pages.overview import waiting
from blackbox.tui.requests import has_report, report_key
from blackbox.tui.scene import PageLines, Scene, line, place_of, text

LIST_SHARE = 2
"""The list takes at most one in so many lines; the chosen one's detail stands below."""
CAUSE_WORDS = {
    "neighbour": "Other processes",
    "shortage": "Too little memory",
    "limit": "A limit",
    "unknown": "Cause unknown",
}


def lines(scene: Scene) -> PageLines:
    """The page."""
    server, look = scene.server, scene.palette
    if server.snapshot is None:
        return PageLines(waiting(scene))
    if server.no_recording is not None:
        return PageLines([(), line(f"  No incidents are kept: {server.no_recording}", look.soft)])
    rows = shown_incidents(scene)
    if not rows:
        words = server.why_no_events if not server.events else "no incident of this kind in what is kept"
        return PageLines([(), *(line(f"  {part}", look.soft) for part in wrapped(words, scene.width - 4))])
    chosen = min(scene.view.chosen, len(rows) - 1)
    room = max(3, scene.height // LIST_SHARE)
    first = max(0, min(chosen - room + 1, len(rows) - room)) if chosen >= room else 0
    found = [
        _row(scene, row, first + place == chosen, first + place) for place, row in enumerate(rows[first : first + room])
    ]
    if len(rows) > room:
        last = min(len(rows), first + room)
        found.append(
            line(f"   {first + 1} to {last} of {len(rows)}, newest first; repeats in one place are one row", look.soft)
        )
    return PageLines([*found, (), *_detail(scene, rows[chosen])], len(rows))


def _row(scene: Scene, row: IncidentRow, is_chosen: bool, place: int) -> TextLine:
    sign = MARKS[row.event.kind]
    look = scene.palette.bar if is_chosen else tone_look(sign.tone, scene.depth)
    target = f"row:{place}"
    when = f"{scene.clock(row.event.timestamp)} "
    times = f" ({len(row.times)} times)" if len(row.times) > 1 else ""
    left = (
        text(f" {sign.glyph} {fit(word_of(row.event), 14)}", look, target),
        text(f" {headline_of(row.event, scene.server.events)}", None, target),
    )
    return spread(left, (text(times, scene.palette.soft, target), text(f"  {when}", None, target)), scene.width)


def _detail(scene: Scene, row: IncidentRow) -> list[TextLine]:
    event, look = row.event, scene.palette
    place = "the machine" if event.gpu_uuid is None else f"GPU {place_of(scene, event.gpu_uuid)}"
    pid = "" if event.pid is None else f" · pid {event.pid}"
    when = f"{scene.clock(event.timestamp, tenths=True)}, {figures.span(scene.now - event.timestamp)} ago"
    found: list[TextLine] = [
        line(f" {part}", look.strong) for part in wrapped(headline_of(event, scene.server.events), scene.width - 2)
    ]
    found.append(line(cut(f" {when} · {place}{pid}", scene.width), look.soft))
    found += [*_report(scene, event), *_facts(scene, event), *_repeats(scene, row)]
    found.append(line(" M: what lived at that moment · C: compare with 5 min before · Enter: map then", look.soft))
    return found


def _report(scene: Scene, event: NumberedEvent) -> list[TextLine]:
    """The server's verdict: causes, then what would have helped."""
    if not has_report(event):
        return []
    asked = scene.answers.report
    key = report_key(scene, event.id)
    told = asked.of(key)
    if told is None:
        why = (
            f"Verdict {figures.ABSENT}: {asked.error}"
            if asked.key == key and asked.error
            else "Asking for the verdict."
        )
        return [line(f" {part}", scene.palette.soft) for part in wrapped(why, scene.width - 2)]
    found: list[TextLine] = []
    for place, cause in enumerate(_dicts(told.get("causes"))):
        name = str(cause.get("cause", ""))
        word = CAUSE_WORDS.get(name, name.capitalize())
        word = word if place == 0 else f"Broke on {word.lower()}"
        found += _labelled(
            scene, f"{word}: ", " ".join(str(why) for why in cast(Sequence[object], cause.get("why", ())))
        )
    if not found:
        found.append(line(" The figures name no cause."))
    for advice in _dicts(told.get("advice")):
        brought = advice.get("bytes")
        figure = f" ({size(brought)})" if isinstance(brought, int) else ""
        found += _labelled(scene, f"Would have helped: {advice.get('title')}{figure}. ", str(advice.get("text", "")))
    return found


def _dicts(value: object) -> list[dict[str, Any]]:
    return (
        [cast("dict[str, Any]", one) for one in cast("list[object]", value) if isinstance(one, dict)]
        if isinstance(value, list)
        else []
    )


def _labelled(scene: Scene, label: str, words: str) -> list[TextLine]:
    found: list[TextLine] = []
    for place, part in enumerate(wrapped(label + words, scene.width - 2, 2)):
        bold = min(len(part), len(label.rstrip())) if place == 0 else 0
        found.append((text(" "), text(part[:bold], scene.palette.strong), text(part[bold:])))
    return found


def _facts(scene: Scene, event: NumberedEvent) -> list[TextLine]:
    words: list[str] = []
    if event.oom is not None:
        free = event.oom.device_free_bytes
        told = figures.ABSENT if free is None else size(free)
        words.append(f"asked for {size(event.oom.requested_bytes)}; free on the GPU then: {told}")
    if event.process is not None and event.process.peak_used_bytes is not None:
        words.append(f"it held at most {size(event.process.peak_used_bytes)}")
    if event.growth is not None:
        words.append(f"grew {figures.change(event.growth.rise_bytes)} in {figures.span(event.growth.rise_seconds)}")
    if event.threshold is not None:
        words.append(f"used then: {event.threshold.used_percent:.1f} %")
    return [
        line(f" {part}") for sentence in words for part in wrapped(sentence[:1].upper() + sentence[1:], scene.width - 2)
    ]


def _repeats(scene: Scene, row: IncidentRow) -> list[TextLine]:
    if len(row.times) < 2:
        return []
    every = (row.times[0] - row.times[-1]) / (len(row.times) - 1)
    before = ", ".join(scene.clock(time) for time in row.times[1:6])
    words = f"{len(row.times)} times since {scene.clock(row.times[-1])}, every {figures.span(every)}; before: {before}"
    return [line(f" {part}", scene.palette.soft) for part in wrapped(words, scene.width - 2)]
