"""What lies where? The blocks of one process by address; two rows a line."""

from itertools import groupby

from blackbox.model.text import size
from blackbox.terminal.layout import Fragment, Look, TextLine, beside, fit, wrapped
from blackbox.terminal.ledger import gpu_label, process_label
from blackbox.terminal.looks import look_of
from blackbox.terminal.purposes import LOOK_OF, RANK
from blackbox.tui.block_map import BlockMap, MapRow, block_map, blocks_of, mapped_parts
from blackbox.tui.pages.overview import waiting
from blackbox.tui.scene import NO_ALLOCATOR, PageLines, Scene, line, text

ADDRESS_CELLS = 13
SIDE_CELLS = 36
SIDE_FROM = 112
HALF = "▀"


def lines(scene: Scene) -> PageLines:
    """The page."""
    asked = scene.answers.columns
    key = (scene.view.server, scene.view.time, scene.view.event)
    if scene.snapshot is None:
        return PageLines(waiting(scene))
    table = asked.of(key)
    if table is None:
        why = asked.error if asked.key == key and asked.error else "Asking for the blocks."
        return PageLines([(), *(line(f"  {part}", scene.palette.soft) for part in wrapped(why, scene.width - 4))])
    uuids = {leaf.gpu.uuid for leaf in scene.leaves}
    parts = [(part, rows) for part, rows in mapped_parts(table) if part.gpu_uuid in uuids]
    words = scene.view.filter.lower().split()
    parts = [one for one in parts if all(word in f"{one[0].name} {one[0].pid}".lower() for word in words)]
    silent = _silent(scene, {(part.gpu_uuid, part.pid) for part, _ in parts})
    if not parts:
        return PageLines([(), line("  No allocator tells its blocks here.", scene.palette.strong), *silent])
    place = scene.view.part % len(parts)
    part, rows = parts[place]
    is_wide = scene.width >= SIDE_FROM
    width = 1 << (max(16, scene.width - ADDRESS_CELLS - (SIDE_CELLS if is_wide else 1)).bit_length() - 1)
    below = 2 if is_wide else 9
    made = block_map(blocks_of(table, part, rows), width, max(4, 2 * (scene.height - below - 1)), RANK)
    leaf = next((one for one in scene.leaves if one.gpu.uuid == part.gpu_uuid), None)
    place_words = gpu_label(leaf.gpu) if leaf is not None else part.gpu_uuid
    more = f"  ({place + 1} of {len(parts)} processes, P: next)" if len(parts) > 1 else ""
    cell = made.row_bytes / width
    title = (
        text(f" {process_label(part.name, part.pid)}", scene.palette.strong),
        text(f" on {place_words}: {made.blocks:,} blocks; a row {size(made.row_bytes)}, a cell {size(cell)}"),
        text(more, scene.palette.soft, "part"),
    )
    drawn = _rows(scene, made)
    side = [*_sums(scene, made), *silent]
    if is_wide:
        body = [beside(left, right, ADDRESS_CELLS + width + 2) for left, right in _zipped(drawn, side)]
    else:
        body = [*drawn, (), *side]
    return PageLines([title, *body])


def _zipped(left: list[TextLine], right: list[TextLine]) -> list[tuple[TextLine, TextLine]]:
    length = max(len(left), len(right))
    return list(zip([*left, *[()] * (length - len(left))], [*right, *[()] * (length - len(right))], strict=True))


def _rows(scene: Scene, made: BlockMap) -> list[TextLine]:
    """Two rows a line where colours are, one where letters have to do."""
    found: list[TextLine] = []
    step = 2 if scene.depth else 1
    rows = list(made.rows)
    while rows:
        top = rows.pop(0)
        has_second = step == 2 and rows and not rows[0].begins_range
        bottom = rows.pop(0) if has_second else None
        if top.begins_range:
            found.append(line(f" {'':{ADDRESS_CELLS}}(no memory between)", scene.palette.soft))
        address = text(fit(f" {top.address:x}", ADDRESS_CELLS), scene.palette.soft)
        found.append((address, *(_halves(scene, top, bottom) if step == 2 else _letters(scene, top))))
    return found


def _letters(scene: Scene, row: MapRow) -> list[Fragment]:
    return [
        text(
            (" " if purpose is None else LOOK_OF[purpose].glyph) * len(list(group)),
            Look() if purpose is None else look_of(purpose, scene.depth),
        )
        for purpose, group in groupby(row.cells)
    ]


def _halves(scene: Scene, top: MapRow, bottom: MapRow | None) -> list[Fragment]:
    """Runs of the same pair; a run of one purpose has its letter in the middle."""
    below = bottom.cells if bottom is not None else (None,) * len(top.cells)
    found: list[Fragment] = []
    for (upper, lower), group in groupby(zip(top.cells, below, strict=True)):
        length = len(list(group))
        if upper == lower:
            found.append(_run(scene, upper, length))
        else:
            found.append(_pair(scene, upper, lower, length))
    return found


def _run(scene: Scene, purpose: str | None, length: int) -> Fragment:
    if purpose is None:
        return text(" " * length)
    one = LOOK_OF[purpose]
    look = look_of(purpose, scene.depth)
    return text(one.glyph.center(length) if one.colour is not None else one.glyph * length, look)


def _pair(scene: Scene, upper: str | None, lower: str | None, length: int) -> Fragment:
    """The upper half in the colour of one, the lower in that of the other; what has no colour leaves its half empty."""
    above, below = (None if one is None else look_of(one, scene.depth).ground for one in (upper, lower))
    if above is None and below is None:
        glyph = LOOK_OF[upper or lower or "free"].glyph
        return text(glyph * length, scene.palette.soft)
    if above is None:
        return text("▄" * length, Look(ink=below))
    return text(HALF * length, Look(ink=above, ground=below))


def _sums(scene: Scene, made: BlockMap) -> list[TextLine]:
    """What it adds up to, and what the map cannot show."""
    look = scene.palette
    found: list[TextLine] = [line(" held for               blocks", look.soft)]
    for purpose in sorted(made.sums, key=RANK.__getitem__):
        total, blocks = made.sums[purpose]
        one = LOOK_OF[purpose]
        found.append(
            (
                text(" "),
                text(one.glyph, look_of(purpose, scene.depth)),
                text(f" {fit(one.name, 17)}{fit(f'{blocks:,}', 8, 'right')} {fit(size(total), 10, 'right')}"),
            )
        )
    if made.largest_free is not None:
        address, count = made.largest_free
        found.append(line(f" largest free piece {size(count)} at {address:x}"))
        found += [
            line(f" {part}", look.soft)
            for part in wrapped("no request above it is served without new memory from the driver", SIDE_CELLS - 2)
        ]
    if made.hidden:
        found.append(line(f" {made.hidden:,} blocks are smaller than a cell", look.soft))
    return found


def _silent(scene: Scene, told: set[tuple[str, int]]) -> list[TextLine]:
    """Processes that have no map, and why."""
    names = [
        process_label(one.process.name, one.process.pid)
        for leaf in scene.leaves
        for one in leaf.processes
        if (one.process.gpu_uuid, one.process.pid) not in told and not scene.view.filter
    ]
    if not names:
        return []
    return [
        (),
        *(
            line(f" {part}", scene.palette.soft)
            for part in wrapped(f"no addresses of {', '.join(names)}: {NO_ALLOCATOR}", SIDE_CELLS)
        ),
    ]
