"""Who holds what, who grows? Rows keep their place: an order holds until the next, and no tick moves a row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from blackbox.model.query import NumberedEvent
from blackbox.model.snapshot import Process
from blackbox.model.text import size
from blackbox.terminal import figures
from blackbox.terminal.bar import ledger_bar, spark
from blackbox.terminal.layout import PLAIN, Align, Fragment, TextLine, cut, fit, wrapped
from blackbox.terminal.ledger import GpuLedger, ProcessLedger, gpu_label, process_label
from blackbox.terminal.verdict import filling
from blackbox.tui.course import course_words
from blackbox.tui.frame import series_values
from blackbox.tui.pages.overview import engine_words, waiting
from blackbox.tui.scene import NO_ALLOCATOR, PageLines, Scene, line, reports, text
from blackbox.tui.view import Order

BAR_CELLS, SPARK_CELLS = 14, 10
GONE_SECONDS = 3600.0
GONE_SHOWN = 5


class ProcessRow(NamedTuple):
    """A process, and the GPU it is on."""

    ledger: ProcessLedger
    gpu: GpuLedger

    @property
    def process(self) -> Process:
        """The process."""
        return self.ledger.process

    @property
    def key(self) -> tuple[str, int, float | None]:
        """Its identity."""
        return self.process.gpu_uuid, self.process.pid, self.process.start_time


@dataclass(frozen=True)
class TableColumn:
    """One column: its head, its width, the order in which columns are given up, and what it shows and sorts by."""

    head: str
    cells: int
    rank: int
    """Columns with a larger one go first where there is no room."""
    align: Align
    show: Callable[[Scene, ProcessRow], str]
    value: Callable[[Scene, ProcessRow], float | str]


def _peak(scene: Scene, row: ProcessRow) -> float | None:
    found = scene.server.peaks.get(row.key)
    return None if found is None else max(found, row.process.used_bytes)


def _rate(scene: Scene, row: ProcessRow) -> float | None:
    outlook = filling(scene.server.forecast, row.process.gpu_uuid, row.process.pid) if scene.is_live else None
    return outlook.evidence.rate_bytes_per_second if outlook is not None and outlook.evidence is not None else None


def _rate_words(scene: Scene, row: ProcessRow) -> str:
    rate = _rate(scene, row)
    if rate is not None:
        return figures.change_gib(rate * 60)
    words = course_words(_values(scene, row), row.gpu.gpu.total_bytes)
    return {"flat": "0.0", "n/a yet": figures.ABSENT, "no trend": "no trend"}.get(words, "swings")


def _values(scene: Scene, row: ProcessRow) -> list[float | None]:
    return series_values(scene, row.process.gpu_uuid, row.process.pid, row.process.start_time, SPARK_CELLS)


def _age(scene: Scene, row: ProcessRow) -> float | None:
    start = row.process.start_time
    return None if start is None else scene.cursor - start


def _gib(value: float | None) -> str:
    return figures.ABSENT if value is None else figures.gib(value)


def _inside(row: ProcessRow, value: float | None) -> float | None:
    return value if row_reports(row) else None


def row_reports(row: ProcessRow) -> bool:
    """An allocator tells what is inside."""
    return reports(row.process)


COLUMNS: tuple[TableColumn, ...] = (
    TableColumn("pid", 8, 0, "right", lambda _, row: str(row.process.pid), lambda _, row: row.process.pid),
    TableColumn("name", 17, 0, "left", lambda _, row: row.process.name, lambda _, row: row.process.name),
    TableColumn(
        "user", 10, 4, "left", lambda _, row: row.process.user or figures.ABSENT, lambda _, row: row.process.user or ""
    ),
    TableColumn(
        "GPU",
        11,
        1,
        "left",
        lambda _, row: gpu_label(row.gpu.gpu).removeprefix("GPU "),
        lambda _, row: gpu_label(row.gpu.gpu),
    ),
    TableColumn(
        "used GiB",
        11,
        0,
        "right",
        lambda _, row: figures.gib(row.process.used_bytes),
        lambda _, row: row.process.used_bytes,
    ),
    TableColumn("%", 5, 2, "right", lambda _, row: f"{_share(row) * 100:.0f}", lambda _, row: _share(row)),
    TableColumn("what for", BAR_CELLS + 2, 5, "left", lambda _s, _r: "", lambda _, row: row.process.used_bytes),
    TableColumn(
        "in use",
        7,
        2,
        "right",
        lambda _, row: _gib(row.process.allocated_bytes),
        lambda _, row: row.process.allocated_bytes or -1,
    ),
    TableColumn(
        "reserved",
        9,
        8,
        "right",
        lambda _, row: _gib(_inside(row, row.process.reserved_bytes)),
        lambda _, row: _inside(row, row.process.reserved_bytes) or -1,
    ),
    TableColumn(
        "peak", 7, 6, "right", lambda scene, row: _gib(_peak(scene, row)), lambda scene, row: _peak(scene, row) or -1
    ),
    TableColumn("GiB/min", 9, 1, "right", _rate_words, lambda scene, row: _rate(scene, row) or 0.0),
    TableColumn(
        "course",
        SPARK_CELLS + 1,
        7,
        "right",
        lambda scene, row: spark(_values(scene, row), row.gpu.gpu.total_bytes),
        lambda scene, row: _rate(scene, row) or 0.0,
    ),
    TableColumn(
        "age", 8, 3, "right", lambda scene, row: _brief(_age(scene, row)), lambda scene, row: _age(scene, row) or 0.0
    ),
)
RANKS: list[int] = sorted({column.rank for column in COLUMNS}, reverse=True)


def _brief(seconds: float | None) -> str:
    return figures.ABSENT if seconds is None else figures.brief(seconds)


def _share(row: ProcessRow) -> float:
    return row.process.used_bytes / row.gpu.gpu.total_bytes if row.gpu.gpu.total_bytes else 0.0


def columns_for(width: int) -> tuple[TableColumn, ...]:
    """The columns that fit, the least needed left out first."""
    shown = COLUMNS
    for rank in RANKS:
        if sum(column.cells for column in shown) + 1 <= width:
            break
        shown = tuple(column for column in shown if column.rank < rank or rank == 0)
    return shown


def rows_of(scene: Scene) -> list[ProcessRow]:
    """Those that the filter lets pass, in the order that was asked for."""
    every = [ProcessRow(ledger, leaf) for leaf in scene.leaves for ledger in leaf.processes]
    words = scene.view.filter.lower().split()
    found = [row for row in every if all(word in _searched(row) for word in words)]
    order = scene.view.order
    if order is None:
        return found
    places = {key: place for place, key in enumerate(order.keys)}
    return sorted(found, key=lambda row: places.get(row.key, len(places)))


def _searched(row: ProcessRow) -> str:
    one = row.process
    return " ".join(
        str(word) for word in (one.name, one.pid, one.user, one.container, gpu_label(row.gpu.gpu), one.kind)
    ).lower()


def sort(scene: Scene, head: str) -> None:
    """By a column, largest first; again: the other way round. It is then kept as it is."""
    column = next((one for one in COLUMNS if one.head == head), COLUMNS[0])
    rows = rows_of(scene._replace(view=scene.view))
    before = scene.view.order
    numbers = all(not isinstance(column.value(scene, row), str) for row in rows)
    descending = not before.descending if before is not None and before.column == head else numbers
    ordered = sorted(rows, key=lambda row: column.value(scene, row), reverse=descending)
    scene.view.order = Order(head, descending, tuple(row.key for row in ordered))


def sort_by_next(scene: Scene) -> None:
    """By the next of the columns shown; after the last as they came."""
    heads = [column.head for column in columns_for(scene.width) if column.head not in ("what for", "course")]
    before = scene.view.order
    place = heads.index(before.column) + 1 if before is not None and before.column in heads else 0
    if place >= len(heads):
        scene.view.order = None
    else:
        sort(scene, heads[place])


def lines(scene: Scene) -> PageLines:
    """The page."""
    if scene.snapshot is None:
        return PageLines(waiting(scene))
    look = scene.palette
    rows = rows_of(scene)
    columns = columns_for(scene.width)
    chosen = min(scene.view.chosen, max(0, len(rows) - 1))
    found: list[TextLine] = [_head(scene, columns)]
    found += [_row(scene, row, columns, place == chosen, place) for place, row in enumerate(rows)]
    if not rows:
        found.append(
            line(
                "  no process matches; Esc clears the filter" if scene.view.filter else "  no process holds memory",
                look.soft,
            )
        )
    found += [_gone(scene, event) for event in gone(scene)]
    order = scene.view.order
    by = "by GPU, then start" if order is None else f"by {order.column}, as of the key"
    found += [
        (),
        line(
            f" {figures.plural(len(rows), 'process', 'processes')}; rows hold still: {by} (O next column, R reverse)",
            look.soft,
        ),
    ]
    if rows:
        found += [(), *_detail(scene, rows[chosen])]
    return PageLines(found, len(rows), chosen + 1 if rows else None)


def _head(scene: Scene, columns: tuple[TableColumn, ...]) -> TextLine:
    order = scene.view.order
    found: list[Fragment] = [text(" ")]
    for column in columns:
        is_chosen = order is not None and order.column == column.head
        arrow = "" if not is_chosen or order is None else "▾" if order.descending else "▴"
        words = fit(f"{column.head}{arrow}", column.cells - 1, column.align)
        words = f" {words}" if column.align == "right" else f"{words} "
        if column.align == "left" and found[-1].text.strip():
            words = f" {words[:-1]}"
        found.append(text(words, scene.palette.accent if is_chosen else scene.palette.soft, f"sort:{column.head}"))
    return tuple(found)


def _row(scene: Scene, row: ProcessRow, columns: tuple[TableColumn, ...], is_chosen: bool, place: int) -> TextLine:
    look = scene.palette
    hot = _rate(scene, row) is not None
    base = look.bar if is_chosen else look.alarm if hot else PLAIN
    target = f"row:{place}"
    found: list[Fragment] = []
    words = ">" if hot else " "
    for column in columns:
        if column.head == "what for":
            bar = ledger_bar(row.ledger.parts, row.process.used_bytes, BAR_CELLS, scene.depth)
            found += [Fragment(words + " ", base, target), *bar]
            words = " "
        else:
            words += " " + fit(column.show(scene, row), column.cells - 1, column.align)
    return (*found, Fragment(words, base, target))


def gone(scene: Scene) -> list[NumberedEvent]:
    """Processes that ended within the last hour, the newest first."""
    events = scene.server.events
    if scene.view.filter:
        return []
    ended = [
        event
        for event in events
        if event.kind == "process_exit" and scene.cursor - GONE_SECONDS < event.timestamp <= scene.cursor
    ]
    return ended[::-1][:GONE_SHOWN]


def _gone(scene: Scene, event: NumberedEvent) -> TextLine:
    life = event.process
    peak = f", at most {size(life.peak_used_bytes)}" if life is not None and life.peak_used_bytes is not None else ""
    oom = any(one.kind == "oom" and one.pid == event.pid for one in scene.server.events)
    how = "out of memory just before" if oom else (life.ended if life is not None and life.ended else "how is unknown")
    name = fit(process_label(life.name if life else None, event.pid or 0), 24)
    words = f" - {name} ended {scene.clock(event.timestamp)}{peak}; {how}"
    return line(cut(words, scene.width), scene.palette.soft)


def _detail(scene: Scene, row: ProcessRow) -> list[TextLine]:
    """All of the chosen one: what has no column, and why what is n/a is."""
    process, look = row.process, scene.palette
    snapshot = scene.snapshot
    threads = [
        one for one in (snapshot.threads if snapshot else ()) if one.pid == process.pid and one.gpu == process.gpu
    ]
    states = ", ".join(sorted({one.state for one in threads})) or figures.ABSENT
    started = figures.ABSENT if process.start_time is None else scene.clock(process.start_time)
    words = [f"{process.kind}, started {started}; {figures.plural(len(threads), 'thread')} that allocated: {states}"]
    if process.container is not None:
        words.append(f"container {process.container[:12]}")
    if process.limit is not None:
        words.append(f"its cgroup {process.limit.cgroup} may hold {size(process.limit.limit_bytes)}")
    if row_reports(row):
        parts = ", ".join(f"{one.purpose.replace('_', ' ')} {size(one.bytes)}" for one in row.ledger.parts)
        words.append(f"by purpose: {parts}")
    else:
        words.append(f"in use, reserved, what for {figures.ABSENT}: {NO_ALLOCATOR}")
    words += [f"{key} {figures.ABSENT}: {reason}" for key, reason in process.unknown.items() if key != "reserved_bytes"]
    kernels = snapshot.nsight_metrics.get(str(process.pid)) if snapshot else None
    if kernels is not None:
        words.append(
            f"kernels: occupancy {kernels.occupancy:.0f} %, {size(kernels.memory_throughput)}/s of memory"
            f" ({kernels.source}, of the {kernels.scope})"
            if kernels.available
            else f"kernels {figures.ABSENT}: {kernels.reason}"
        )
    words += [engine_words(one) for one in (snapshot.engines if snapshot else ()) if process.pid in one.pids]
    found: list[TextLine] = [line(f" {process_label(process.name, process.pid)}", look.strong)]
    for sentence in words:
        found += [line(f"  {part}") for part in wrapped(sentence, scene.width - 3, 2)]
    return found
