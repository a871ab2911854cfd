"""Packed columns to rows."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from array import array
from collections.abc import Iterable, Iterator
from itertools import repeat

from blackbox.model import block_arrays
from blackbox.model.block_arrays import BlockArrays, BlockChunk, ListedBlocks, listed
from blackbox.model.parts import AllocatorBlock, BlockState, BlockType, OwningStack
from blackbox.sources.agents.decode import Columns
from blackbox.sources.agents.text import printable
from blackbox.sources.agents.threads import ThreadIds
from blackbox.wire.report import NO_STACK, NO_THREAD, NOT_KNOWN, OwnerStack

STATES: tuple[BlockState, ...] = ("inactive", "active", "pending_free")
TYPES: tuple[BlockType, ...] = ("other", "weight", "activation", "kv_cache")


STATE_CODES = bytes(block_arrays.STATES.index(state) for state in STATES).ljust(256, b"\0")
TYPE_CODES = bytes(block_arrays.TYPES.index(type_) for type_ in TYPES).ljust(256, b"\0")
"""Codes on the wire -> codes in the arrays."""
Label = tuple[str | None, str | None]
"""Subtype, and source of the type."""
MARK_DIVISOR = 127
"""Of about as many addresses one has a mark; it shares no factor with the distances of blocks."""
CHUNK_ROWS_MAX = 1024
"""Where no address has one."""
OTHER = block_arrays.TYPES.index("other")


def block_rows(
    columns: Columns, ids: ThreadIds, before: tuple[AllocatorBlock, ...] | None = None
) -> tuple[AllocatorBlock, ...]:
    """The blocks. Rows of `before`, those of the last report, stand for the same ones in this, chunk by chunk: most do
    not change, and a row takes a microsecond to make."""
    labels = tuple((_printable(subtype), _printable(source)) for subtype, source in columns.labels)
    threads = None if columns.thread is None else _threads(columns.thread, ids)
    segments = None if columns.starts is None else _segments(columns.address, columns.starts)
    known = {chunk.key: chunk for chunk in before.chunks} if isinstance(before, ListedBlocks) else {}
    whole = columns._replace(labels=())
    told = [column for column in (*whole, segments) if isinstance(column, array)]
    meaning = labels, tuple(column is None for column in columns)
    chunks: list[BlockChunk] = []
    for part in _parts(columns.address):
        of_part = None if threads is None else threads[part]
        key = (meaning, None if of_part is None else tuple(of_part), *[column[part].tobytes() for column in told])
        chunk = known.get(key)
        if chunk is None:
            cut = whole._make(None if column is None else column[part] for column in whole)
            chunk = BlockChunk(key, _made(cut, labels, of_part, None if segments is None else segments[part]))
        chunks.append(chunk)
    return listed(chunks, _arrays(columns, labels, threads, segments))


def _parts(addresses: array[int]) -> Iterator[slice]:
    """Chunks of rows, each of which begins at an address that has a mark: so a block more or less moves the borders of
    its own chunk alone."""
    start = 0
    marks = [place for place, address in enumerate(addresses) if not address % MARK_DIVISOR]
    for mark in (*marks, len(addresses)):
        while mark - start > CHUNK_ROWS_MAX:
            yield slice(start, start + CHUNK_ROWS_MAX)
            start += CHUNK_ROWS_MAX
        if mark > start:
            yield slice(start, mark)
            start = mark


def _made(
    columns: Columns, labels: tuple[Label, ...], threads: list[int | None] | None, segments: array[int] | None
) -> tuple[AllocatorBlock, ...]:
    """The rows, column by column, since a loop over rows takes three times as long."""
    return tuple(
        map(
            AllocatorBlock,
            columns.address,
            columns.size,
            map(STATES.__getitem__, columns.state),
            map(TYPES.__getitem__, columns.type) if columns.type else repeat("other"),
            _known(columns.requested),
            (labels[code][0] for code in columns.label) if columns.label else repeat(None),
            (labels[code][1] for code in columns.label) if columns.label else repeat(None),
            repeat(None) if threads is None else threads,
            _known(columns.stream),
            repeat(None) if columns.stack is None else _or_none(columns.stack, NO_STACK),
            segments or repeat(None),
            columns.pool or repeat(None),
            repeat(None) if columns.allocated_ms is None else _seconds(columns.allocated_ms),
        )
    )


def _arrays(
    columns: Columns,
    labels: tuple[tuple[str | None, str | None], ...],
    threads: list[int | None] | None,
    segments: array[int] | None,
) -> BlockArrays:
    rows = len(columns.size)
    types, streams = columns.type, columns.stream
    return BlockArrays(
        columns.address,
        columns.size,
        array("B", columns.state.tobytes().translate(STATE_CODES)),
        array("B", [OTHER]) * rows if types is None else array("B", types.tobytes().translate(TYPE_CODES)),
        columns.label or array("B", bytes(rows)),
        labels if columns.label else ((None, None),),
        requested=columns.requested,
        thread=None if threads is None else array("I", [thread or NO_THREAD for thread in threads]),
        stream=None if streams is None or NOT_KNOWN in streams else streams,
        stack=None if columns.stack is None else array("I", [code + 1 & NO_STACK for code in columns.stack]),
        segment=segments,
        pool=columns.pool,
        allocated_ms=columns.allocated_ms,
    )


def _segments(addresses: array[int], starts: array[int]) -> array[int]:
    """The address of the segment of each block: that of the last one that begins one."""
    marks, found = starts.tobytes(), array("Q")
    place = 0 if marks else -1
    while place >= 0:
        following = marks.find(1, place + 1)
        found.extend(array("Q", [addresses[place]]) * ((following if following > 0 else len(marks)) - place))
        place = following
    return found


def stack_rows(reported: Iterable[OwnerStack]) -> tuple[OwningStack, ...]:
    """Stacks as parts of a sample, fit to be shown; blocks call them by their places."""
    return tuple(
        OwningStack(
            frames=tuple(map(printable, stack.frames)),
            allocated_bytes=stack.allocated_bytes,
            blocks=stack.blocks,
            type=TYPES[stack.type],
            subtype=_printable(stack.subtype),
            id=place,
        )
        for place, stack in enumerate(reported)
    )


def _printable(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _known(column: array[int] | None) -> Iterable[int | None]:
    return repeat(None) if column is None else _or_none(column, NOT_KNOWN)


def _or_none(column: array[int], none: int) -> Iterable[int | None]:
    return (None if value == none else value for value in column)


def _seconds(milliseconds: array[int]) -> Iterable[float | None]:
    return (value / 1000 if value else None for value in milliseconds)


def _threads(column: array[int], ids: ThreadIds) -> list[int | None]:
    outer = {inner: None if inner == NO_THREAD else ids.outer(inner) for inner in set(column)}
    return list(map(outer.__getitem__, column))
