"""The blocks of one allocator as columns, packed as `blackbox.model.block_table` has them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import count

from blackbox.model.block_arrays import BYTE_CODES, NO_STREAM, STATES, TYPES, BlockArrays
from blackbox.model.block_table import ADDRESS, BLOCK_COLUMNS, KIND, BlockKind, Planes, planes
from blackbox.model.lanes import FAST_LANES, IntArray, Lanes
from blackbox.model.plane_sums import NUMBER_BYTES, less_where_told

ACTIVE, INACTIVE = STATES.index("active"), STATES.index("inactive")
_IS_FREE = bytes(0xFF if state == INACTIVE else 0 for state in range(256))
"""All bits, where the requested size of a block need not be told."""
PLAIN = ("thread", "stream", "stack", "segment", "pool", "allocated_ms")
"""Columns whose numbers are told as the arrays have them."""

FAST_PLANES = 4 * FAST_LANES
"""Rows that are packed at once where no arithmetic on whole numbers is needed."""

_versions = count(1)


class PackedBlocks:
    """The blocks of one allocator. Its length is their number."""

    def __init__(
        self, columns: dict[str, Planes], kinds: tuple[BlockKind, ...], rows: int, first_address: int | None
    ) -> None:
        self.version = next(_versions)
        """Different for every report."""
        self.columns = columns
        """Those that it tells."""
        self.kinds = kinds
        self.first_address = first_address
        """None where the addresses are no distances."""
        self._rows = rows

    @classmethod
    def of(cls, blocks: BlockArrays, codes: Sequence[int] | None = None, *, have_gaps: bool = True) -> PackedBlocks:
        """Packs them, a run of rows at a time. A column is told where every row tells it. `codes`: their
        `kind_codes`, where these are known; `have_gaps`: False where each is known to begin where the one before it
        ends."""
        rows = len(blocks.size)
        step = FAST_LANES if have_gaps else FAST_PLANES
        starts = range(0, rows, step) or (0,)
        runs = [
            _packed(blocks, slice(start, min(start + step, rows)), _end_before(blocks, start), have_gaps)
            for start in starts
        ]
        columns = _columns_of([(run, min(step, rows - start)) for run, start in zip(runs, starts, strict=True)])
        columns[KIND], kinds = _kinds(blocks, blocks.kind_codes() if codes is None else codes)
        if ADDRESS in columns:
            return cls(columns, kinds, rows, blocks.address[0] if rows else None)
        return cls({**columns, ADDRESS: planes(blocks.address.tobytes(), NUMBER_BYTES)}, kinds, rows, None)

    def __len__(self) -> int:
        return self._rows

    def cut(self, rows: int) -> PackedBlocks:
        """Its first rows."""
        columns = {name: tuple(plane[:rows] for plane in column) for name, column in self.columns.items()}
        return PackedBlocks(columns, self.kinds, rows, self.first_address)


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


def _kinds(blocks: BlockArrays, codes: Sequence[int]) -> tuple[Planes, tuple[BlockKind, ...]]:
    """The column of kinds, out of kind codes, and what it means."""
    if isinstance(codes, bytes):
        found = [code for code in range(len(blocks.labels) * len(TYPES) * len(STATES)) if code in codes]
        places = bytes(found.index(code) if code in found else 0 for code in range(BYTE_CODES))
        return (codes.translate(places),), tuple(_kind(blocks, code) for code in found)
    place_of = {code: place for place, code in enumerate(sorted(set(codes)))}
    column = array("H", [place_of[code] for code in codes])
    return planes(column.tobytes(), column.itemsize), tuple(_kind(blocks, code) for code in place_of)


def _kind(blocks: BlockArrays, code: int) -> BlockKind:
    label, type_, state = blocks.kind_of(code)
    subtype, type_source = blocks.labels[label]
    return BlockKind(
        type=TYPES[type_],
        subtype=subtype,
        type_source=type_source,
        allocated=state != INACTIVE,
        utilized=state == ACTIVE,
    )


def _packed(whole: BlockArrays, rows: slice, end: int, have_gaps: bool) -> dict[str, Planes]:
    """The columns of some blocks, which come behind `end`, but their kinds; without addresses where distances cannot
    tell them."""
    blocks = whole if rows == slice(0, len(whole.size)) else whole.cut(rows)
    size = planes(blocks.size.tobytes(), NUMBER_BYTES)
    columns = {"size": size}
    if not have_gaps:
        columns[ADDRESS] = ()
    elif (distances := Lanes.of(blocks.address).distances(Lanes.of(blocks.size), end)) is not None:
        columns[ADDRESS] = distances.planes()
    if blocks.requested is not None and (rounding := _rounding(blocks, size, blocks.requested)) is not None:
        columns["rounding"] = rounding
    for name in PLAIN:
        numbers: IntArray | None = getattr(blocks, name)
        if numbers is not None:
            columns[name] = planes(numbers.tobytes(), numbers.itemsize)
    if len(columns.get("stream", ())) == NUMBER_BYTES and NO_STREAM in (blocks.stream or ()):
        del columns["stream"]
    return columns


def _rounding(blocks: BlockArrays, size: Planes, requested: IntArray) -> Planes | None:
    """Bytes beyond what was asked for; None where a live block does not tell that, or has less."""
    stored = requested.tobytes()
    asked = [stored[place::NUMBER_BYTES] for place in range(NUMBER_BYTES)]
    free, untold = blocks.state.tobytes().translate(_IS_FREE), asked[-1]
    if untold != free and int.from_bytes(untold, "little") & ~int.from_bytes(free, "little"):
        return None
    return less_where_told(size, asked)
