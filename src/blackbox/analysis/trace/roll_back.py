"""From the end of a trace to its beginning: every entry undone."""

from collections.abc import Callable, Iterator, MutableMapping
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


class Undo:
    """Live blocks while entries are undone, last to first."""

    def __init__(self, trace: Trace, end: Layout) -> None:
        self.trace, self.end = trace, end
        self.requested: MutableMapping[int, int] = dict(zip(end.address, end.requested, strict=True))
        """By address, of every live block."""
        self.pending: MutableMapping[int, int] = {
            address: 1 for address, waits in zip(end.address, end.pending, strict=True) if waits
        }
        """Has the addresses of those that wait to be freed."""
        self.lasting: MutableMapping[int, int] = {address: place for place, address in enumerate(end.address)}
        """Of those that live to the end: address -> place in the layout."""
        self.place = trace.steps
        """Of the entry that is being undone."""

    def entries(self, last: int, first: int) -> Iterator[int]:
        """Undoes those before `last` down to `first`; yields the places of those that are of segments. Raises
        `InconsistentError`."""
        trace, requested, pending, lasting = self.trace, self.requested, self.pending, self.lasting
        columns = (trace.action, trace.address, trace.size)
        if last < trace.steps:
            columns = tuple(column[first:last] for column in columns)
        backwards = map(reversed, columns)
        for place, code, address, size in zip(range(last - 1, first - 1, -1), *backwards, strict=False):
            if code == ALLOC:
                held = requested.get(address)
                if (held != size and held != NOT_KNOWN) or address in pending:
                    self.place = place
                    raise InconsistentError(_not_allocated(held))
                del requested[address]
                lasting.pop(address, None)
            elif code == FREE_COMPLETED:
                if address in requested:
                    self.place = place
                    raise InconsistentError("it frees a block that lives on")
                requested[address] = size
                pending[address] = 1
            elif code == FREE_REQUESTED:
                held = requested.get(address)
                if address not in pending or (held != size and held != NOT_KNOWN):
                    self.place = place
                    raise InconsistentError("it frees a block whose free was never completed")
                del pending[address]
            elif code < OOM:
                self.place = place
                yield place


Undone = Callable[[Undo, int], Iterator[int]]
"""Undoes all entries down to one; yields the places of those that are of segments. Raises `InconsistentError`."""


def undone(undo: Undo, first: int) -> Iterator[int]:
    """In Python alone."""
    return undo.entries(undo.trace.steps, first)


def roll_back(trace: Trace, end: Layout, first: int = 0, undone: Undone = undone) -> Start:
    """The state before entry `first`, or before the earliest one that the end agrees with."""
    undo, segments, made = Undo(trace, end), Segments(end.segments), dict[int, Segment]()
    problem = None
    try:
        for place in undone(undo, first):
            _undo_segment(trace, place, segments, made)
    except InconsistentError as error:
        first, problem = undo.place + 1, str(error)
    return Start(first, problem, segments, dict(undo.requested), set(undo.pending), dict(undo.lasting), made)


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
