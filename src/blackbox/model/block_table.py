"""The blocks of a moment as columns: the layout of the answer of `GET /vram/columns`, for its server and its clients.

    4 bytes  `BBC2`: the second version of this layout
    4 bytes  length of the head, little-endian
             the head: JSON of `BlockTableHead`
             the columns that the head names, one behind the other, each with a number per row

A column holds the lowest byte of every number, then the next byte of every number, and so on; bytes beyond those stored
are 0. So what hardly changes from row to row lies together, and shrinks to little when the answer is compressed.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain
from operator import add
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.parts import BlockType
from blackbox.model.quantity import Bytes, Count

MAGIC = b"BBC2"
CONTENT_TYPE = "application/vnd.blackbox.columns"
ROWS_MAX = 10_000_000
"""A hundred times what a server tells: a few hundred bytes may claim any number of rows."""
_PREFIX = struct.Struct("<4sI")

NumberType = Literal["u8", "u16", "u32", "u64"]
CODES: dict[NumberType, str] = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
"""As `array` names them."""
ADDRESS, KIND = "address", "kind"
Planes = tuple[bytes, ...]
"""The lowest byte of every number of a column, the next of every number, and so on."""
Column: TypeAlias = "array[int]"


class BlockColumn(NamedTuple):
    """One property of a block."""

    type: NumberType
    help: str


BLOCK_COLUMNS: dict[str, BlockColumn] = {
    ADDRESS: BlockColumn("u64", "In a part with a `first_address`: distance from the end of the block before, 0 in the "
                         "first row. Else the address itself, 0 where it is unknown."),
    "size": BlockColumn("u64", "Bytes."),
    KIND: BlockColumn("u16", "What it is for and whether it is in use: index into `kinds` of its part."),
    "rounding": BlockColumn("u64", "Bytes beyond what the program asked for; 0 where it is free."),
    "thread": BlockColumn("u32", "OS thread id of the thread that allocated it; 0 where that is not known."),
    "stream": BlockColumn("u64", "CUDA stream it was allocated on."),
    "stack": BlockColumn("u32", "1 + index into `stacks` of its part: who allocated it; 0 where that is not known."),
    "segment": BlockColumn("u64", "Address of the segment that it is cut from; 0 where that is not known."),
    "pool": BlockColumn("u8", "Pool of its segment: 0 serves everybody; others, such as those of graphs, by number."),
    "allocated_ms": BlockColumn("u64", "When it was allocated, in Unix milliseconds; 0 where that is not known."),
}  # fmt: skip
"""All columns there are, in their order in an answer, which leaves out those that no part tells."""


class ColumnHead(Struct, frozen=True, kw_only=True):
    """One column of an answer."""

    name: str
    """`address`, `size`, `kind`, `rounding`, `thread`, `stream`, `stack`, `segment`, `pool` or `allocated_ms`; more may
    come."""
    type: NumberType
    """How large its numbers may be, in bits; they are whole."""
    bytes: Count
    """How many bytes of each number are stored, the lowest first; the others are 0."""


class BlockKind(Struct, frozen=True, kw_only=True):
    """What blocks of a part have in common."""

    type: BlockType
    """What they are for."""
    subtype: str | None
    """Finer than `type`, where it is known."""
    type_source: str | None
    """Who told the type, as in a block of the snapshot."""
    allocated: bool
    """Their allocator gave them out and has not got them back."""
    utilized: bool
    """They hold live data."""


class PartStack(Struct, frozen=True, kw_only=True):
    """A stack that allocated blocks of a part."""

    frames: tuple[str, ...]
    """Innermost first, as `file:line function`."""
    type: BlockType
    """What the memory is for."""
    subtype: str | None
    """Finer than `type`, where it is known."""
    allocated_bytes: Bytes
    """Sum of the sizes of its live blocks."""
    blocks: Count
    """Number of its live blocks."""


class TablePart(Struct, frozen=True, kw_only=True):
    """Blocks of one allocator of a process on a GPU; or, as one row, whatever of the process's memory no allocator
    explains."""

    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    gpu_uuid: str
    """UUID of the device: the MIG instance where there is one."""
    pid: int
    """Process that holds them."""
    name: str
    """The kernel's name of the process."""
    start_time: float | None
    """Unix seconds; with the pid, its identity."""
    source: str | None
    """Who told of the blocks, such as `pytorch`; null for the memory that no allocator explains."""
    rows: Count
    """Number of its blocks."""
    same: bool
    """Its blocks, kinds and stacks are those of the answer named by `since`, and left out here."""
    columns: tuple[str, ...]
    """What is told of its blocks; in other columns its rows are 0, and mean nothing."""
    first_address: int | None
    """Device address of its first block, where `address` holds distances; null where it holds addresses."""
    kinds: tuple[BlockKind, ...]
    """What a block's `kind` means."""
    stacks: tuple[PartStack, ...]
    """The stacks of its blocks; empty where nobody records them."""
    reason: str | None
    """Why no allocator explains the memory, where that is known."""


class BlockTableHead(Struct, frozen=True, kw_only=True):
    """The head of the answer of `GET /vram/columns`, whose layout docs/columns.md describes."""

    seq: int
    """Sample number since the server started."""
    timestamp: str
    """UTC time of the sample, RFC 3339."""
    simulated: bool
    """True when the numbers come from the simulator (`--demo`)."""
    version: str
    """Names this answer, for `since`."""
    since: str | None
    """The `since` of the request, where parts are left out that are the same as in the answer it names."""
    rows: Count
    """Blocks in the columns: those of all parts that are not `same`."""
    rows_omitted: Count
    """Blocks beyond the most that one answer holds; they are missing at the end."""
    columns: tuple[ColumnHead, ...]
    """In their order behind the head."""
    parts: tuple[TablePart, ...]
    """Their rows stand one part behind the other: by GPU, then by process."""


class LayoutError(ValueError):
    """Bytes that are no table of this layout."""


class BlockTable:
    """The blocks of a moment. A column is a `memoryview` of numbers, which `numpy.asarray` takes without a copy."""

    def __init__(self, head: BlockTableHead, columns: dict[str, Column]) -> None:
        """`columns`: as named in `BLOCK_COLUMNS`, but addresses as such."""
        self.head = head
        self._columns = columns

    def __len__(self) -> int:
        """The number of blocks."""
        return sum(part.rows for part in self.head.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it has."""
        return tuple(self._columns)

    def column(self, name: str) -> memoryview:
        """The numbers of one column, one per block. Raises `KeyError` where no part tells it."""
        return memoryview(self._columns[name]).toreadonly()

    def parts(self) -> Iterator[tuple[TablePart, slice]]:
        """Every part with the rows that are its blocks."""
        end = 0
        for part in self.head.parts:
            yield part, slice(end, end + part.rows)
            end += part.rows


def planes(stored: bytes, number_bytes: int) -> Planes:
    """A column as it is stored, out of its numbers, each `number_bytes` long."""
    if number_bytes == 1:
        return (stored,)
    if stored == bytes(len(stored)):
        return ()
    found = [stored[place::number_bytes] for place in range(number_bytes)]
    while found and found[-1] == bytes(len(found[-1])):
        found.pop()
    return tuple(found)


def encode(head: BlockTableHead, columns: Iterable[Planes]) -> bytes:
    """The answer; the columns as the head names them."""
    text = msgspec.json.encode(head)
    return b"".join((_PREFIX.pack(MAGIC, len(text)), text, *chain.from_iterable(columns)))


def decode(body: bytes, before: BlockTable | None = None) -> BlockTable:
    """The table in an answer; `before` is the one that the answer's `since` names. Raises `LayoutError`."""
    head, end = _decode_head(body)
    columns: dict[str, Column] = {}
    for column in head.columns:
        code = CODES[column.type]
        if not column.bytes <= array(code).itemsize:
            raise LayoutError(f"column {column.name} has longer numbers than its type")
        length = head.rows * column.bytes
        stored, end = body[end : end + length], end + length
        if len(stored) != length:
            raise LayoutError(f"column {column.name} is cut short")
        columns[column.name] = _numbers(code, stored, head.rows)
    if end != len(body):
        raise LayoutError("bytes behind the last column")
    if ADDRESS in columns:
        columns[ADDRESS] = _addresses(head, columns)
    _check_kinds(head, columns.get(KIND))
    if not any(part.same for part in head.parts):
        return BlockTable(head, columns)
    if before is None or before.head.version != head.since:
        raise LayoutError("parts are left out that only the answer named by `since` has")
    return _joined(head, columns, before)


def _decode_head(body: bytes) -> tuple[BlockTableHead, int]:
    try:
        magic, length = _PREFIX.unpack_from(body)
    except struct.error:
        raise LayoutError("too short") from None
    end = _PREFIX.size + length
    if magic != MAGIC or end > len(body):
        raise LayoutError("no table of this version")
    try:
        head = msgspec.json.decode(body[_PREFIX.size : end], type=BlockTableHead)
    except DECODE_ERRORS as error:
        raise LayoutError(f"head: {error}") from None
    told = sum(part.rows for part in head.parts if not part.same)
    if told != head.rows or sum(part.rows for part in head.parts) > ROWS_MAX:
        raise LayoutError(f"{head.rows} rows where the parts have {told}")
    return head, end


def _numbers(code: str, stored: bytes, rows: int) -> Column:
    numbers: Column = array(code)
    whole = bytearray(rows * numbers.itemsize)
    for place in range(len(stored) // rows if rows else 0):
        whole[place :: numbers.itemsize] = stored[place * rows : (place + 1) * rows]
    numbers.frombytes(whole)
    return numbers


def _addresses(head: BlockTableHead, columns: dict[str, Column]) -> Column:
    """The addresses as such."""
    told, sizes = columns[ADDRESS], columns.get("size")
    if sizes is None:
        raise LayoutError("addresses without sizes")
    found = array("Q")
    end = 0
    for part in head.parts:
        if part.same:
            continue
        rows = slice(end, end + part.rows)
        end += part.rows
        if part.first_address is not None:
            ends_before = chain((part.first_address,), sizes[rows])
            try:
                found.extend(accumulate(map(add, told[rows], ends_before)))
            except OverflowError:
                raise LayoutError("an address beyond 64 bits") from None
        else:
            found.extend(told[rows])
    return found


def _check_kinds(head: BlockTableHead, kinds: "Column | None") -> None:
    end = 0
    for part in head.parts:
        if part.same:
            continue
        start, end = end, end + part.rows
        if kinds is not None and KIND in part.columns and max(kinds[start:end], default=-1) >= len(part.kinds):
            raise LayoutError(f"pid {part.pid} has blocks of a kind that is not told")


def _joined(head: BlockTableHead, told: dict[str, Column], before: BlockTable) -> BlockTable:
    """The told rows, and those of `before` where a part is the same."""
    kept = {_key(part): (part, rows) for part, rows in before.parts()}
    parts: list[TablePart] = []
    pieces: list[tuple[bool, slice]] = []
    end = 0
    for part in head.parts:
        known = kept.get(_key(part))
        if not part.same:
            pieces.append((False, slice(end, end + part.rows)))
            end += part.rows
            parts.append(part)
        elif known is None or known[0].rows != part.rows:
            raise LayoutError(f"pid {part.pid} is the same as in an answer that has it not")
        else:
            pieces.append((True, known[1]))
            changes = {name: getattr(known[0], name) for name in ("columns", "first_address", "kinds", "stacks")}
            parts.append(msgspec.structs.replace(part, **changes))
    joined: dict[str, Column] = {}
    for name in dict.fromkeys((*told, *before.names)):
        old = before.column(name) if name in before.names else None
        new = told.get(name)
        whole: Column = array(new.typecode if new is not None else before.column(name).format)
        for is_old, rows in pieces:
            found = old if is_old else new
            count = (rows.stop - rows.start) * whole.itemsize
            whole.frombytes(bytes(count) if found is None else memoryview(found)[rows].tobytes())
        joined[name] = whole
    return BlockTable(msgspec.structs.replace(head, parts=tuple(parts)), joined)


def _key(part: TablePart) -> tuple[str, int, float | None, str | None]:
    return part.gpu_uuid, part.pid, part.start_time, part.source
