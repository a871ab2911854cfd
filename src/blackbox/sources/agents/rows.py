"""Packed columns to the blocks of an allocator."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

from array import array
from collections.abc import Iterable

from blackbox.model import block_arrays
from blackbox.model.block_arrays import BlockArrays, ListedBlocks
from blackbox.model.parts import BlockState, BlockType, OwningStack
from blackbox.sources.agents.decode import Columns
from blackbox.sources.agents.text import printable
from blackbox.sources.agents.threads import ThreadIds
from blackbox.wire.report import NO_STACK, NO_THREAD, OwnerStack

STATES: tuple[BlockState, ...] = ("inactive", "active", "pending_free")
TYPES: tuple[BlockType, ...] = ("other", "weight", "activation", "kv_cache")


STATE_CODES = bytes(block_arrays.STATES.index(state) for state in STATES).ljust(256, b"\0")
TYPE_CODES = bytes(block_arrays.TYPES.index(type_) for type_ in TYPES).ljust(256, b"\0")
"""Codes on the wire -> codes in the arrays."""
Label = tuple[str | None, str | None]
"""Subtype, and source of the type."""
OTHER = block_arrays.TYPES.index("other")


def block_rows(columns: Columns, ids: ThreadIds) -> ListedBlocks:
    """The blocks; no row is made before one is asked for."""
    labels = tuple((_printable(subtype), _printable(source)) for subtype, source in columns.labels)
    threads = None if columns.thread is None else _threads(columns.thread, ids)
    segments = None if columns.starts is None else _segments(columns.address, columns.starts)
    return ListedBlocks(_arrays(columns, labels, threads, segments))


def _arrays(
    columns: Columns,
    labels: tuple[tuple[str | None, str | None], ...],
    threads: array[int] | None,
    segments: array[int] | None,
) -> BlockArrays:
    rows = len(columns.size)
    types = columns.type
    return BlockArrays(
        columns.address,
        columns.size,
        array("B", columns.state.tobytes().translate(STATE_CODES)),
        array("B", [OTHER]) * rows if types is None else array("B", types.tobytes().translate(TYPE_CODES)),
        columns.label or array("B", bytes(rows)),
        labels if columns.label else ((None, None),),
        requested=columns.requested,
        thread=threads,
        stream=columns.stream,
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


def _threads(column: array[int], ids: ThreadIds) -> array[int]:
    outer = {inner: NO_THREAD if inner == NO_THREAD else ids.outer(inner) or NO_THREAD for inner in set(column)}
    return array("I", map(outer.__getitem__, column))
