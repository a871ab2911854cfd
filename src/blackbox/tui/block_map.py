"""The blocks of one allocator by address, summed up in cells: a cell takes the purpose with the most bytes in it, live
before what is not; free only if nothing in it is in use."""

from collections.abc import Sequence
from typing import NamedTuple

from blackbox.model.block_table import BlockTable, TablePart
from blackbox.model.purpose import purpose_of

FINEST_ROW_BYTES = 4 << 20
ROW_BYTES_MAX = 1 << 50
LIVE_RANK_BELOW = 8
"""Purposes before this rank are live; of equal kind, the one with more bytes shows."""


class MapRow(NamedTuple):
    """One row of cells, beginning at an address."""

    address: int
    cells: tuple[str | None, ...]
    """Purpose of each; None where there is no memory."""
    begins_range: bool
    """What lies before it is no memory of this allocator: it was cut out."""


class BlockMap(NamedTuple):
    """All rows, and what they cannot show."""

    rows: tuple[MapRow, ...]
    row_bytes: int
    hidden: int
    """Blocks smaller than a cell."""
    blocks: int
    sums: dict[str, tuple[int, int]]
    """Purpose -> bytes, blocks."""
    largest_free: tuple[int, int] | None
    """Address and bytes of the largest piece that the allocator holds without use."""


class MappedBlock(NamedTuple):
    """A block, and what it is for."""

    address: int
    size: int
    purpose: str


def mapped_parts(table: BlockTable) -> list[tuple[TablePart, slice]]:
    """Parts with addresses: allocators that tell their blocks."""
    return [(part, rows) for part, rows in table.parts() if part.source is not None and part.rows]


def blocks_of(table: BlockTable, part: TablePart, rows: slice) -> list[MappedBlock]:
    """The blocks of a part, by address."""
    addresses, sizes = table.column("address")[rows], table.column("size")[rows]
    kinds = table.column("kind")[rows]
    names = [
        purpose_of(kind.type, kind.subtype, allocated=kind.allocated, utilized=kind.utilized) for kind in part.kinds
    ]
    found = [
        MappedBlock(address, size, names[kind])
        for address, size, kind in zip(addresses, sizes, kinds, strict=True)
        if size
    ]
    return sorted(found)


def block_map(blocks: Sequence[MappedBlock], width: int, rows_max: int, rank: dict[str, int]) -> BlockMap:
    """`width` cells a row; a row is a power of two, the smallest with which everything fits on `rows_max` rows."""
    row_bytes = FINEST_ROW_BYTES
    while _rows_needed(blocks, row_bytes) > rows_max and row_bytes < ROW_BYTES_MAX:
        row_bytes *= 2
    sums: dict[str, tuple[int, int]] = {}
    largest: tuple[int, int] | None = None
    for block in blocks:
        size, count = sums.get(block.purpose, (0, 0))
        sums[block.purpose] = size + block.size, count + 1
        if block.purpose == "cached" and (largest is None or block.size > largest[1]):
            largest = block.address, block.size
    cell_bytes = row_bytes / width
    hidden = sum(block.size < cell_bytes for block in blocks)
    return BlockMap(_rows(blocks, row_bytes, width, rank), row_bytes, hidden, len(blocks), sums, largest)


def _rows_needed(blocks: Sequence[MappedBlock], row_bytes: int) -> int:
    count, last = 0, -1
    for block in blocks:
        first, end = block.address // row_bytes, (block.address + block.size - 1) // row_bytes
        count += end - max(first, last + 1) + 1 if end > last else 0
        last = max(last, end)
    return count


def _rows(blocks: Sequence[MappedBlock], row_bytes: int, width: int, rank: dict[str, int]) -> tuple[MapRow, ...]:
    """Rows that hold something; those that do not are left out."""
    sums: dict[int, list[dict[str, float]]] = {}
    for block in blocks:
        start, end = block.address, block.address + block.size
        for row in range(start // row_bytes, (end - 1) // row_bytes + 1):
            cells = sums.setdefault(row, [{} for _ in range(width)])
            low = max(start, row * row_bytes) - row * row_bytes
            high = min(end, (row + 1) * row_bytes) - row * row_bytes
            first, last = low * width // row_bytes, min(width - 1, (high - 1) * width // row_bytes)
            for cell in range(first, last + 1):
                inside = min(high, (cell + 1) * row_bytes / width) - max(low, cell * row_bytes / width)
                cells[cell][block.purpose] = cells[cell].get(block.purpose, 0.0) + inside
    found: list[MapRow] = []
    for row in sorted(sums):
        cells = tuple(_winner(cell, rank) for cell in sums[row])
        begins = bool(found) and found[-1].address != (row - 1) * row_bytes
        found.append(MapRow(row * row_bytes, cells, begins))
    return tuple(found)


def _winner(cell: dict[str, float], rank: dict[str, int]) -> str | None:
    if not cell:
        return None
    return max(cell, key=lambda purpose: (rank[purpose] < LIVE_RANK_BELOW, cell[purpose]))
