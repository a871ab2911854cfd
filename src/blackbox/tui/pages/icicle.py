"""What lived, by stack, as an icicle: into a box and out of it, with the chosen one in full below."""

from blackbox.model.text import size
from blackbox.terminal import figures
from blackbox.terminal.layout import EMPTY, Fragment, Look, TextLine, fit, wrapped
from blackbox.terminal.looks import look_of
from blackbox.terminal.purposes import LOOK_OF
from blackbox.tui.icicle import REST, Box, Held, Placed, levels, tree, within
from blackbox.tui.pages.moment_rows import HeldRow
from blackbox.tui.scene import PageLines, Scene, line, text

LEVELS_MIN = 3
BELOW_LINES = 7
"""Kept for the chosen box."""
NAME_LINES_MAX = 3
"""Of the chosen box with all its callers."""
INNER_MAX = 4
"""Boxes in the chosen one that are named below, at a scale of their own."""
EDGE = "│"


def held(rows: list[HeldRow]) -> list[Held]:
    """The same rows as those of the table, so that both agree."""
    return [Held((row.process, *_below(row)), row.purpose, row.bytes, row.reason) for row in rows]


def _below(row: HeldRow) -> tuple[str, ...]:
    """Its callers, the outermost first; without any, what it is for."""
    return row.frames[::-1] or (LOOK_OF[row.purpose].name,)


def _shown(scene: Scene, rows: list[HeldRow]) -> tuple[Box, Box, list[list[Placed]]]:
    """All, the box that is looked into, and those in it as they are drawn."""
    root = tree(held(rows))
    inside = within(root, scene.view.inside)
    most = max(LEVELS_MIN, scene.height - BELOW_LINES - len(scene.leaves) - 4)
    return root, inside, list(levels(inside, scene.width - 2, most))


def boxes(scene: Scene, rows: list[HeldRow]) -> list[Box]:
    """Those that can be chosen, in the order of the rows."""
    return [placed.box for level in _shown(scene, rows)[2] for placed in level]


def lines(scene: Scene, rows: list[HeldRow], before: int) -> PageLines:
    """The icicle; `before`: how many lines stand above it."""
    root, inside, drawn = _shown(scene, rows)
    look = scene.palette
    if not drawn:
        return PageLines([line("  no stack matches" if scene.view.filter else "  no process holds memory", look.soft)])
    count = sum(map(len, drawn))
    chosen = min(scene.view.chosen, count - 1)
    of = "all that is held" if not inside.path else " ‹ ".join(reversed(inside.path))
    out = "; Backspace: out" if inside.path else ""
    found: list[TextLine] = [
        (text(f" {fit(of, max(8, scene.width - 42)).rstrip()}", look.strong), text(f"  {size(inside.bytes)}{out}"))
    ]
    place, chosen_line, the_chosen = 0, None, drawn[0][0].box
    for level in drawn:
        found.append(_level(scene, level, place, chosen))
        if place <= chosen < place + len(level):
            chosen_line, the_chosen = before + len(found) - 1, level[chosen - place].box
        place += len(level)
    return PageLines([*found, EMPTY, *_magnified(scene, the_chosen, root)], count, chosen_line)


def _level(scene: Scene, level: list[Placed], first: int, chosen: int) -> TextLine:
    found: list[Fragment] = [text(" ")]
    column = 0
    for place, placed in enumerate(level, first):
        if placed.column > column:
            found.append(text(" " * (placed.column - column)))
        found.append(
            text(_label(placed), _look(scene, placed.box, is_chosen=place == chosen), f"row:{place}"),
        )
        column = placed.column + placed.cells
    return tuple(found)


def _label(placed: Placed) -> str:
    """Its edge, and as much of its name as fits."""
    glyph = f"{LOOK_OF[placed.box.purpose].glyph} " if placed.box.purpose and not placed.box.inner else ""
    return EDGE + fit(f"{glyph}{placed.box.path[-1]}", placed.cells - 1)


def _look(scene: Scene, box: Box, *, is_chosen: bool) -> Look:
    """Only the line that allocated has the colour of its purpose."""
    if is_chosen:
        return scene.palette.bar
    if box.inner or box.purpose is None:
        return scene.palette.strong if len(box.path) == 1 else Look()
    return look_of(box.purpose, scene.depth)


def _magnified(scene: Scene, box: Box, root: Box) -> list[TextLine]:
    """The chosen box, whole, and the largest in it: many are too narrow for their names."""
    look = scene.palette
    share = figures.percent(100 * box.bytes / root.bytes) if root.bytes else figures.ABSENT
    what = "" if box.purpose is None else f", {LOOK_OF[box.purpose].name}"
    if box.path[-1] == REST:
        told = f"{size(box.bytes)}, {share} of all: boxes narrower than a cell; look into the one above them, or filter"
        return [line(f" {part}", look.strong) for part in wrapped(told, scene.width - 2)]
    first = f"{size(box.bytes)}, {share} of all{what}: {' ‹ '.join(reversed(box.path))}"
    found = [line(f" {part}", look.strong) for part in wrapped(first, scene.width - 2, 2)[:NAME_LINES_MAX]]
    if box.reason is not None:
        found += [line(f"   {part}", look.soft) for part in wrapped(f"{figures.ABSENT}: {box.reason}", scene.width - 4)]
    for inner in box.inner[:INNER_MAX]:
        found.append(line(fit(f"   {size(inner.bytes):>10}  {inner.path[-1]}", scene.width).rstrip()))
    return found
