"""When did it begin? Memory of each GPU over the strip's time, and what happened meanwhile."""

from blackbox.model.text import size
from blackbox.terminal import figures
from blackbox.terminal.bar import SPARKS
from blackbox.terminal.event_marks import MARKS
from blackbox.terminal.layout import TextLine, cut, fit
from blackbox.terminal.ledger import GpuLedger, gpu_label
from blackbox.terminal.looks import tone_look
from blackbox.tui.course import course_words
from blackbox.tui.frame import STRIP_LABEL_CELLS, series_values, strip_range, strip_width, time_cells
from blackbox.tui.pages.overview import waiting
from blackbox.tui.scene import PageLines, Scene, line, text

ROWS_MIN, ROWS_MAX = 2, 8
TICKS = 5
MARKS_SHOWN = 8


def lines(scene: Scene) -> PageLines:
    """The page."""
    if scene.server.snapshot is None:
        return PageLines(waiting(scene))
    if scene.server.no_recording is not None:
        return PageLines([(), line(f"  No course over time: {scene.server.no_recording}", scene.palette.soft)])
    leaves = scene.leaves
    room = (scene.height - 3 - MARKS_SHOWN) // max(1, len(leaves)) - 1
    rows = min(ROWS_MAX, max(ROWS_MIN, room))
    found: list[TextLine] = []
    for leaf in leaves:
        found += _chart(scene, leaf, rows)
    return PageLines([*found, _axis(scene), (), *_marks(scene)])


def _chart(scene: Scene, leaf: GpuLedger, rows: int) -> list[TextLine]:
    """Bars of the largest reading in each column, from 0 at the bottom to the GPU's total at the top."""
    look, gpu = scene.palette, leaf.gpu
    width = strip_width(scene)
    values = series_values(scene, gpu.uuid, None, None, width, high=True)
    start, end = strip_range(scene)
    cursor = None if scene.is_live else int((scene.cursor - start) / (end - start) * width)
    found: list[TextLine] = [
        (
            text(fit(f" {gpu_label(gpu)}", STRIP_LABEL_CELLS), look.strong, f"gpu:{gpu.uuid}"),
            text(f"{_at(values, cursor)} of {size(gpu.total_bytes)}"),
            text(f"  {course_words(values, gpu.total_bytes)}", look.soft),
        )
    ]
    for row in range(rows - 1, -1, -1):
        label = size(gpu.total_bytes) if row == rows - 1 else "0 GiB" if row == 0 else ""
        signs = "".join(_sign(value, gpu.total_bytes, rows, row) for value in values)
        found.append((text(fit(f" {label}", STRIP_LABEL_CELLS), look.soft), *time_cells(scene, signs, cursor)))
    return found


def _sign(value: float | None, total: int, rows: int, row: int) -> str:
    """The part of a bar that stands in a row."""
    filled = 0.0 if value is None or total <= 0 else value / total * rows - row
    eighths = min(len(SPARKS), max(0, round(filled * len(SPARKS))))
    return " " if eighths == 0 else SPARKS[eighths - 1]


def _at(values: list[float | None], cursor: int | None) -> str:
    """The reading at the cursor, or the newest."""
    place = len(values) - 1 if cursor is None else cursor
    seen = [value for value in values[: place + 1] if value is not None]
    return size(seen[-1]) if seen else figures.ABSENT


def _axis(scene: Scene) -> TextLine:
    """Times of day, evenly."""
    width = strip_width(scene)
    start, end = strip_range(scene)
    step = max(1, width // TICKS)
    words = "".join(
        fit(scene.clock(start + place * (end - start) / width)[-8:], step) for place in range(0, width - 8, step)
    )
    return text(" " * STRIP_LABEL_CELLS), text(words, scene.palette.soft)


def _marks(scene: Scene) -> list[TextLine]:
    """What happened in this time, newest first."""
    table = scene.answers.chart.value
    if table is None:
        return []
    found: list[TextLine] = []
    for mark in reversed(table.chart.marks):
        sign = MARKS[mark.kind]
        words = f" {sign.glyph} {scene.clock(mark.timestamp)} {mark.message}"
        found.append(line(cut(words, scene.width - 1), tone_look(sign.tone, scene.depth), f"mark:{mark.timestamp}"))
    return found or [line(" nothing happened in this time", scene.palette.soft)]
