"""A file's trace is read before its segments: what other threads did in between is in the segments alone."""

from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple

from blackbox.analysis.trace.entries import (
    ALLOC,
    FREE_COMPLETED,
    FREE_REQUESTED,
    NO_STACK,
    OOM,
    SEGMENT_ALLOC,
    SEGMENT_FREE,
    Trace,
)
from blackbox.analysis.trace.layout import Layout, driver_segment

RACES_MAX = 256
"""Differences between the trace's end and the file's that may be a moment's work of other threads."""
UNKNOWN_SIZE = 0


class EndOfTrace(NamedTuple):
    """The state after the last entry of a trace, and in how much the file's is another."""

    layout: Layout
    races: int
    """Blocks and segments that differ."""
    vanished: int
    """Segments among them that are not in the file."""


def end_of_trace(trace: Trace, end: Layout) -> EndOfTrace | None:
    """None where that is too much, or where
    kinds of entries were not recorded: their lack looks the same."""
    if lacks_kinds(trace, end):
        return None
    blocks, segments = _last_entries(trace)
    live = {address: place for place, address in enumerate(end.address)}
    rows = {
        address: (end.size[place], end.requested[place], end.pending[place], end.stack[place])
        for address, place in live.items()
    }
    races = 0
    for address, place in blocks.items():
        row = rows.get(address)
        code = trace.action[place]
        if code == FREE_COMPLETED:
            if row is not None:
                del rows[address]
                races += 1
            continue
        asked, waits = trace.size[place], code == FREE_REQUESTED
        if row is None or row[1] != asked:
            rows[address] = (UNKNOWN_SIZE, asked, waits, trace.stack[place] if code == ALLOC else NO_STACK)
        elif row[2] != waits:
            rows[address] = (row[0], row[1], waits, row[3])
        else:
            continue
        races += 1
    touched = _Touched(trace)
    made_since = [at for at, row in rows.items() if at not in blocks and touched.overlaps(at, row[0])]
    for address in made_since:
        del rows[address]
    races += len(made_since)
    found, vanished = dict(end.segments), 0
    for address, place in segments.items():
        if trace.action[place] == SEGMENT_ALLOC and address not in found:
            found[address] = driver_segment(trace.size[place], trace.stream[place], None)
            vanished += 1
        elif trace.action[place] == SEGMENT_FREE and address in found:
            del found[address]
            races += 1
    races += vanished
    if not 0 < races <= RACES_MAX:
        return None
    order = sorted(rows)
    columns = [[rows[address][column] for address in order] for column in range(4)]
    layout = Layout(found, order, columns[0], columns[1], [bool(waits) for waits in columns[2]], columns[3])
    return EndOfTrace(layout, races, vanished)


def lacks_kinds(trace: Trace, end: Layout) -> bool:
    """Whether it may have been recorded without some kinds of entries: a free has two, of which the second waits only
    while the block is still in use, and frees alone are rare."""
    made, asked, completed = (code in trace.action for code in (ALLOC, FREE_REQUESTED, FREE_COMPLETED))
    if asked and not completed:
        return not made or not any(end.pending)
    return (completed and not asked) or (asked and not made)


def _last_entries(trace: Trace) -> tuple[dict[int, int], dict[int, int]]:
    """By address: the last entry of a block, and of a segment."""
    blocks: dict[int, int] = {}
    segments: dict[int, int] = {}
    for place, (code, address) in enumerate(zip(trace.action, trace.address, strict=True)):
        if code <= FREE_COMPLETED:
            blocks[address] = place
        elif code in (SEGMENT_ALLOC, SEGMENT_FREE):
            segments[address] = place
    return blocks, segments


class _Touched:
    """The memory that entries tell of: no block lives there from before the first to the end without one of its own."""

    def __init__(self, trace: Trace) -> None:
        ends: dict[int, int] = {}
        for code, address, size in zip(trace.action, trace.address, trace.size, strict=True):
            if code < OOM:
                ends[address] = max(ends.get(address, 0), address + size)
        self._starts = sorted(ends)
        self._ends = list(accumulate((ends[start] for start in self._starts), max))

    def overlaps(self, address: int, size: int) -> bool:
        place = bisect_left(self._starts, address + size) - 1
        return place >= 0 and self._ends[place] > address
