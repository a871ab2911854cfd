"""How much of a fleet an answer is of, in words; and tables, which all screens about a fleet are made of."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from blackbox.cli.common import query_arguments
from blackbox.cli.common.screen import Screen, screen_of
from blackbox.model.fleet import FleetCover
from blackbox.terminal.figures import ABSENT, GIB, gib, plural
from blackbox.terminal.layout import EMPTY, PLAIN, Fragment, TextLine, fit, text_width, wrapped
from blackbox.terminal.looks import palette

NAMES_SHOWN_MAX = 5
"""Of machines that are late or unknown; the list of machines has all."""
CELL_WIDTH_MAX = 40
"""Of one column: names of pods are long."""
GAP = "  "


def show(answer: Struct, cover: FleetCover, arguments: Namespace, lines: Callable[[Screen], Iterable[TextLine]]) -> int:
    """Prints the answer: on a terminal the lines, in a pipe JSON, with a word on stderr where it is not whole."""
    screen = screen_of(arguments)
    if screen is not None:
        screen.show(lines(screen))
        return 0
    query_arguments.print_json(msgspec.json.encode(answer), compact=False)
    if not cover.whole:
        print(f"blackbox: this is not the whole fleet: {' '.join(sentences(cover))}", file=sys.stderr)
    return 0


def sentences(cover: FleetCover) -> Iterator[str]:
    """What a reader has to know before he trusts a sum."""
    told = [f"{cover.fresh:,} fresh"]
    if cover.late:
        told.append(f"{cover.late:,} late ({_names(cover.late_hosts, cover.late)})")
    if cover.unknown:
        told.append(f"{cover.unknown:,} unknown ({_names(cover.unknown_hosts, cover.unknown)})")
    yield f"{plural(cover.machines, 'machine')}: {', '.join(told)}."
    if cover.twice_hosts:
        yield f"Told of twice, and counted once: {_names(cover.twice_hosts, len(cover.twice_hosts))}."
    if cover.missing_shards:
        shards = f"{len(cover.missing_shards)} of {cover.shards} shards did not answer"
        yield f"{shards}: {', '.join(cover.missing_shards)}. Their machines are not counted, and in no sum here."


def cover_lines(cover: FleetCover, screen: Screen) -> Iterator[TextLine]:
    """The same on lines, not to be missed where the answer is not whole."""
    words = palette(screen.depth)
    look = words.soft if cover.whole else words.alarm if cover.missing_shards else words.warn
    for sentence in sentences(cover):
        yield from ((Fragment(line, look),) for line in wrapped(sentence, screen.width, 2))
    yield EMPTY


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], screen: Screen) -> Iterator[TextLine]:
    """Columns as wide as what is in them; those whose head begins with a blank are numbers, at their right."""
    found = [tuple(row) for row in rows]
    widths = [
        min(CELL_WIDTH_MAX, max(text_width(cell) for cell in column))
        for column in zip([head.strip() for head in heads], *found, strict=True)
    ]
    numbers = [head.startswith(" ") for head in heads]
    yield _row([head.strip() for head in heads], widths, numbers, screen, is_head=True)
    for row in found:
        yield _row(row, widths, numbers, screen, is_head=False)


def amount(count: float | None) -> str:
    """GiB without the unit; what nobody measured is not 0."""
    return ABSENT if count is None else gib(count)


def hours(byte_hours: float) -> str:
    """GiB times hours."""
    return f"{byte_hours / GIB:,.1f}"


def more(count: int, noun: str, hint: str, screen: Screen, nouns: str | None = None) -> Iterator[TextLine]:
    """What is not shown, where there is any."""
    if count > 0:
        yield (Fragment(f"… {plural(count, noun, nouns)} more: {hint}", palette(screen.depth).soft),)


def _row(
    cells: Sequence[str], widths: Sequence[int], numbers: Sequence[bool], screen: Screen, *, is_head: bool
) -> TextLine:
    text = GAP.join(
        fit(cell, width, "right" if is_number else "left")
        for cell, width, is_number in zip(cells, widths, numbers, strict=True)
    )
    return (Fragment(text.rstrip(), palette(screen.depth).soft if is_head else PLAIN),)


def _names(hosts: Sequence[str], count: int) -> str:
    shown = ", ".join(hosts[:NAMES_SHOWN_MAX])
    rest = count - min(len(hosts), NAMES_SHOWN_MAX)
    return f"{shown} and {rest:,} more" if rest > 0 else shown
