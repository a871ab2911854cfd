"""What stands around every page: name and pages above, the strip of time, what can be done below."""

from blackbox.model.query import Mark, Number
from blackbox.terminal import figures
from blackbox.terminal.bar import spark
from blackbox.terminal.demo import DEMO
from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.layout import Fragment, TextLine, clipped, cut, fit, spread, wrapped
from blackbox.terminal.ledger import GpuLedger, gpu_label
from blackbox.terminal.looks import tone_look
from blackbox.tui.feed import ServerState
from blackbox.tui.scene import Scene, line, text
from blackbox.tui.view import PAGES, TITLES

STRIP_LABEL_CELLS = 15
STRIP_END_CELLS = 14
STRIP_UNTOLD_SECONDS = 3.0
"""A recording that begins so near to the strip's own begin is as good as whole."""
TIME_TARGET = "time"
"""Of cells that stand for times: which, the column tells."""
ABBREVIATED_BELOW = 81
"""Narrower than this, pages that are not shown are named by three letters."""
_URGENCY = {kind: place for place, kind in enumerate(MARKS)}
QUIET = ("process_start", "process_exit", "gpu_back", "source_back")
"""Kinds that share a column with anything else without being seen."""


def head(scene: Scene) -> list[TextLine]:
    """Two lines, and one more where what is shown is not the present."""
    lines = [_title(scene), _tabs(scene)]
    lost = _lost(scene)
    if lost is not None:
        lines += [line(fit(f" {part}", scene.width), scene.palette.bar) for part in wrapped(lost, scene.width - 2)]
    elif not scene.is_live:
        lines.append(line(fit(f" {_past(scene)}", scene.width), scene.palette.bar, "live"))
    return lines


def _title(scene: Scene) -> TextLine:
    look = scene.palette
    server = scene.server
    left = [text(" Blackbox ", look.strong)]
    if server.snapshot is not None and server.snapshot.simulated:
        left.append(text(f" {DEMO} ", look.bar))
    left.append(text(f" {cut(server.name, 30)}"))
    if len(scene.servers) > 1:
        left.append(text(f" (server {scene.view.server + 1} of {len(scene.servers)}, Tab: next)", look.soft, "server"))
    return spread(clipped(tuple(left), scene.width - 24), (*_state(scene, server), text(" ")), scene.width)


def _state(scene: Scene, server: ServerState) -> TextLine:
    look = scene.palette
    if server.connection.state == "lost":
        return line("LOST", look.alarm)
    if server.snapshot is None:
        return line("connecting", look.warn)
    if not scene.is_live:
        word = "PAUSED" if scene.view.paused else "PAST"
        return (
            text(word, look.warn),
            text(f" {scene.clock(scene.cursor)}"),
            text(f" {figures.zone_name(scene.cursor)}", look.soft),
        )
    return (
        text("LIVE", look.good),
        text(f" {scene.clock(scene.now)}"),
        text(f" {figures.zone_name(scene.now)}", look.soft),
    )


def _tabs(scene: Scene) -> TextLine:
    look = scene.palette
    found: list[Fragment] = []
    alarms = sum(event.kind in ("oom", "crash") for event in scene.server.events)
    for number, page in enumerate(PAGES, 1):
        shown = page == scene.view.page and not scene.view.helps
        title = TITLES[page] if shown or scene.width >= ABBREVIATED_BELOW else TITLES[page][:3]
        badge = f" {alarms}" if page == "incidents" and alarms and scene.width > ABBREVIATED_BELOW else ""
        found.append(text(f" {number}", look.soft, f"page:{page}"))
        found.append(text(f" {title}{badge} ", look.bar if shown else None, f"page:{page}"))
    return tuple(found)


def _lost(scene: Scene) -> str | None:
    """What is wrong with the connection, when it is tried again, and of when the figures are."""
    server = scene.server
    found = server.connection
    if found.state != "lost":
        return None
    again = max(0.0, (found.retry_at or 0.0) - scene.wall)
    as_of = f"What you see is of {scene.clock(scene.now)}." if server.snapshot is not None else "Nothing came yet."
    return f"LOST {figures.clock(found.since, scene.wall)}: {found.reason}. Trying again in {again:.0f} s. {as_of}"


def _past(scene: Scene) -> str:
    time = scene.clock(scene.cursor, tenths=scene.view.event is not None)
    age = figures.span(scene.now - scene.cursor)
    if scene.view.paused:
        return f"PAUSED {time}, {age} ago (space goes on)"
    error = scene.answers.past.error if scene.answers.past.key == scene.past_key else None
    if error is not None:
        return f"PAST {time} cannot be shown: {error} (L live)"
    return f"PAST {time}, {age} ago (L live, left and right: other times)"


def strip(scene: Scene) -> list[TextLine]:
    """Two lines: marks, and the memory of one GPU over time. A click looks at that time."""
    width = strip_width(scene)
    leaf = strip_leaf(scene)
    start, end = strip_range(scene)
    if leaf is None:
        return [(), line(" no GPU", scene.palette.soft)]
    label = text(fit(f" {gpu_label(leaf.gpu)}", STRIP_LABEL_CELLS), scene.palette.strong, "gpu")
    values = strip_values(scene, leaf, width)
    sparks = spark(values, leaf.gpu.total_bytes)
    cursor = None if scene.is_live else int((scene.cursor - start) / (end - start) * width)
    shown = time_cells(scene, sparks, cursor)
    ending = text(fit(f" {_strip_reach(scene, start, end)}", STRIP_END_CELLS), scene.palette.soft)
    if not any(value is not None for value in values):
        shown = line(fit(_why_no_strip(scene), width), scene.palette.soft)
    return [(text(" " * STRIP_LABEL_CELLS), *_marks(scene, start, end, width)), (label, *shown, ending)]


def recorded_from(scene: Scene) -> float | None:
    """When the recording begins, as far as the strip's answer tells."""
    table = scene.answers.chart.value
    return table.chart.recorded_from if table is not None else None


def _strip_reach(scene: Scene, start: float, end: float) -> str:
    """`5m00s to now`, `from 11:53:41` where the recording begins then, `5m00s`."""
    begin = recorded_from(scene)
    if begin is not None and start + STRIP_UNTOLD_SECONDS < begin < end:
        return f"from {scene.clock(begin)}"
    return f"{figures.brief(scene.view.span_seconds)} {'to now' if end >= scene.now else ''}"


def time_cells(scene: Scene, signs: str, cursor: int | None) -> TextLine:
    """One sign for each cell of the strip's time, that of the time looked at in reverse. A click looks at that time."""
    look = scene.palette.accent._replace(bold=False)
    if cursor is None or not 0 <= cursor < len(signs):
        return (text(signs, look, TIME_TARGET),)
    return (
        text(signs[:cursor], look, TIME_TARGET),
        text(signs[cursor], scene.palette.bar, TIME_TARGET),
        text(signs[cursor + 1 :], look, TIME_TARGET),
    )


def _why_no_strip(scene: Scene) -> str:
    reason = scene.answers.chart.error or scene.server.no_recording or "the recording has not answered yet"
    return f"{figures.ABSENT}: {reason}"


def strip_width(scene: Scene) -> int:
    """Cells that stand for time."""
    return max(1, scene.width - STRIP_LABEL_CELLS - STRIP_END_CELLS)


def strip_range(scene: Scene) -> tuple[float, float]:
    """First and last time of the strip: to now, or around a time further back."""
    span = scene.view.span_seconds
    if scene.is_live or scene.cursor >= scene.now - span:
        return scene.now - span, scene.now
    return scene.cursor - span / 2, scene.cursor + span / 2


def strip_leaf(scene: Scene) -> GpuLedger | None:
    """The GPU on the strip: the chosen one, or the fullest."""
    leaves = scene.server.leaves
    chosen = next((leaf for leaf in leaves if leaf.gpu.uuid == scene.view.gpu), None)
    return chosen or max(leaves, key=lambda leaf: leaf.gpu.used_percent, default=None)


def strip_values(scene: Scene, leaf: GpuLedger, width: int) -> list[float | None]:
    """Its memory in each cell; None where nothing was measured."""
    return series_values(scene, leaf.gpu.uuid, None, None, width)


def series_values(
    scene: Scene, uuid: str, pid: int | None, start_time: float | None, width: int, *, high: bool = False
) -> list[float | None]:
    """Used memory of a GPU, or of a process on it, in each of `width` cells of the strip's time."""
    found: list[float | None] = [None] * width
    table = scene.answers.chart.value
    series = table.series.get((uuid, pid, start_time)) if table is not None else None
    if table is None or series is None:
        return found
    chart, values = table.chart, series.high if high else series.mean
    start, end = strip_range(scene)
    steps_per_cell = (end - start) / width / chart.step_seconds
    first = (start - chart.start) / chart.step_seconds
    for cell in range(width):
        stop = first + (cell + 1) * steps_per_cell
        found[cell] = _newest(values, int(stop - steps_per_cell), max(int(stop - steps_per_cell) + 1, int(stop)))
    return found


def _newest(values: list[Number | None], first: int, stop: int) -> float | None:
    """The last of these steps in which something was measured."""
    for step in range(min(stop, len(values)) - 1, max(0, first) - 1, -1):
        if values[step] is not None:
            return values[step]
    return None


def _marks(scene: Scene, start: float, end: float, width: int) -> TextLine:
    """What happened, the most urgent of each cell."""
    table = scene.answers.chart.value
    cells: dict[int, Mark] = {}
    for mark in table.chart.marks if table is not None else ():
        place = int((mark.timestamp - start) / (end - start) * width)
        if 0 <= place < width and (place not in cells or _rank(mark) < _rank(cells[place])):
            cells[place] = mark
    found: list[Fragment] = []
    at = 0
    for place, mark in sorted(cells.items()):
        sign = MARKS[mark.kind]
        look = scene.palette.soft if mark.kind in QUIET else tone_look(sign.tone, scene.depth)
        found.append(text(" " * (place - at)))
        found.append(text(sign.glyph, look, f"mark:{mark.timestamp}"))
        at = place + 1
    return tuple(found)


def _rank(mark: Mark) -> tuple[bool, int]:
    return mark.kind in QUIET, _URGENCY[mark.kind]


HINTS = {
    "overview": "Enter its map",
    "map": "P next process",
    "processes": "O order  Enter its map",
    "moment": "T icicle, purpose, thread  Z into",
    "compare": "A B mark  X swap",
    "incidents": "M its moment  C compare",
}


def foot(scene: Scene) -> TextLine:
    """The keys that matter here; or the filter while it is written."""
    look = scene.palette
    view = scene.view
    if view.typing:
        return (
            text(" filter: ", look.strong),
            text(view.filter + "_"),
            text("  Enter keeps it, Esc clears it", look.soft),
        )
    left: list[Fragment] = [text(" ?", look.strong, "help"), text(" keys  ", look.soft, "help")]
    left += [text("space", look.strong, "pause"), text(" pause  " if scene.is_live else " go on  ", look.soft, "pause")]
    left += [
        text("←→", look.strong),
        text(" time  ", look.soft),
        text("/", look.strong, "filter"),
        text(" filter  ", look.soft, "filter"),
    ]
    left += [text("G", look.strong, "gpu"), text(" GPU  ", look.soft, "gpu"), text(HINTS.get(view.page, ""), look.soft)]
    right: list[Fragment] = []
    if view.filter:
        right.append(text(f"filter: {view.filter}  ", look.warn, "filter"))
    if view.a is not None or view.b is not None:
        marks = [f"{name} {scene.clock(at)}" for name, at in (("A", view.a), ("B", view.b)) if at is not None]
        right.append(text("  ".join(marks) + "  ", look.warn))
    right += [text("q", look.strong, "quit"), text(" quit ", look.soft, "quit")]
    return spread(tuple(left), tuple(right), scene.width)
