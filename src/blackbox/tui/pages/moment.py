"""What lived then? By stack, by purpose, or by thread."""

from blackbox.model.snapshot import Snapshot
from blackbox.model.text import size
from blackbox.terminal import figures
from blackbox.terminal.bar import ledger_bar, meter
from blackbox.terminal.layout import TextLine, cut, fit, wrapped
from blackbox.terminal.ledger import gpu_label, leaves, ledgers, process_label
from blackbox.terminal.looks import look_of
from blackbox.terminal.purposes import LOOK_OF, RANK
from blackbox.tui.pages import icicle
from blackbox.tui.pages.moment_rows import HeldRow, rows_of
from blackbox.tui.pages.overview import waiting
from blackbox.tui.scene import PageLines, Scene, line, seconds_of, text
from blackbox.tui.view import GROUPINGS

HELD_CELLS, CHANGE_CELLS, BLOCKS_CELLS, PROCESS_CELLS, PURPOSE_CELLS = 10, 12, 8, 22, 18
GROUPED = {"stack": "by stack", "icicle": "by stack, as an icicle", "purpose": "by purpose", "thread": "by thread"}
WIDE_FROM = 100
"""Narrower than this, blocks are not counted, and what the memory is for is a letter."""


def lines(scene: Scene) -> PageLines:
    """The page."""
    asked = scene.answers.lived
    key = (scene.view.server, scene.view.time, scene.view.event)
    lived = asked.of(key)
    if lived is None:
        why = asked.error if asked.key == key and asked.error else "Asking for this moment."
        return PageLines([*waiting(scene)] if scene.snapshot is None else [(), line(f"  {why}", scene.palette.soft)])
    snapshot = lived.snapshot
    look = scene.palette
    found: list[TextLine] = [_title(scene, snapshot)]
    for leaf in leaves(ledgers(snapshot)):
        if scene.view.gpu not in (None, leaf.gpu.uuid):
            continue
        figure = fit(f"{figures.gib(leaf.gpu.used_bytes)} / {size(leaf.gpu.total_bytes)}", 17, "right")
        bar = ledger_bar(leaf.parts, leaf.gpu.total_bytes, scene.width - 33, scene.depth)
        found.append((text(fit(f" {gpu_label(leaf.gpu)}", 15), look.strong), *bar, text(figure)))
    found.append(())
    grouping = GROUPINGS[scene.view.grouping % len(GROUPINGS)]
    if grouping == "purpose":
        return PageLines([*found, *_by_purpose(scene, snapshot)])
    if grouping == "thread":
        return PageLines([*found, *_by_thread(scene, snapshot)])
    rows = rows_of(scene, snapshot, lived.before)
    if grouping == "icicle":
        page = icicle.lines(scene, rows, len(found))
        return PageLines([*found, *page.lines], page.rows, page.chosen_line)
    chosen = min(scene.view.chosen, max(0, len(rows) - 1))
    found.append(line(cut(_head(scene), scene.width), look.soft))
    first = len(found)
    for place, row in enumerate(rows):
        found.append(_row(scene, row, place == chosen, place))
        if place == chosen:
            found += _frames(scene, row)
    if not rows:
        found.append(line("  no stack matches" if scene.view.filter else "  no process holds memory", look.soft))
    return PageLines(found, len(rows), first + chosen if rows else None)


def _title(scene: Scene, snapshot: Snapshot) -> TextLine:
    at = seconds_of(snapshot)
    near = scene.view.time is not None and scene.view.event is None and abs(at - scene.view.time) > 0.5
    distance = f", the nearest reading, {figures.span(abs(at - scene.cursor))} away" if near else ""
    of = " of a refusal itself" if scene.view.event is not None else ""
    grouping = GROUPINGS[scene.view.grouping % len(GROUPINGS)]
    return text(f" {scene.clock(at, tenths=True)}{of}{distance}", scene.palette.strong), text(
        f"  {GROUPED[grouping]} (T: otherwise)", scene.palette.soft
    )


def _numbers(scene: Scene, held: str, change: str, blocks: str) -> str:
    """Columns of figures, or their heads."""
    found = fit(held, HELD_CELLS, "right") + fit(change, CHANGE_CELLS, "right")
    return found + fit(blocks, BLOCKS_CELLS, "right") if scene.width >= WIDE_FROM else found


def _purpose_cells(scene: Scene) -> int:
    return PURPOSE_CELLS if scene.width >= WIDE_FROM else 2


def _head(scene: Scene) -> str:
    purpose = fit("what for" if scene.width >= WIDE_FROM else "", _purpose_cells(scene))
    return f" {_numbers(scene, 'held', 'Δ 1 min', 'blocks')}  {fit('process', PROCESS_CELLS)} {purpose} allocated at"


def _row(scene: Scene, row: HeldRow, is_chosen: bool, place: int) -> TextLine:
    look = scene.palette
    grows = row.change is not None and row.change > row.bytes * 0.2
    base = look.bar if is_chosen else look.strong if grows else None
    change = figures.ABSENT if row.change is None else figures.change(row.change)
    blocks = figures.ABSENT if row.blocks is None else f"{row.blocks:,}"
    numbers = _numbers(scene, size(row.bytes), change, blocks)
    purpose = LOOK_OF[row.purpose]
    where = row.frames[0] if row.frames else f"{figures.ABSENT}: {row.reason}"
    taken = 1 + len(numbers) + 2 + PROCESS_CELLS + 1 + _purpose_cells(scene) + 1
    target = f"row:{place}"
    return (
        text(">" if grows else " ", base, target),
        text(numbers, base, target),
        text(f"  {fit(row.process, PROCESS_CELLS)} ", base, target),
        text(purpose.glyph, look_of(row.purpose, scene.depth), target),
        text(f" {fit(purpose.name, _purpose_cells(scene) - 2)} ", base, target),
        text(cut(where, max(0, scene.width - taken)), base if row.frames else look.soft, target),
    )


def _frames(scene: Scene, row: HeldRow) -> list[TextLine]:
    """All of the chosen row's stack; or why there is none."""
    if row.frames:
        return [
            line(cut(f"      {'at' if place == 0 else '‹ '} {frame}", scene.width), scene.palette.soft)
            for place, frame in enumerate(row.frames)
        ]
    return [line(f"      {part}", scene.palette.soft) for part in wrapped(row.reason or "", scene.width - 8)]


def _by_purpose(scene: Scene, snapshot: Snapshot) -> list[TextLine]:
    sums: dict[str, int] = {}
    for leaf in leaves(ledgers(snapshot)):
        if scene.view.gpu in (None, leaf.gpu.uuid):
            for part in leaf.parts:
                sums[part.purpose] = sums.get(part.purpose, 0) + part.bytes
    total = sum(sums.values())
    width = max(4, scene.width - 44)
    found: list[TextLine] = []
    for key in sorted(sums, key=RANK.__getitem__):
        share = sums[key] / total
        figure = f"{fit(size(sums[key]), 11, 'right')}{fit(figures.percent(100 * share), 6, 'right')} "
        sign = text(LOOK_OF[key].glyph, look_of(key, scene.depth))
        words = text(f" {fit(LOOK_OF[key].name, 22)}{figure}")
        found.append((text(" "), sign, words, text(meter(share, width), scene.palette.soft)))
    return found


def _by_thread(scene: Scene, snapshot: Snapshot) -> list[TextLine]:
    names = {one.pid: process_label(one.name, one.pid) for one in snapshot.processes}
    found = [
        line(cut(_thread("held", "process", "thread", "name", "state", "known how"), scene.width), scene.palette.soft)
    ]
    for one in sorted(snapshot.threads, key=lambda thread: -thread.allocated_bytes):
        how = one.unknown.get("allocated_bytes", "told by its allocator")
        name = names.get(one.pid, str(one.pid))
        words = _thread(size(one.allocated_bytes), name, str(one.thread_id), one.name or figures.ABSENT, one.state, how)
        found.append(line(cut(words, scene.width)))
    return found


def _thread(held: str, process: str, thread: str, name: str, state: str, how: str) -> str:
    first = f" {fit(held, HELD_CELLS, 'right')}  {fit(process, PROCESS_CELLS)}"
    return f"{first} {fit(thread, 9, 'right')} {fit(name, 16)} {fit(state, 8)} {how}"
