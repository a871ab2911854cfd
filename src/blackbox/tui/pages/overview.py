"""What fills, how soon, who grew, what now? Of every server, side by side where there is room."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from blackbox.model.snapshot import Engine, Gpu
from blackbox.model.text import size
from blackbox.terminal import figures
from blackbox.terminal.bar import ledger_bar, meter, names_below, spark
from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.layout import Fragment, TextLine, beside, clipped, cut, fit, spread, text_width, wrapped
from blackbox.terminal.ledger import GpuLedger, gpu_model, process_label
from blackbox.terminal.looks import look_of, tone_look
from blackbox.terminal.purposes import LOOKS
from blackbox.terminal.verdict import (
    Verdict,
    calm,
    filling,
    headline,
    if_nothing_is_done,
    seen_before,
    verdict,
    who_grew,
)
from blackbox.tui.course import NO_TREND, course_words, moved, moved_from
from blackbox.tui.feed import ServerState
from blackbox.tui.frame import series_values
from blackbox.tui.incident_rows import folded, headline_of, word_of
from blackbox.tui.scene import PageLines, Scene, line, reports, short_label, text, why_absent
from blackbox.tui.view import View

SERVER_CELLS_MIN = 78
"""A server beside another has this width at least."""
SIDE_FROM, SIDE_CELLS = 116, 38
"""From this width on, changes and incidents stand at the right."""
LABEL_CELLS, FIGURE_CELLS, SPARK_CELLS = 8, 17, 14
SPARK_FROM = 76
SMALL_SHARE = 0.02
"""A process that nobody looks into is named from this share of its GPU on."""
ROWS_MAX = 6
ENGINE_NAMES = {"vllm": "vLLM"}
"""Of those who write themselves otherwise than their kind in an answer."""


def lines(scene: Scene) -> PageLines:
    """The page."""
    columns = max(1, min(len(scene.servers), scene.width // SERVER_CELLS_MIN))
    if len(scene.servers) == 1:
        return PageLines(_server(scene, scene.width))
    width = scene.width // columns
    parts = [
        _server(scene._replace(width=width - 1, view=_of(scene, place)), width - 1)
        for place in range(len(scene.servers))
    ]
    found: list[TextLine] = []
    for first in range(0, len(parts), columns):
        for row in zip_longest(*parts[first : first + columns], fillvalue=()):
            joined: TextLine = ()
            for place, part in enumerate(row):
                joined = beside(joined, part, place * width) if place else part
            found.append(joined)
    return PageLines(found)


def _of(scene: Scene, place: int) -> View:
    return replace(scene.view, server=place)


def _server(scene: Scene, width: int) -> list[TextLine]:
    """One server."""
    server = scene.server
    found: list[TextLine] = []
    if len(scene.servers) > 1:
        found.append(_heading(scene, server, width))
    if scene.snapshot is None:
        return [*found, *waiting(scene)]
    is_wide = width >= SIDE_FROM
    inner = width - SIDE_CELLS - 2 if is_wide else width
    told = verdict(server.forecast, server.leaves, server.events) if scene.is_live else None
    found += _verdict(scene, told, width)
    rows = [row for ledger in scene.ledgers for row in _gpu(scene, ledger, inner)]
    if not scene.ledgers:
        rows = [
            line(" This machine has no GPU that Blackbox can see; 8 Health says what was tried.", scene.palette.warn)
        ]
    side = [
        *_changes(scene, SIDE_CELLS if is_wide else width),
        (),
        *_incidents(scene, SIDE_CELLS if is_wide else width),
    ]
    if is_wide:
        found += [beside(left, right, inner + 2) for left, right in zip_longest(rows, side, fillvalue=())]
    else:
        found += [*rows, (), *side]
    return [*found, (), *legend(scene, width)]


def waiting(scene: Scene) -> list[TextLine]:
    """Nothing to show yet, and why."""
    asked = scene.answers.past
    if not scene.is_live and asked.key == scene.past_key and asked.error is not None:
        return [
            (),
            *(
                line(f"  {words}")
                for words in wrapped(
                    f"Nothing can be shown of then: {asked.error}. L goes back to now.", scene.width - 4
                )
            ),
        ]
    if not scene.is_live:
        return [(), line("  Asking the recording.", scene.palette.soft)]
    if scene.server.connection.state == "lost":
        return [(), line("  The server does not answer yet.", scene.palette.soft)]
    return [(), line("  Waiting for the first sample.", scene.palette.soft)]


def _heading(scene: Scene, server: ServerState, width: int) -> TextLine:
    look = scene.palette
    state = server.connection
    words = (
        [text(f"LOST {figures.clock(state.since, scene.wall)}", look.alarm)]
        if state.state == "lost"
        else [text("LIVE", look.good)]
        if server.snapshot is not None
        else [text("connecting", look.warn)]
    )
    demo = [text(" DEMO ", look.bar)] if server.snapshot is not None and server.snapshot.simulated else []
    left = (
        text(f" {server.name} ", look.accent, f"server:{scene.view.server}"),
        *demo,
        text(f" {server.label}", look.soft),
    )
    return spread(left, (*words, text(" ")), width)


def _verdict(scene: Scene, told: Verdict | None, width: int) -> list[TextLine]:
    """The sentence that answers, and what it rests on."""
    look = scene.palette
    server = scene.server
    if not scene.is_live:
        return []
    if told is None or not told.is_alarm:
        words = calm(server.forecast, server.leaves, told, server.why_no_forecast)
        return [
            *(
                line(f" {part}", look.strong if place == 0 else None)
                for place, part in enumerate(wrapped(words, width - 2))
            ),
            (),
        ]
    found = [
        line(f"> {part}" if place == 0 else f"  {part}", look.alarm)
        for place, part in enumerate(wrapped(headline(told), width - 3))
    ]
    sentences = [
        ("Who grew: ", who_grew(told, scene.now)),
        ("Seen before: ", seen_before(told, scene.now)),
        ("If nothing is done: ", if_nothing_is_done(told, scene.now)),
    ]
    for word, sentence in sentences:
        if sentence is None:
            continue
        for place, part in enumerate(wrapped(word + sentence, width - 3)):
            bold = len(word) if place == 0 else 0
            found.append((text("  "), text(part[:bold], look.strong), text(part[bold:])))
    return [*found, ()]


def _gpu(scene: Scene, ledger: GpuLedger, width: int) -> list[TextLine]:
    """A GPU, with its slices below it."""
    if not ledger.slices:
        return _bar_rows(scene, ledger, width)
    words = f" in {figures.plural(len(ledger.slices), 'MIG slice')} · {gpu_model(ledger.gpu)} · {_gauges(ledger)}"
    figure = f"{figures.gib(ledger.gpu.used_bytes)} / {size(ledger.gpu.total_bytes)} "
    own = spread(
        (
            text(f" GPU {ledger.gpu.index}", scene.palette.strong, f"gpu:{ledger.gpu.uuid}"),
            text(words, scene.palette.soft),
        ),
        line(figure),
        width,
    )
    return [own, *(row for part in ledger.slices for row in _bar_rows(scene, part, width))]


def _bar_rows(scene: Scene, ledger: GpuLedger, width: int) -> list[TextLine]:
    gpu = ledger.gpu
    look = scene.palette
    outlook = filling(scene.server.forecast, gpu.uuid) if scene.is_live else None
    seconds = outlook.full_in_seconds if outlook is not None else None
    hot = seconds is not None and seconds <= 1800
    has_spark = width >= SPARK_FROM
    bar_cells = max(8, width - LABEL_CELLS - 1 - FIGURE_CELLS - (SPARK_CELLS + 1 if has_spark else 0))
    name = fit(("> " if hot else "  ") + short_label(gpu), LABEL_CELLS)
    label = text(name, look.alarm if hot else look.strong, f"gpu:{gpu.uuid}")
    values = series_values(scene, gpu.uuid, None, None, SPARK_CELLS) if has_spark else []
    is_known = "total_bytes" not in gpu.unknown
    if is_known:
        bar = ledger_bar(ledger.parts, gpu.total_bytes, bar_cells, scene.depth, grows=hot)
        figure = f"{figures.gib(gpu.used_bytes)} / {size(gpu.total_bytes)}"
    else:
        bar = line(fit(f"{figures.ABSENT}: {gpu.unknown['total_bytes']}", bar_cells), look.warn)
        figure = figures.ABSENT
    first = (
        label,
        *(fragment._replace(target=f"gpu:{gpu.uuid}") for fragment in bar),
        text(fit(figure, FIGURE_CELLS, "right"), look.strong),
        text(" " + spark(values, gpu.total_bytes), look.alarm if hot else look.soft),
    )
    names = names_below(ledger.parts, gpu.total_bytes, bar_cells, scene.depth)
    free = fit(f"{size(gpu.free_bytes)} free" if is_known else "", FIGURE_CELLS, "right")
    course = (
        f"full in {figures.about(seconds).replace('about ', '~')}"
        if seconds is not None
        else _course(scene, gpu, values)
    )
    second = beside(
        (text(" " * LABEL_CELLS), *names),
        (
            text(free, look.alarm if hot else None),
            text(f" {course if has_spark else ''}", look.alarm if hot else look.soft),
        ),
        LABEL_CELLS + bar_cells,
    )
    return [clipped(first, width), clipped(second, width), *_notes(scene, ledger, width)]


def _course(scene: Scene, gpu: Gpu, values: Sequence[float | None]) -> str:
    """How its memory goes where it does not fill; of the past what was recorded alone tells."""
    told = scene.server.forecast if scene.is_live else None
    outlook = next((one for one in told.gpus if one.gpu_uuid == gpu.uuid), None) if told is not None else None
    words = course_words(values, gpu.total_bytes)
    if outlook is None:
        return words
    if outlook.predictable_from is not None:
        return "too early" if words == NO_TREND else words
    if "full_in_seconds" in outlook.unknown:
        return "not known"
    return words if outlook.evidence is None else figures.per_minute(outlook.evidence.rate_bytes_per_second)


def _notes(scene: Scene, ledger: GpuLedger, width: int) -> list[TextLine]:
    """Model, gauges, engines, and what is not as it should be: one line each."""
    look = scene.palette
    gpu = ledger.gpu
    indent = " " * LABEL_CELLS
    about_it = gpu_model(gpu) if gpu.mig is not None else f"{gpu_model(gpu)} · {_gauges(ledger)}"
    pids = {one.process.pid for one in ledger.processes}
    silent = [
        process_label(one.process.name, one.process.pid)
        for one in ledger.processes
        if not reports(one.process) and one.process.used_bytes > gpu.total_bytes * SMALL_SHARE
    ]
    if silent:
        about_it += f" · inside {figures.ABSENT}: no allocator reports from {', '.join(silent)}"
    found = [line(cut(indent + about_it, width), look.soft)]
    engines = scene.snapshot.engines if scene.snapshot is not None else ()
    found += [line(cut(indent + engine_words(engine), width)) for engine in engines if pids.intersection(engine.pids)]
    if gpu.xid is not None:
        found.append(line(f"{indent}! Xid {gpu.xid.code} at {scene.clock(gpu.xid.timestamp)}", look.warn))
    if gpu.state != "ok":
        word = "LOST" if gpu.state == "lost" else gpu.state
        age = f"as of {figures.span(gpu.age_seconds)} ago"
        found.append(
            line(
                cut(f"{indent}{word} {figures.brief(gpu.age_seconds)}: {gpu.reason or 'no reason told'}, {age}", width),
                look.alarm,
            )
        )
    return found


def engine_words(engine: Engine) -> str:
    """`vLLM Qwen2.5-32B-Instruct: KV pages 558 of 640 in use, 80 cached · 13 running`."""
    used = (
        f"{engine.kv_pages_used} of {engine.kv_pages_total if engine.kv_pages_total is not None else figures.ABSENT}"
        if engine.kv_pages_used is not None
        else f"{figures.ABSENT} ({why_absent(engine.unknown, 'kv_pages_used', 'the engine does not tell')})"
    )
    cached = f", {engine.kv_pages_cached} cached" if engine.kv_pages_cached is not None else ""
    running = f" · {engine.requests_running} running" if engine.requests_running is not None else ""
    waits = f", {engine.requests_waiting} waiting" if engine.requests_waiting else ""
    kind = ENGINE_NAMES.get(engine.kind, engine.kind)
    return f"{kind} {(engine.model or '').split('/')[-1]}: KV pages {used} in use{cached}{running}{waits}"


def _gauges(ledger: GpuLedger) -> str:
    gpu = ledger.gpu
    busy = (
        f"{gpu.utilization_percent:.0f} % busy"
        if gpu.utilization_percent is not None
        else f"busy {figures.ABSENT} ({why_absent(gpu.unknown, 'utilization_percent', 'the driver does not tell')})"
    )
    heat = f" · {gpu.temperature_celsius:.0f} °C" if gpu.temperature_celsius is not None else ""
    power = f" · {gpu.power_watts:.0f} W" if gpu.power_watts is not None else ""
    return f"{busy}{heat}{power}"


def _changes(scene: Scene, width: int) -> list[TextLine]:
    """What each process took or gave back over the last two minutes, as far as they are recorded."""
    look = scene.palette
    rows, since = moved(scene), moved_from(scene)
    words = " Change" if since is None else f" Change in {figures.span(scene.now - since)}"
    head = spread(line(words, look.strong), line("GiB ", look.soft), width)
    if not rows:
        why = "told of the present alone" if not scene.is_live else "seen for too short a time"
        words = f"{figures.ABSENT}: {scene.server.no_recording or why}" if scene.leaves else "no process"
        return [head, *(line(f" {part}", look.soft) for part in wrapped(words, width - 2))]
    most = max(1.0, *(abs(one.bytes) for one in rows))
    found = [head]
    for one in rows[:ROWS_MAX]:
        label = f" {process_label(one.process.name, one.process.pid)}"
        user = f" {one.process.user or ''}{' new' if one.is_new else ''}"
        figure = f" {figures.change_gib(one.bytes)} "
        bar = meter(abs(one.bytes) / most, 8)
        grows = one.bytes > figures.GIB
        room = width - len(figure) - 9
        words = (text(cut(label, room)), text(cut(user, max(0, room - text_width(label))), look.soft))
        found.append(
            spread(
                clipped(words, room),
                (
                    text(bar, look.warn if grows else look.soft),
                    text(fit(figure, 8, "right"), look.strong if grows else None),
                ),
                width,
            )
        )
    if len(rows) > ROWS_MAX:
        found.append(line(f" {len(rows) - ROWS_MAX} more on 4 Processes", look.soft))
    return found


def _incidents(scene: Scene, width: int) -> list[TextLine]:
    """The newest, those of one kind and place as one."""
    look = scene.palette
    if scene.server.no_recording is not None:
        return [
            line(" Incidents", look.strong),
            line(cut(f" {figures.ABSENT}: {scene.server.no_recording}", width), look.soft),
        ]
    found = [line(" Incidents", look.strong, "page:incidents")]
    rows = folded([event for event in scene.server.events if event.timestamp <= scene.cursor])
    for one in rows[: ROWS_MAX - 1]:
        mark = MARKS[one.event.kind]
        times = f" ({len(one.times)} times)" if len(one.times) > 1 else ""
        when = f"{scene.clock(one.event.timestamp)} "
        tag: list[Fragment] = [
            text(f" {mark.glyph} {word_of(one.event)}", tone_look(mark.tone, scene.depth), f"incident:{one.event.id}")
        ]
        found.append(spread((*tag, text(times, look.soft)), line(when, look.soft), width))
        found.append(
            line(cut(f"   {headline_of(one.event, scene.server.events)}", width - 1), None, f"incident:{one.event.id}")
        )
    if not rows:
        found += [line(f" {part}", look.soft) for part in wrapped(scene.server.why_no_events, width - 2)]
    return found


def legend(scene: Scene, width: int) -> list[TextLine]:
    """What each letter and glyph means."""
    found: list[TextLine] = []
    current: list[Fragment] = [text(" ")]
    for purpose in LOOKS:
        word = f" {purpose.name}  "
        if sum(text_width(one.text) for one in current) + len(word) + 1 > width:
            found.append(tuple(current))
            current = [text(" ")]
        current += [text(purpose.glyph, look_of(purpose.key, scene.depth)), text(word, scene.palette.soft)]
    return [*found, tuple(current)]
