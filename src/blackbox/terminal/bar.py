"""Bars, meters and sparks out of characters."""

from collections.abc import Sequence
from itertools import groupby

from blackbox.model.snapshot import Process
from blackbox.terminal.colour_depth import Depth
from blackbox.terminal.figures import gib
from blackbox.terminal.layout import Fragment, TextLine, cut, fit
from blackbox.terminal.ledger import LedgerPart, process_label
from blackbox.terminal.looks import look_of, palette
from blackbox.terminal.purposes import DRIVER, FREE, LOOK_OF, OPAQUE

LABEL_CELLS = 8
"""From here a run of one purpose says its GiB: `W 61.0` with a blank at each side."""
WORD_CELLS = 12
"""From here a run that is not live says it in a word: ` free 29.2 `."""
NAME_CELLS = 4
"""A process narrower than this has no name below the bar."""
GROWTH = ">>>"
SPARKS = "▁▂▃▄▅▆▇█"
_WORDS = {FREE: "free", "cached": "cache", OPAQUE: "n/a", "kv_cached": "cached"}


def cell_owners(parts: Sequence[LedgerPart], total: int, width: int) -> list[LedgerPart]:
    """For each of `width` cells the memory with the most bytes in it. The driver's, at the right end, keeps one."""
    if total <= 0 or width <= 0 or not parts:
        return []
    owners: list[LedgerPart] = []
    place, end = 0, parts[0].bytes
    for cell in range(width):
        start, stop = cell * total / width, (cell + 1) * total / width
        while end <= start and place + 1 < len(parts):
            place += 1
            end += parts[place].bytes
        best, most, at, until = place, min(end, stop) - start, place, end
        while until < stop and at + 1 < len(parts):
            at += 1
            inside = min(until + parts[at].bytes, stop) - until
            until += parts[at].bytes
            if inside > most:
                best, most = at, inside
        owners.append(parts[best])
    if parts[-1].purpose == DRIVER:
        owners[-1] = parts[-1]
    return owners


def ledger_bar(parts: Sequence[LedgerPart], total: int, width: int, depth: Depth, *, grows: bool = False) -> TextLine:
    """Memory by process and purpose, `width` cells being `total`. `grows`: says so where free memory stands."""
    found: list[Fragment] = []
    for (purpose, _), group in groupby(
        cell_owners(parts, total, width), key=lambda one: (one.purpose, id(one.process))
    ):
        owners = list(group)
        count = sum({id(one): one.bytes for one in owners}.values())
        found.append(Fragment(_run(purpose, len(owners), count, depth, grows=grows), look_of(purpose, depth)))
    return tuple(found)


def _run(purpose: str, length: int, count: int, depth: Depth, *, grows: bool) -> str:
    """The characters of cells that one purpose fills."""
    look = LOOK_OF[purpose]
    is_live = look.colour is not None
    fill = " " if is_live and depth else look.glyph
    label = look.glyph if is_live and depth else ""
    if is_live and length >= LABEL_CELLS:
        label = f" {look.glyph} {gib(count)} "
    elif purpose in _WORDS and length >= WORD_CELLS:
        label = f" {_WORDS[purpose]} {gib(count)} "
    text = label.center(length) if fill == " " else _centred(label, length, fill)
    if grows and purpose == FREE and length > len(GROWTH):
        text = GROWTH + text[len(GROWTH) :]
    return text


def _centred(label: str, length: int, fill: str) -> str:
    left = (length - len(label)) // 2
    return fill * left + label + fill * (length - left - len(label))


def names_below(parts: Sequence[LedgerPart], total: int, width: int, depth: Depth) -> TextLine:
    """Names of processes, each below the cell at which its memory begins; empty where none has room."""
    look = palette(depth).soft
    found: list[Fragment] = []
    column = 0
    owners = cell_owners(parts, total, width)
    starts = _starts([one.process for one in owners])
    for place, (process, start) in enumerate(starts):
        end = starts[place + 1][1] if place + 1 < len(starts) else width
        if process is None or (end - start < NAME_CELLS and place + 1 < len(starts)):
            continue
        after = starts[place + 1 :]
        room = (next((at for other, at in after if other is not None), width)) - start
        text = "└" + cut(process_label(process.name, process.pid), room - 2)
        found.append(Fragment(" " * (start - column)))
        found.append(Fragment(fit(text, room - 1), look, f"process:{process.gpu_uuid}:{process.pid}"))
        column = start + room - 1
    return tuple(fragment for fragment in found if fragment.text)


def _starts(owners: Sequence[Process | None]) -> list[tuple[Process | None, int]]:
    """Every stretch of cells of one process, and its first cell."""
    return [(one, place) for place, one in enumerate(owners) if place == 0 or owners[place - 1] is not one]


def meter(share: float, width: int, sign: str = "━") -> str:
    """A share of `width` cells; what is more than nothing has one at least."""
    length = min(width, max(1 if share > 0 else 0, round(share * width)))
    return sign * length + " " * (width - length)


def spark(values: Sequence[float | None], total: float) -> str:
    """One cell per value, from 0 to `total`; blank where nothing was measured."""
    last = len(SPARKS) - 1
    return "".join(
        " " if value is None or total <= 0 else SPARKS[min(last, max(0, int(value / total * len(SPARKS))))]
        for value in values
    )
