"""Payloads of the frames that agents send.

HELLO is the JSON of `Hello`; GOODBYE is empty, or the JSON of `Goodbye` where an exception ends the program;
OOM_RECEIVED, the daemon's acknowledgement of an OOM, is empty. REPORT and OOM are

    4 bytes  length of the header, little-endian
             the header: JSON of `ReportHeader` or `OomHeader`
             the columns that the header announces, packed little-endian one behind the other, without gaps

since JSON of 15,000 blocks would take the program ten times as long to write.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from typing import NamedTuple

from blackbox.wire.frame import FrameKind, WireError, pack
from blackbox.wire.ranges import PAGES_MAX
from blackbox.wire.report import BlockColumns, Cost, Goodbye, Hello, KvStates, Oom, Report

BLOCKS_MAX = 100_000
"""Blocks in one report: ten times what training shows, 4 MB on the wire, 25 MB as rows."""
THREADS_MAX = 10_000
LABELS_MAX = 256
REPORT_HEADER_BYTES_MAX = 256 * 1024
"""Some kilobytes are usual; 1,000 owning threads take 40 KB. JSON may take 40 times its size in memory."""
OOM_HEADER_BYTES_MAX = 1024 * 1024
"""Holds the trace: about 5,000 steps."""
HELLO_BYTES_MAX = 4096
GOODBYE_BYTES_MAX = 4096

COLUMNS = {
    "address": "Q",
    "size": "Q",
    "state": "B",
    "type": "B",
    "requested": "Q",
    "stream": "Q",
    "thread": "I",
    "label": "B",
}
"""Name -> type code of `array`, in the order on the wire."""

_LENGTH = struct.Struct("<I")


class BlockShape(NamedTuple):
    """How to read the columns of one allocator's blocks."""

    rows: int
    columns: tuple[str, ...]
    """The columns sent, in the order of `COLUMNS`."""
    labels: tuple[tuple[str | None, str | None], ...]


class ReportHeader(NamedTuple):
    report: Report
    """Without its columns."""
    cost: Cost
    shapes: tuple[BlockShape | None, ...]
    """Of the blocks of each allocator."""
    pages: tuple[int, ...]
    """Number of page states of each `kv_states`: one byte each, behind the blocks."""


class OomHeader(NamedTuple):
    oom: Oom
    """Without its columns."""
    shape: BlockShape | None


def pack_hello(hello: Hello) -> bytes:
    """The frame that opens a connection."""
    return pack(FrameKind.HELLO, _json(hello))


def pack_goodbye(goodbye: Goodbye = Goodbye()) -> bytes:  # noqa: B008 - never changed
    """The frame that ends a connection."""
    return pack(FrameKind.GOODBYE, b"" if goodbye == Goodbye() else _json(goodbye))


def pack_oom_received() -> bytes:
    """The frame by which the daemon acknowledges an OOM."""
    return pack(FrameKind.OOM_RECEIVED, b"")


def pack_report(report: Report, cost: Cost) -> bytes:
    """The frame of a report. Raises `WireError` when it is too large, other errors for values out of range."""
    blocks = [allocator.blocks for allocator in report.allocators]
    states = report.kv_states or ()
    bare = report._replace(
        allocators=tuple(allocator._replace(blocks=None) for allocator in report.allocators),
        kv_states=None if report.kv_states is None else tuple(state._replace(states=b"") for state in states),
    )
    shapes = tuple(_shape(columns) for columns in blocks)
    header = ReportHeader(bare, cost, shapes, tuple(len(state.states) for state in states))
    packed = [_packed(columns) for columns in blocks if columns is not None]
    return _message(FrameKind.REPORT, header, REPORT_HEADER_BYTES_MAX, [*packed, *map(_states, states)])


def pack_oom(oom: Oom) -> bytes:
    """The frame of a failed allocation; the oldest steps are left out until it fits. Errors as in `pack_report`."""
    allocator = oom.allocator
    columns = None if allocator is None else allocator.blocks
    bare = oom if allocator is None else oom._replace(allocator=allocator._replace(blocks=None))
    body = [] if columns is None else [_packed(columns)]
    while True:
        try:
            return _message(FrameKind.OOM, OomHeader(bare, _shape(columns)), OOM_HEADER_BYTES_MAX, body)
        except WireError:
            if not bare.trace and not bare.stacks:
                raise
            kept = bare.trace[len(bare.trace) // 2 + 1 :]
            bare = bare._replace(trace=kept, stacks=bare.stacks if kept else ())


def split(payload: bytes, header_bytes_max: int) -> tuple[bytes, memoryview]:
    """The header and the columns of a REPORT or OOM. Raises `WireError`."""
    if len(payload) < _LENGTH.size:
        raise WireError("payload ends within the length of its header")
    (length,) = _LENGTH.unpack_from(payload)
    if length > header_bytes_max:
        raise WireError(f"header of {length} bytes exceeds {header_bytes_max}")
    end = _LENGTH.size + length
    if len(payload) < end:
        raise WireError("payload ends within its header")
    return payload[_LENGTH.size : end], memoryview(payload)[end:]


def read_column(code: str, count: int, packed: memoryview) -> tuple[array[int], memoryview]:
    """A column, and the bytes after it. Raises `WireError` when it is cut short."""
    column: array[int] = array(code)
    end = count * column.itemsize
    if not 0 <= end <= len(packed):
        raise WireError("payload ends within a column")
    column.frombytes(packed[:end])
    return _little_endian(column), packed[end:]


def _shape(columns: BlockColumns | None) -> BlockShape | None:
    if columns is None:
        return None
    names = tuple(name for name in COLUMNS if getattr(columns, name) is not None)
    return BlockShape(len(columns.address), names, tuple(columns.labels))


def _packed(columns: BlockColumns) -> bytes:
    count = len(columns.address)
    if count > BLOCKS_MAX:
        raise WireError(f"{count} blocks exceed {BLOCKS_MAX}")
    packed: list[bytes] = []
    for name, code in COLUMNS.items():
        column = getattr(columns, name)
        if column is None:
            continue
        if len(column) != count:
            raise WireError(f"column {name} has {len(column)} values for {count} blocks")
        packed.append(_little_endian(array(code, column)).tobytes())
    return b"".join(packed)


def _states(states: KvStates) -> bytes:
    if len(states.states) > PAGES_MAX:
        raise WireError(f"{len(states.states)} pages exceed {PAGES_MAX}")
    return states.states


def _little_endian(column: array[int]) -> array[int]:
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _message(kind: FrameKind, header: ReportHeader | OomHeader, header_bytes_max: int, columns: list[bytes]) -> bytes:
    text = _json(header)
    if len(text) > header_bytes_max:
        raise WireError(f"header of {len(text)} bytes exceeds {header_bytes_max}")
    return pack(kind, b"".join([_LENGTH.pack(len(text)), text, *columns]))


def _json(value: tuple[object, ...]) -> bytes:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=bytes.decode)
    return text.encode(errors="replace")
