"""What differs between two times, on one screen: a row per process, with what it is made of."""

from collections.abc import Iterator, Mapping

from blackbox.cli.common.screen import Screen
from blackbox.model.query import Comparison, ProcessChange, PurposeChange, StackChange
from blackbox.model.text import rfc3339_seconds, size
from blackbox.model.times import local_text
from blackbox.terminal.bar import meter
from blackbox.terminal.figures import ABSENT, change, plural
from blackbox.terminal.layout import EMPTY, Fragment, Look, TextLine, fit, wrapped
from blackbox.terminal.ledger import place_label, process_label
from blackbox.terminal.looks import look_of, palette
from blackbox.terminal.purposes import LOOK_OF

PURPOSES_MAX, STACKS_MAX = 4, 3
"""Shown of each process, the largest differences first; --json has all."""
DELTA_WIDTH, BAR_WIDTH = 12, 12


def lines(found: Comparison, labels: Mapping[str, str], screen: Screen) -> Iterator[TextLine]:
    """The screen. `labels`: what GPUs are called, by UUID."""
    words = palette(screen.depth)
    a, b = (local_text(rfc3339_seconds(side.timestamp)) for side in (found.a, found.b))
    yield (Fragment(f"A {a}   B {b}", words.soft),)
    yield (
        Fragment(f"used {size(found.a.used_bytes)}, then {size(found.b.used_bytes)}: "),
        Fragment(change(found.delta_bytes), _look(found.delta_bytes, screen)),
    )
    yield EMPTY
    most = max((abs(one.delta_bytes) for one in found.processes), default=1) or 1
    room = screen.height - 5
    for place, one in enumerate(found.processes):
        rows = list(_process(one, labels, most, screen, detailed=room > 2 * (len(found.processes) - place)))
        if place and len(rows) > room - 1:
            left = len(found.processes) - place
            yield (Fragment(f"  … {plural(left, 'more process', 'more processes')}: --json has all", words.soft),)
            break
        yield from rows
        room -= len(rows)
    yield (Fragment(f"{plural(found.unchanged, 'process', 'processes')} did not change", words.soft),)


def _look(delta: int, screen: Screen) -> Look:
    words = palette(screen.depth)
    return words.alarm if delta > 0 else words.good if delta < 0 else words.soft


def _process(
    one: ProcessChange, labels: Mapping[str, str], most: int, screen: Screen, *, detailed: bool
) -> Iterator[TextLine]:
    words = palette(screen.depth)
    delta = f"{change(one.delta_bytes):>{DELTA_WIDTH}} "
    text = f"{place_label(labels, one.gpu_uuid, one.gpu)}  {process_label(one.name, one.pid)}"
    sides = f"  {one.change}: {size(one.before_bytes)}, then {size(one.after_bytes)}"
    room = screen.width - DELTA_WIDTH - BAR_WIDTH - 3 - len(sides)
    yield (
        Fragment(delta, _look(one.delta_bytes, screen)),
        Fragment(f"{meter(abs(one.delta_bytes) / most, BAR_WIDTH)}  ", _look(one.delta_bytes, screen)),
        Fragment(fit(text, max(0, min(len(text), room))), words.strong),
        Fragment(sides),
    )
    for reason in dict.fromkeys(reason for key, reason in one.unknown.items() if key != "stacks"):
        for line in wrapped(f"{ABSENT}: {reason}", screen.width - DELTA_WIDTH - 1, 2):
            yield (Fragment(f"{'':{DELTA_WIDTH}} {line}", words.soft),)
    if not detailed or one.change in ("new", "gone"):
        return
    for purpose in one.purposes[:PURPOSES_MAX]:
        yield _purpose(purpose, screen)
    for stack in one.stacks[:STACKS_MAX]:
        yield _stack(stack, screen)


def _purpose(one: PurposeChange, screen: Screen) -> TextLine:
    look, soft = LOOK_OF.get(one.purpose), palette(screen.depth).soft
    sides = f" {look.name if look else one.purpose}: {size(one.before_bytes)}, then {size(one.after_bytes)}"
    glyph = Fragment(look.glyph, look_of(one.purpose, screen.depth)) if look else Fragment(" ")
    return (Fragment(f"{'':4}{change(one.delta_bytes):>{DELTA_WIDTH}}  "), glyph, Fragment(sides, soft))


def _stack(one: StackChange, screen: Screen) -> TextLine:
    from blackbox.analysis.stacks import own_frame

    delta = ABSENT if "delta_bytes" in one.unknown else change(one.delta_bytes)
    text = own_frame(one.frames) if one.frames else "unknown stacks"
    head = f"{'':4}{delta:>{DELTA_WIDTH}}  "
    return (Fragment(head), Fragment(fit(f"‹ {text}", screen.width - len(head)).rstrip(), palette(screen.depth).soft))
