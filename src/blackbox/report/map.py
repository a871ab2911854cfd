"""The block map of one allocator as a picture: its memory by address, line after line."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from blackbox.analysis.usage import use_of
from blackbox.model.snapshot import Block
from blackbox.report.charts import WIDTH
from blackbox.report.markup import tag
from blackbox.report.palette import use_colour

LINES = 24
LINE_HEIGHT = 13
CELLS = int(WIDTH) // 2
"""Of two pixels in each line: enough to see 4 MiB of an 80 GiB cache."""


def block_map(blocks: Sequence[Block], title: str) -> Element:
    """What stands where. A cell shows what fills most of it; memory that is not held is left out."""
    cells = _cells(sorted(blocks, key=lambda block: block.address))
    picture = tag(
        "svg", tag("title", title), viewBox=f"0 0 {CELLS * 2} {LINES * LINE_HEIGHT}", role="img", class_="figure map"
    )
    for colour, path in _paths(cells).items():
        picture.append(tag("path", d=path, class_=colour))
    return picture


def _cells(blocks: Sequence[Block]) -> list[str | None]:
    """The colour of each cell: of the use that fills most of it."""
    count = LINES * CELLS
    total = sum(block.size for block in blocks)
    filled: list[dict[str, float]] = [{} for _ in range(count)]
    position = 0
    for block in blocks:
        start, end = position * count / total, (position + block.size) * count / total
        position += block.size
        colour = use_colour(use_of(block))
        first, last = int(start), int(end)
        for cell in {min(count - 1, first), min(count - 1, last)}:
            part = min(end, cell + 1) - max(start, cell)
            filled[cell][colour] = filled[cell].get(colour, 0.0) + part
        for cell in range(first + 1, last):  # of which it fills all
            filled[cell] = {colour: 1.0}
    return [max(parts, key=parts.__getitem__) if len(parts) > 1 else next(iter(parts), None) for parts in filled]


def _paths(cells: Sequence[str | None]) -> dict[str, str]:
    """Colour -> one path over all its cells."""
    paths: dict[str, list[str]] = {}
    for line in range(LINES):
        row = cells[line * CELLS : (line + 1) * CELLS]
        start = 0
        for place in range(1, CELLS + 1):
            if place == CELLS or row[place] != row[start]:
                colour = row[start]
                if colour is not None:
                    width, height = (place - start) * 2, LINE_HEIGHT - 2
                    paths.setdefault(colour, []).append(f"M{start * 2} {line * LINE_HEIGHT}h{width}v{height}h-{width}z")
                start = place
    return {colour: "".join(parts) for colour, parts in paths.items()}
