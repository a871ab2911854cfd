"""From the end of a trace to its beginning: every entry undone."""

from typing import NamedTuple

from blackbox.analysis.trace.entries import (
    ALLOC,
    FREE_COMPLETED,
    FREE_REQUESTED,
    OOM,
    SEGMENT_ALLOC,
    SEGMENT_FREE,
    SEGMENT_MAP,
    Trace,
)
from blackbox.analysis.trace.layout import (
    NOT_KNOWN,
    InconsistentError,
    Layout,
    Segment,
    Segments,
    driver_segment,
    mapped_range,
)


class Start(NamedTuple):
    """The state before entry `first`; how large blocks are that were freed after it, the file does not say."""

    first: int
    problem: str | None
    """Why it is not the beginning: what is wrong with the entry before `first`."""
    segments: Segments
    requested: dict[int, int]
    """By address, of every live block."""
    pending: set[int]
    """Addresses of those that wait to be freed."""
    lasting: dict[int, int]
    """Of those that live to the end: address -> place in the layout."""
    made: dict[int, Segment]
    """By the position of an entry that made a segment, or mapped a part of one: what is known of it."""


def roll_back(trace: Trace, end: Layout, first: int = 0) -> Start:
    """The state before entry `first`, or before the earliest one that the end agrees with."""
    segments = Segments(end.segments)
    requested = dict(zip(end.address, end.requested, strict=True))
    pending = {address for address, waits in zip(end.address, end.pending, strict=True) if waits}
    lasting = {address: place for place, address in enumerate(end.address)}
    made: dict[int, Segment] = {}
    place = trace.steps
    last_to_first = range(trace.steps - 1, first - 1, -1)
    columns = reversed(trace.action), reversed(trace.address), reversed(trace.size)
    try:
        for place, code, address, size in zip(last_to_first, *columns, strict=False):  # `first` ends it
            if code == ALLOC:
                held = requested.get(address)
                if (held != size and held != NOT_KNOWN) or address in pending:
                    raise InconsistentError(_not_allocated(held))
                del requested[address]
                lasting.pop(address, None)
            elif code == FREE_COMPLETED:
                if address in requested:
                    raise InconsistentError("it frees a block that lives on")
                requested[address] = size
                pending.add(address)
            elif code == FREE_REQUESTED:
                held = requested.get(address)
                if address not in pending or (held != size and held != NOT_KNOWN):
                    raise InconsistentError("it frees a block whose free was never completed")
                pending.discard(address)
            elif code < OOM:
                _undo_segment(trace, place, segments, made)
    except InconsistentError as error:
        return Start(place + 1, str(error), segments, requested, pending, lasting, made)
    return Start(first, None, segments, requested, pending, lasting, made)


def _not_allocated(held: int | None) -> str:
    if held is None:
        return "it allocates a block that nobody freed, and that is not there at the end"
    return "it allocates a block that was freed, or was of another size"


def _undo_segment(trace: Trace, place: int, segments: Segments, made: dict[int, Segment]) -> None:
    code, address, size = trace.action[place], trace.address[place], trace.size[place]
    pool = None if trace.pool is None else trace.pool[place]
    if size <= 0:
        raise InconsistentError("a segment of no bytes")
    if code == SEGMENT_ALLOC:
        made[place] = segments.remove(address, size)
    elif code == SEGMENT_FREE:
        segments.add(address, driver_segment(size, trace.stream[place], pool))
    elif code == SEGMENT_MAP:
        made[place] = segments.unmap(address, size)
    else:
        segments.map(address, mapped_range(size, trace.stream[place], pool))
