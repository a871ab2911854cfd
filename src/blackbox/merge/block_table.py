"""The blocks of a moment as the columns of `blackbox.model.block_table`. Those of an allocator are packed once per
report, however many snapshots and viewers they are in."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import structs

from blackbox.merge.blocks import opaque_row, page_subtype, pages_and_blocks
from blackbox.merge.identity_cache import IdentityCache
from blackbox.merge.known_blocks import known_blocks
from blackbox.merge.packed_blocks import PackedBlocks, joined
from blackbox.merge.process_memory import ProcessMemory
from blackbox.model.block_arrays import NO_REQUEST, STATES, TYPES, BlockArrays, ListedBlocks
from blackbox.model.block_table import (
    BLOCK_COLUMNS,
    BlockTableHead,
    ColumnHead,
    PartStack,
    TablePart,
    encode,
)
from blackbox.model.lanes import IntArray
from blackbox.model.parts import Allocator, AllocatorBlock, KvPage, OwningStack
from blackbox.model.snapshot import Snapshot

LABELS_MAX = 256
"""Of one allocator: a byte tells which."""
OPAQUE_KEPT_MAX = 10_000
"""Processes of a machine, and more."""
ROWS_KEPT_MAX = 400_000
"""Rows kept packed, for reports that have not changed: 16 MB."""
Label = tuple[str | None, str | None]
"""Subtype, and source of the type."""
STATE_OF = {name: place for place, name in enumerate(STATES)}
TYPE_OF = {name: place for place, name in enumerate(TYPES)}

PartKey = tuple[str, int, float | None, str | None]
"""Device, pid, start time and source of a part."""
Versions = dict[PartKey, int]
"""Which packed rows each part of an answer has: the same number means the same rows."""


class TableRows(NamedTuple):
    """The blocks of a moment that a viewer may see, packed."""

    parts: list[tuple[TablePart, PackedBlocks]]
    versions: Versions


_packed: IdentityCache[PackedBlocks] = IdentityCache(ROWS_KEPT_MAX)


def table_rows(memory: Iterable[ProcessMemory], rows_max: int) -> TableRows:
    """The blocks of every process, at most `rows_max` of them."""
    parts: list[tuple[TablePart, PackedBlocks]] = []
    versions: Versions = {}
    left = rows_max
    for process in memory:
        for part, packed in _parts(process):
            kept = packed if len(packed) <= left else packed.cut(left)
            left -= len(kept)
            parts.append((part if kept is packed else structs.replace(part, rows=len(kept)), kept))
            versions[part_key(part)] = packed.version if kept is packed else kept.version
    return TableRows(parts, versions)


def table(
    snapshot: Snapshot, rows: TableRows, version: str, since: str | None = None, before: Versions | None = None
) -> bytes:
    """The answer: without the parts that are the same in `before`, which are the versions of the answer `since`."""
    told: list[PackedBlocks] = []
    parts: list[TablePart] = []
    for part, packed in rows.parts:
        if before is not None and before.get(part_key(part)) == rows.versions[part_key(part)]:
            parts.append(structs.replace(part, same=True, columns=(), first_address=None, kinds=(), stacks=()))
        else:
            parts.append(part)
            told.append(packed)
    columns = {
        name: joined([(packed.columns.get(name, ()), len(packed)) for packed in told])
        for name in BLOCK_COLUMNS
        if any(name in packed.columns for packed in told)
    }
    whole = sum(len(packed) for _, packed in rows.parts)
    head = BlockTableHead(
        seq=snapshot.seq,
        timestamp=snapshot.timestamp,
        simulated=snapshot.simulated,
        version=version,
        since=None if before is None else since,
        rows=sum(map(len, told)),
        rows_omitted=snapshot.active_blocks + snapshot.free_blocks - whole,
        columns=tuple(
            ColumnHead(name=name, type=BLOCK_COLUMNS[name].type, bytes=len(column)) for name, column in columns.items()
        ),
        parts=tuple(parts),
    )
    return encode(head, columns.values())


def part_key(part: TablePart) -> PartKey:
    """What tells the part apart from the others of an answer, and is the same in the next."""
    return part.gpu_uuid, part.pid, part.start_time, part.source


def _parts(memory: ProcessMemory) -> Iterator[tuple[TablePart, PackedBlocks]]:
    for allocator in memory.allocators:
        if allocator.blocks is None and not allocator.kv_pools:
            continue
        packed = _packed.get(
            (), (allocator.blocks, allocator.stacks, *allocator.kv_pools), lambda of=allocator: _pack(of)
        )
        yield _part(memory, allocator.source, packed, allocator.stacks or (), None), packed
    if memory.opaque is not None:
        opaque = _opaque(memory.opaque.size)
        yield _part(memory, None, opaque, (), memory.unreported_reason), opaque


def _part(
    memory: ProcessMemory,
    source: str | None,
    packed: PackedBlocks,
    stacks: Iterable[OwningStack],
    reason: str | None,
) -> TablePart:
    process = memory.process
    return TablePart(
        gpu=process.gpu,
        gpu_uuid=process.gpu_uuid,
        pid=process.pid,
        name=process.name,
        start_time=process.start_time,
        source=source,
        rows=len(packed),
        same=False,
        columns=tuple(packed.columns),
        first_address=packed.first_address,
        kinds=packed.kinds,
        stacks=tuple(
            PartStack(
                frames=one.frames,
                type=one.type,
                subtype=one.subtype,
                allocated_bytes=one.allocated_bytes,
                blocks=one.blocks,
            )
            for one in stacks
        ),
        reason=reason,
    )


@lru_cache(maxsize=OPAQUE_KEPT_MAX)
def _opaque(size: int) -> PackedBlocks:
    """The one row of the memory that no allocator explains; cached, so that it keeps its version."""
    row = opaque_row(0, 0, size)
    return PackedBlocks.of(
        BlockArrays(
            array("Q", [row.address]),
            array("Q", [size]),
            array("B", [STATE_OF["active"]]),
            array("B", [TYPE_OF[row.type]]),
            array("B", [0]),
            ((row.subtype, row.type_source),),
        )
    )


def _pack(allocator: Allocator) -> PackedBlocks:
    blocks = allocator.blocks
    if isinstance(blocks, ListedBlocks) and not allocator.kv_pools:
        known = known_blocks(blocks)
        return PackedBlocks.of(blocks.arrays, known.codes, have_gaps=known.have_gaps)
    stack_places = {stack.id: place for place, stack in enumerate(allocator.stacks or ())}
    return PackedBlocks.of(_arrays(*pages_and_blocks(allocator), stack_places))


def _arrays(
    pages: Sequence[KvPage], blocks: Sequence[AllocatorBlock], stack_places: dict[int | None, int]
) -> BlockArrays:
    labels: dict[Label, int] = {}

    def label(subtype: str | None, source: str | None) -> int:
        """Its code; what comes after the last of them shares it."""
        return labels.setdefault((subtype, source), min(len(labels), LABELS_MAX - 1))

    first = len(pages)
    kv_cache = TYPES.index("kv_cache")
    page_labels = [label(page_subtype(page), "framework") for page in pages]
    block_labels = [label(block.subtype, block.type_source) for block in blocks]
    return BlockArrays(
        array("Q", [*(page.address for page in pages), *[block.address for block in blocks]]),
        array("Q", [*(page.size for page in pages), *[block.size for block in blocks]]),
        array("B", [*map(_page_state, pages), *[STATE_OF[block.state] for block in blocks]]),
        array("B", [kv_cache] * first + [TYPE_OF[block.type] for block in blocks]),
        array("B", page_labels + block_labels),
        tuple(labels)[:LABELS_MAX],
        requested=_optional("Q", first, [block.requested_bytes for block in blocks], NO_REQUEST),
        thread=_optional("I", first, [block.thread_id for block in blocks], 0),
        stream=None if first else _whole("Q", [block.stream for block in blocks]),
        stack=_optional("I", first, [_place(block.stack, stack_places) for block in blocks], 0),
        segment=_optional("Q", first, [block.segment for block in blocks], 0),
        pool=None if first else _whole("B", [block.pool for block in blocks]),
        allocated_ms=_optional("Q", first, [_milliseconds(block.allocated_at) for block in blocks], 0),
    )


def _place(stack: int | None, places: dict[int | None, int]) -> int | None:
    place = None if stack is None else places.get(stack)
    return None if place is None else place + 1


def _milliseconds(unix_seconds: float | None) -> int | None:
    return None if unix_seconds is None else max(0, round(unix_seconds * 1000))


def _page_state(page: KvPage) -> int:
    return STATE_OF["active" if page.in_use else "pending_free" if page.cached else "inactive"]


def _optional(code: str, first: int, values: list[int | None], none: int) -> IntArray | None:
    """The values behind `first` rows that tell none; None where no row tells one."""
    if values.count(None) == len(values):
        return None
    return array(code, [none] * first + [none if value is None else value for value in values])


def _whole(code: str, values: list[int | None]) -> IntArray | None:
    """The values; None where a row tells none."""
    return None if None in values else array(code, [value for value in values if value is not None])
