"""The blocks of one allocator as columns, packed as `blackbox.model.block_table` has them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from blackbox.model.block_arrays import NO_STREAM, STATES, BlockArrays
from blackbox.model.block_table import ADDRESS, ALLOCATED, BLOCK_COLUMNS, UTILIZED, Planes, planes
from blackbox.model.lanes import FAST_LANES, LANE_BYTES, IntArray, Lanes
from blackbox.model.parts import BlockState

Label = tuple[str | None, str | None]
"""Subtype, and source of the type."""
_BITS: dict[BlockState, int] = {"active": ALLOCATED | UTILIZED, "pending_free": ALLOCATED, "inactive": 0}
STATE_BITS = bytes(_BITS[state] for state in STATES).ljust(256, b"\0")
"""State of an allocator's block -> state in the table."""
_IS_LIVE = bytes(0 if state == "inactive" else 0x80 for state in STATES).ljust(256, b"\0")
"""The highest bit of a requested size, where that of the block has to be told."""
PLAIN = ("thread", "stream", "stack", "segment", "pool", "allocated_ms")
"""Columns whose numbers are told as the arrays have them."""

_versions = count(1)


class PackedBlocks:
    """The blocks of one allocator. Its length is their number."""

    def __init__(
        self, columns: dict[str, Planes], labels: tuple[Label, ...], rows: int, first_address: int | None
    ) -> None:
        self.version = next(_versions)
        """Different for every report."""
        self.columns = columns
        """Those that it tells."""
        self.labels = labels
        self.first_address = first_address
        """None where the addresses are no distances."""
        self._rows = rows

    @classmethod
    def of(cls, blocks: BlockArrays) -> PackedBlocks:
        """Packs them, a run of rows at a time. A column is told where every row tells it."""
        rows = len(blocks.size)
        starts = range(0, rows, FAST_LANES) or (0,)
        runs = [
            _packed(blocks, slice(start, min(start + FAST_LANES, rows)), _end_before(blocks, start)) for start in starts
        ]
        columns = _columns_of([(run, len(run["state"][0])) for run in runs])
        if ADDRESS in columns:
            return cls(columns, blocks.labels, rows, blocks.address[0] if rows else None)
        columns = {ADDRESS: planes(blocks.address.tobytes(), LANE_BYTES), **columns}
        return cls(columns, blocks.labels, rows, None)

    def __len__(self) -> int:
        return self._rows

    def cut(self, rows: int) -> PackedBlocks:
        """Its first rows."""
        columns = {name: tuple(plane[:rows] for plane in column) for name, column in self.columns.items()}
        return PackedBlocks(columns, self.labels, rows, self.first_address)


def joined(parts: Sequence[tuple[Planes, int]]) -> Planes:
    """One column of several parts, each with its number of rows."""
    return tuple(
        b"".join([column[place] if place < len(column) else bytes(rows) for column, rows in parts])
        for place in range(max((len(column) for column, _ in parts), default=0))
    )


def _columns_of(parts: Sequence[tuple[dict[str, Planes], int]]) -> dict[str, Planes]:
    """The columns that all parts tell."""
    told = [name for name in BLOCK_COLUMNS if all(name in columns for columns, _ in parts)]
    return {name: joined([(columns[name], rows) for columns, rows in parts]) for name in told}


def _end_before(blocks: BlockArrays, start: int) -> int:
    """Where the block before this one ends. Before the first one nothing lies: it begins there."""
    if start:
        return blocks.address[start - 1] + blocks.size[start - 1]
    return blocks.address[0] if blocks.address else 0


def _packed(whole: BlockArrays, rows: slice, end: int) -> dict[str, Planes]:
    """The columns of some blocks, which come behind `end`; without addresses where distances cannot tell them."""
    blocks = whole.cut(rows)
    sizes = Lanes.of(blocks.size)
    columns = {
        "size": sizes.planes(),
        "state": (blocks.state.tobytes().translate(STATE_BITS),),
        "type": (blocks.type.tobytes(),),
        "label": (blocks.label.tobytes(),),
    }
    if (distances := Lanes.of(blocks.address).distances(sizes, end)) is not None:
        columns[ADDRESS] = distances.planes()
    if blocks.requested is not None and (rounding := _rounding(blocks, sizes, blocks.requested)) is not None:
        columns["rounding"] = rounding.planes()
    for name in PLAIN:
        numbers: IntArray | None = getattr(blocks, name)
        if numbers is not None:
            columns[name] = planes(numbers.tobytes(), numbers.itemsize)
    if len(columns.get("stream", ())) == LANE_BYTES and NO_STREAM in (blocks.stream or ()):
        del columns["stream"]
    return columns


def _rounding(blocks: BlockArrays, sizes: Lanes, requested: IntArray) -> Lanes | None:
    """Bytes beyond what was asked for; None where a live block does not tell that, or has less."""
    asked = Lanes.of(requested)
    live = int.from_bytes(blocks.state.tobytes().translate(_IS_LIVE), "little")
    if live & int.from_bytes(asked.tobytes()[LANE_BYTES - 1 :: LANE_BYTES], "little"):
        return None
    return sizes.less_where_told(asked)
