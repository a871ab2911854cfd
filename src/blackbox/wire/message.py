"""Payloads of the frames that agents send.

HELLO is the JSON of `Hello`; GOODBYE is empty, or the JSON of `Goodbye` where an exception ends the program;
OOM_RECEIVED, the daemon's acknowledgement of an OOM, is empty; WELCOME is the JSON of `Welcome`. REPORT and OOM are

    4 bytes  length of the header, little-endian
             the header: JSON of `ReportHeader` or `OomHeader`
             the columns that the header announces, packed little-endian one behind the other, without gaps

since JSON of 15,000 blocks would take the program ten times as long to write.
"""

from __future__ import annotations

import contextlib
import json
import struct
import sys
from array import array
from collections.abc import Collection, Sequence
from typing import NamedTuple, cast

from blackbox.wire.frame import FrameKind, WireError, pack
from blackbox.wire.ranges import PAGES_MAX
from blackbox.wire.report import (
    ALLOCATOR_LIMIT,
    BLOCK_ORIGINS,
    HOST_PINNED,
    MEMORY_FRACTION,
    NO_STACK,
    OOM_TRACE,
    AllocatorReport,
    AllocatorSettings,
    BlockColumns,
    Cost,
    Goodbye,
    Hello,
    KvStates,
    Oom,
    Report,
    TraceStep,
    Welcome,
)

BLOCKS_MAX = 100_000
"""Blocks in one report: ten times what training shows, 4 MB on the wire, 25 MB as rows."""
THREADS_MAX = 10_000
LABELS_MAX = 256
REPORT_HEADER_BYTES_MAX = 256 * 1024
"""Some kilobytes are usual; 1,000 owning threads take 40 KB. JSON may take 40 times its size in memory."""
OOM_HEADER_BYTES_MAX = 1024 * 1024
"""Holds the trace: about 5,000 steps."""
STACKS_CHARS_MAX = OOM_HEADER_BYTES_MAX
"""Of the stacks of an OOM, written out: as much as went into its header before frames were numbered there."""
STACK_DEPTHS = (64, 32, 16, 8)
"""Frames of a stack, innermost first: as many as leave room for the steps."""
HELLO_BYTES_MAX = 4096
WELCOME_BYTES_MAX = 4096
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
    "stack": "I",
    "starts": "B",
    "pool": "B",
    "allocated_ms": "Q",
}
"""Name -> type code of `array`, in the order on the wire."""
ORIGINS = ("starts", "pool", "allocated_ms")
"""Columns that only a daemon of `BLOCK_ORIGINS` reads."""

ADDITIONS = (OOM_TRACE, BLOCK_ORIGINS, MEMORY_FRACTION, ALLOCATOR_LIMIT, HOST_PINNED)
"""All that a daemon reads beyond the first version."""
ALLOCATOR_FIELDS = AllocatorReport._fields.index("limit_bytes")
STEP_FIELDS, OOM_FIELDS = TraceStep._fields.index("pool"), Oom._fields.index("segments")
SETTINGS_FIELDS = AllocatorSettings._fields.index("memory_fraction")
TRACED_FIELDS = Oom._fields.index("host_pinned_bytes")
"""Fields of the first version."""
TRACE_FIELD = Oom._fields.index("trace")
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
    frames: tuple[str, ...] = ()
    """Every line of the stacks once. Part of `OOM_TRACE`, as `stacks`."""
    stacks: tuple[tuple[int, ...], ...] = ()
    """Those of `oom`, as indices into `frames`."""


class OldOom(NamedTuple):
    """A header for daemons that know nothing of `OOM_TRACE`."""

    oom: tuple[object, ...]
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


def pack_welcome(welcome: Welcome = Welcome(ADDITIONS)) -> bytes:  # noqa: B008 - never changed
    """The frame by which the daemon answers a hello."""
    return pack(FrameKind.WELCOME, _json(welcome))


def read_welcome(payload: bytes) -> Welcome:
    """The welcome; of one that cannot be read, that the daemon reads nothing more."""
    try:
        (reads, *_) = json.loads(payload)
        return Welcome(tuple(map(str, reads)))
    except (ValueError, TypeError):
        return Welcome()


def pack_report(report: Report, cost: Cost, reads: Collection[str] = ()) -> bytes:
    """The frame of a report, for a daemon that reads these additions. Raises `WireError` when it is too large, other
    errors for values out of range."""
    blocks = [allocator.blocks for allocator in report.allocators]
    if BLOCK_ORIGINS not in reads:
        blocks = [None if columns is None else _without_origins(columns._replace(stack=None)) for columns in blocks]
    states = report.kv_states or ()
    bare = report._replace(
        allocators=tuple(_readable(allocator._replace(blocks=None), reads) for allocator in report.allocators),
        kv_states=None if report.kv_states is None else tuple(state._replace(states=b"") for state in states),
    )
    shapes = tuple(_shape(columns) for columns in blocks)
    header = ReportHeader(bare, cost, shapes, tuple(len(state.states) for state in states))
    packed = [_packed(columns) for columns in blocks if columns is not None]
    return _message(FrameKind.REPORT, header, REPORT_HEADER_BYTES_MAX, [*packed, *map(_states, states)])


def pack_oom(oom: Oom, reads: Collection[str] = ()) -> bytes:
    """The frame of a failed allocation, for a daemon that reads these additions. The outermost frames of stacks, and
    then the oldest steps, are left out until it fits. Errors as in `pack_report`."""
    whole = OOM_TRACE in reads
    allocator = oom.allocator
    if allocator is not None and allocator.blocks is not None and BLOCK_ORIGINS not in reads:
        oom = oom._replace(allocator=allocator._replace(blocks=_without_origins(allocator.blocks)))
    if oom.settings is not None and MEMORY_FRACTION not in reads:
        oom = oom._replace(settings=cast("AllocatorSettings", oom.settings[:SETTINGS_FIELDS]))
    for depth in STACK_DEPTHS if whole else ():
        oom = _with_depth(oom, depth)
        with contextlib.suppress(WireError):
            return _packed_oom(oom, reads)
    while True:
        try:
            return _packed_oom(oom, reads) if whole else _packed_old_oom(oom)
        except WireError:
            if not oom.trace and not oom.stacks:
                raise
            oom = _without_oldest(oom)


def _readable(allocator: AllocatorReport, reads: Collection[str]) -> AllocatorReport:
    """With as many fields as the daemon knows, of which it refuses any more."""
    if ALLOCATOR_LIMIT in reads:
        return allocator
    return cast("AllocatorReport", allocator[:ALLOCATOR_FIELDS])


def _without_origins(columns: BlockColumns) -> BlockColumns:
    return columns._replace(**dict.fromkeys(ORIGINS))


def _with_depth(oom: Oom, depth: int) -> Oom:
    """With so many frames of each stack."""
    cut: dict[tuple[str, ...], int] = {}
    places = [cut.setdefault(stack[:depth], len(cut)) for stack in oom.stacks]
    return _with_stacks(oom, tuple(cut), places)


def _without_oldest(oom: Oom) -> Oom:
    """The later half of the steps, and the stacks of these and of the blocks; without any step, none."""
    oom = oom._replace(trace=oom.trace[len(oom.trace) // 2 + 1 :])
    blocks = oom.allocator.blocks if oom.allocator is not None else None
    used = {step.stack for step in oom.trace}
    if oom.trace and blocks is not None and blocks.stack is not None:
        used.update(blocks.stack)
    kept = [place for place in range(len(oom.stacks)) if place in used]
    places = [NO_STACK] * len(oom.stacks)
    for new, old in enumerate(kept):
        places[old] = new
    return _with_stacks(oom, tuple(oom.stacks[place] for place in kept), places)


def _with_stacks(oom: Oom, stacks: tuple[tuple[str, ...], ...], places: Sequence[int]) -> Oom:
    """With other stacks; `places`: the number in these of each one before, or `NO_STACK`."""
    if len(stacks) == len(oom.stacks):
        return oom._replace(stacks=stacks)
    steps = tuple(
        step
        if step.stack is None
        else step._replace(stack=None if places[step.stack] == NO_STACK else places[step.stack])
        for step in oom.trace
    )
    oom = oom._replace(trace=steps, stacks=stacks)
    allocator = oom.allocator
    if allocator is None or allocator.blocks is None or allocator.blocks.stack is None:
        return oom
    column = [NO_STACK if place == NO_STACK else places[place] for place in allocator.blocks.stack]
    return oom._replace(allocator=allocator._replace(blocks=allocator.blocks._replace(stack=column)))


def _packed_oom(oom: Oom, reads: Collection[str]) -> bytes:
    if sum(len(line) + 1 for stack in oom.stacks for line in stack) > STACKS_CHARS_MAX:
        raise WireError("stacks too long")
    numbers: dict[str, int] = {}
    stacks = tuple(tuple(numbers.setdefault(line, len(numbers)) for line in stack) for stack in oom.stacks)
    bare, columns = _bare_oom(oom, reads)
    bare = bare._replace(stacks=())
    told = bare if HOST_PINNED in reads else cast("Oom", bare[:TRACED_FIELDS])
    header = OomHeader(told, _shape(columns), tuple(numbers), stacks)
    return _message(FrameKind.OOM, header, OOM_HEADER_BYTES_MAX, _bodies(columns))


def _packed_old_oom(oom: Oom) -> bytes:
    bare, columns = _bare_oom(oom, ())
    columns = None if columns is None else columns._replace(stack=None)
    steps = tuple(step[:STEP_FIELDS] for step in oom.trace)
    old = (*bare[:TRACE_FIELD], steps, *bare[TRACE_FIELD + 1 : OOM_FIELDS])
    return _message(FrameKind.OOM, OldOom(old, _shape(columns)), OOM_HEADER_BYTES_MAX, _bodies(columns))


def _bare_oom(oom: Oom, reads: Collection[str]) -> tuple[Oom, BlockColumns | None]:
    """Without its columns, and these."""
    allocator = oom.allocator
    if allocator is None:
        return oom, None
    return oom._replace(allocator=_readable(allocator._replace(blocks=None), reads)), allocator.blocks


def _bodies(columns: BlockColumns | None) -> list[bytes]:
    return [] if columns is None else [_packed(columns)]


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


def _message(
    kind: FrameKind, header: ReportHeader | OomHeader | OldOom, header_bytes_max: int, columns: list[bytes]
) -> bytes:
    text = _json(header)
    if len(text) > header_bytes_max:
        raise WireError(f"header of {len(text)} bytes exceeds {header_bytes_max}")
    return pack(kind, b"".join([_LENGTH.pack(len(text)), text, *columns]))


def _json(value: tuple[object, ...]) -> bytes:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=bytes.decode)
    return text.encode(errors="replace")
