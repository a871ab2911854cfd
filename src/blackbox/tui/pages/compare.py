"""What is new, grown, gone between A and B?"""

from blackbox.model.purpose import purpose_of
from blackbox.model.query import Comparison, ProcessChange
from blackbox.model.text import rfc3339_seconds, size
from blackbox.terminal import figures
from blackbox.terminal.bar import meter
from blackbox.terminal.layout import TextLine, cut, fit, wrapped
from blackbox.terminal.ledger import process_label
from blackbox.terminal.looks import look_of
from blackbox.terminal.purposes import LOOK_OF
from blackbox.tui.pages.overview import waiting
from blackbox.tui.requests import compare_key
from blackbox.tui.scene import PageLines, Scene, line, place_of, text

NAME_CELLS, FIGURE_CELLS, METER_CELLS = 26, 12, 12
WORDS = {"new": "NEW", "gone": "GONE", "grown": "GREW", "shrunk": "SHRANK", "shifted": "SHIFTED"}
STACKS_SHOWN = 40
WIDE_CELLS = 96
"""Narrower ones have no room for a bar beside the figures and the GPU."""


def lines(scene: Scene) -> PageLines:
    """The page."""
    asked = scene.answers.comparison
    key = compare_key(scene)
    found = asked.of(key)
    if found is None and scene.server.snapshot is None:
        return PageLines(waiting(scene))
    if found is None:
        why = f"Cannot compare: {asked.error}." if asked.key == key and asked.error else "Asking for both moments."
        help_ = "A and B mark the time looked at; left and right move it; N and Shift+← go to marks."
        told = [line(f"  {part}") for part in wrapped(why, scene.width - 4)]
        keys = [line(f"  {part}", scene.palette.soft) for part in wrapped(help_, scene.width - 4)]
        return PageLines([(), *told, (), *keys])
    return PageLines(
        [*_title(scene, found), (), *_processes(scene, found), (), *_purposes(scene, found), (), *_stacks(scene, found)]
    )


def _title(scene: Scene, found: Comparison) -> list[TextLine]:
    look = scene.palette
    first, second = rfc3339_seconds(found.a.timestamp), rfc3339_seconds(found.b.timestamp)
    view = scene.view
    which = (
        ("" if view.a is not None else f" ({figures.span(second - first)} before; A marks one)"),
        ("" if view.b is not None or view.time is not None else " (now; B marks one)"),
    )
    span = figures.span(abs(second - first))
    head = (
        text(f" A {scene.clock(first)}", look.strong),
        text(which[0], look.soft),
        text(f"  →  B {scene.clock(second)}", look.strong),
        text(which[1], look.soft),
    )
    words = (
        text(f" {size(found.a.used_bytes)} → {size(found.b.used_bytes)}: "),
        text(f"{figures.change(found.delta_bytes)} in {span}", look.strong),
        text(f"; {figures.plural(found.unchanged, 'process', 'processes')} as before", look.soft),
    )
    return [head, words]


def _kept(scene: Scene, found: Comparison) -> list[ProcessChange]:
    words = scene.view.filter.lower().split()
    return [
        one
        for one in found.processes
        if scene.view.gpu in (None, one.gpu_uuid) and all(word in f"{one.name} {one.pid}".lower() for word in words)
    ]


def _change(scene: Scene, before: int, after: int, delta: int, most: int) -> TextLine:
    look = scene.palette
    meter_cells = METER_CELLS if scene.width >= WIDE_CELLS else 0
    numbers = f"{fit(figures.gib(before), 8, 'right')} → {fit(figures.gib(after), 6, 'right')} GiB"
    tone = look.warn if delta > 0 else look.good if delta < 0 else look.soft
    return (
        text(numbers),
        text(fit(figures.change(delta), FIGURE_CELLS, "right"), look.strong),
        *([text(" " + meter(abs(delta) / max(1, most), meter_cells), tone)] if meter_cells else []),
    )


def _processes(scene: Scene, found: Comparison) -> list[TextLine]:
    rows = _kept(scene, found)
    look = scene.palette
    if not rows:
        return [line(" No process differs.", look.strong)]
    most = max(abs(one.delta_bytes) for one in rows)
    shown: list[TextLine] = [line(" By process", look.strong)]
    for one in rows:
        label = f"  {fit(WORDS[one.change], 8)}{fit(process_label(one.name, one.pid), NAME_CELLS)}"
        place = place_of(scene, one.gpu_uuid)
        row = (text(label), *_change(scene, one.before_bytes, one.after_bytes, one.delta_bytes, most))
        shown.append((*row, text(f" {place}", look.soft)))
    return shown


def _purposes(scene: Scene, found: Comparison) -> list[TextLine]:
    sums: dict[str, tuple[int, int]] = {}
    for one in _kept(scene, found):
        for part in one.purposes:
            before, after = sums.get(part.purpose, (0, 0))
            sums[part.purpose] = before + part.before_bytes, after + part.after_bytes
    if not sums:
        return [line(f" By purpose {figures.ABSENT}: no allocator told its blocks at both times", scene.palette.soft)]
    most = max(abs(after - before) for before, after in sums.values())
    shown: list[TextLine] = [line(" By purpose", scene.palette.strong)]
    for key, (before, after) in sorted(sums.items(), key=lambda one: -abs(one[1][1] - one[1][0])):
        purpose = LOOK_OF.get(key, LOOK_OF["other"])
        label = (
            text("  "),
            text(purpose.glyph, look_of(purpose.key, scene.depth)),
            text(f" {fit(purpose.name, NAME_CELLS + 6)}"),
        )
        shown.append((*label, *_change(scene, before, after, after - before, most)))
    return shown


def _stacks(scene: Scene, found: Comparison) -> list[TextLine]:
    look = scene.palette
    rows = sorted(
        ((one, stack) for one in _kept(scene, found) for stack in one.stacks), key=lambda row: -abs(row[1].delta_bytes)
    )
    shown: list[TextLine] = [line(" By stack, innermost ‹ callers", look.strong)]
    for one, stack in rows[:STACKS_SHOWN]:
        purpose = LOOK_OF[purpose_of(stack.type, stack.subtype, allocated=True, utilized=True)]
        where = (
            " ‹ ".join(stack.frames) if stack.frames else f"{figures.ABSENT}: of no stack, or of many too small to tell"
        )
        label = f" {fit(process_label(one.name, one.pid), 20)} "
        shown.append(
            (
                text(fit(figures.change(stack.delta_bytes), FIGURE_CELLS, "right"), look.strong),
                text("  "),
                text(purpose.glyph, look_of(purpose.key, scene.depth)),
                text(label),
                text(
                    cut(where, max(0, scene.width - FIGURE_CELLS - 4 - len(label))), None if stack.frames else look.soft
                ),
            )
        )
    for one in _kept(scene, found):
        if "stacks" in one.unknown:
            words = f"{process_label(one.name, one.pid)}: stacks {figures.ABSENT}: {one.unknown['stacks']}"
            shown += [line(f"  {part}", look.soft) for part in wrapped(words, scene.width - 3, 2)]
    return shown if len(shown) > 1 else [*shown, line("  no stack differs", look.soft)]
