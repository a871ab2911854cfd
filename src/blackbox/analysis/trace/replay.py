"""A trace rolled back to its beginning and forward again: the exact memory of one device at any of its steps."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from blackbox.analysis.trace.entries import (
    NO_STACK,
    OOM,
    SEGMENT_ALLOC,
    SEGMENT_FREE,
    SEGMENT_MAP,
    Trace,
    places_of,
)
from blackbox.analysis.trace.layout import Layout, Segment, Segments, driver_segment, mapped_range
from blackbox.analysis.trace.passes import PLAIN, RESERVED, Passes
from blackbox.analysis.trace.race import end_of_trace
from blackbox.analysis.trace.roll_back import Start, roll_back
from blackbox.analysis.trace.roll_forward import Forward, WrongStartError
from blackbox.analysis.trace.rounding import Rules

ATTEMPTS_MAX = 12
"""Beginnings tried, each later than the one before; what is inconsistent in so many places is no trace."""


class Replay(NamedTuple):
    """What holds of every step from `first` on.

    A block is known by the position of its `alloc`; those that were there at `first` have the numbers after these.
    """

    trace: Trace
    """In the order replayed."""
    end: Layout
    """After the last entry, as replayed to: the file's, unless the program went on while the file was written."""
    rules: Rules
    first: int
    """Entries before it contradict the others, or the end."""
    problem: str | None
    """What is wrong with the last of those."""
    unsure_until: int
    """Before this entry something lived of which the file does not tell: the figures are lower bounds."""
    resorted: bool
    """The entries were not in the order of their times."""
    start: Start
    start_address: Sequence[int]
    """Of the blocks that were there at `first`, in the order of their numbers."""
    block: Sequence[int]
    """By entry: the block it makes or frees."""
    size: Sequence[int]
    """By block, rounded; the smallest possible one where the trace leaves it open."""
    size_max: dict[int, int]
    """By block, of those whose size it leaves open."""
    races: int
    """Blocks and segments that changed between the last entry and the file's own list."""
    vanished: int
    """Segments among these that a step made, and that are not in the file."""
    off_rule: int
    """Blocks at the end whose size is not the one that the rules give."""
    allocated: Sequence[int]
    """Bytes before entry `first`, and after it and each that follows."""
    active: Sequence[int]
    reserved: Sequence[int]
    freed: Sequence[int]
    """By block: the entry that frees it; as many as the trace has where none does."""
    completed: Sequence[int]
    """The same of the entry that completes that."""
    passes: Passes
    """By which its entries are gone through."""

    @property
    def steps(self) -> int:
        """Entries replayed."""
        return self.trace.steps - self.first

    def has_order_of_time(self) -> bool:
        """False where an entry is older than the one before it."""
        return self.passes.ascend(self.trace.time_us or ())

    def address_of(self, block: int) -> int:
        """Where it is."""
        made = self.trace.steps
        return self.trace.address[block] if block < made else self.start_address[block - made]

    def open_bytes(self, block: int) -> int:
        """By how much it may be larger than told."""
        return self.size_max.get(block, self.size[block]) - self.size[block]

    def requested_of(self, block: int) -> int:
        """What the program asked for."""
        made = self.trace.steps
        return self.trace.size[block] if block < made else self.start.requested[self.start_address[block - made]]

    def stack_of(self, block: int) -> int:
        """Who allocated it."""
        made = self.trace.steps
        if block < made:
            return self.trace.stack[block]
        lasting = self.start.lasting.get(self.start_address[block - made])
        return NO_STACK if lasting is None else self.end.stack[lasting]

    def start_blocks(self) -> range:
        """The numbers of those that were there at `first`."""
        return range(self.trace.steps, self.trace.steps + len(self.start_address))


class Instant(NamedTuple):
    """The blocks and segments after some entries."""

    done: int
    """Entries replayed since `first`: a place in the columns of levels."""
    allocated: frozenset[int]
    """Blocks that the program holds."""
    pending: frozenset[int]
    """Blocks that wait to be freed."""
    segments: Segments


def replay(trace: Trace, end: Layout, rules: Rules, passes: Passes = PLAIN) -> Replay:
    """As much of the trace as agrees with itself and the end; at least the end itself."""
    times = trace.time_us or ()
    if passes.ascend(times):
        return _with_races(trace, end, rules, passes)
    by_time = _as_ordered(trace.picked(sorted(range(trace.steps), key=times.__getitem__)), end, rules, passes, True)
    if by_time.first == 0:
        return by_time
    as_written = _as_ordered(trace, end, rules, passes, False)
    return as_written if as_written.first <= by_time.first else by_time


def instants(replayed: Replay, done: Sequence[int]) -> Iterator[Instant]:
    """What was there after so many entries each; in one run, so `done` ascends."""
    trace, first = replayed.trace, replayed.first
    waits = replayed.start.pending
    start = zip(replayed.start_blocks(), replayed.start_address, strict=True)
    waiting = {block for block, address in start if address in waits}
    freed, completed = replayed.freed, replayed.completed
    there = set(replayed.start_blocks())
    segments = Segments(replayed.start.segments.at)
    at = first
    for wanted in done:
        end = max(at, first + wanted)
        there = {block for block in there if completed[block] >= end}
        there.update(replayed.passes.there(trace.action, completed, at, end))
        pending = frozenset(block for block in there if freed[block] < end or block in waiting)
        for place in places_of(trace.action, RESERVED, at, end):
            _segment(replayed, place, segments)
        at = end
        yield Instant(wanted, frozenset(there - pending), pending, Segments(segments.at))


def _with_races(trace: Trace, end: Layout, rules: Rules, passes: Passes) -> Replay:
    found = _as_ordered(trace, end, rules, passes, False)
    if found.first == 0:
        return found
    reconciled = end_of_trace(trace, end)
    if reconciled is None:
        return found
    try:
        other = _as_ordered(trace, reconciled.layout, rules, passes, False)
    except WrongStartError:  # no other thread can have come from there: what contradicts the end is wrong itself
        return found
    other = other._replace(races=reconciled.races, vanished=reconciled.vanished)
    return other if other.first < found.first else found


def _as_ordered(trace: Trace, end: Layout, rules: Rules, passes: Passes, resorted: bool) -> Replay:
    first, problem = 0, None
    for _ in range(ATTEMPTS_MAX):
        start = roll_back(trace, end, first, passes.undone)
        problem = start.problem or problem
        run = Forward(trace, end, rules, start)
        try:
            wrong = run.run(passes.forward)
        except WrongStartError as error:
            problem = str(error)
            first = max(start.first, _blame(trace, error.address, start.first)) + 1
            continue
        if wrong is None:
            return _replayed(run, passes, problem, resorted)
        first, problem = wrong + 1, run.problem
    start = roll_back(trace, end, trace.steps, passes.undone)
    run = Forward(trace, end, rules, start)
    run.run(passes.forward)
    return _replayed(run, passes, problem, resorted)


def _blame(trace: Trace, address: int, first: int) -> int:
    """The first entry that touches an address whose block cannot have been there before."""
    for place in range(first, trace.steps):
        start = trace.address[place]
        if trace.action[place] < OOM and start <= address < start + trace.size[place]:
            return place
    return trace.steps - 1


def _replayed(run: Forward, passes: Passes, problem: str | None, resorted: bool) -> Replay:
    off_rule = _trust_the_end(run)
    trace, start, size = run.trace, run.start, run.size
    lives = range(trace.steps, len(size))
    held = sum(size[number] for number, at in zip(lives, run.start_address, strict=True) if at not in start.pending)
    reserved = sum(segment.size for segment in start.segments.at.values())
    levels = passes.levels(run, (held, sum(size[number] for number in lives), reserved))
    return Replay(
        trace=trace,
        end=run.end,
        rules=run.rules,
        first=start.first,
        problem=problem if start.first else None,
        unsure_until=run.unsure_until,
        resorted=resorted,
        start=start,
        start_address=run.start_address,
        block=run.block,
        size=size,
        size_max=run.size_max,
        races=0,
        vanished=0,
        off_rule=off_rule,
        allocated=levels.allocated,
        active=levels.active,
        reserved=levels.reserved,
        freed=levels.freed,
        completed=levels.completed,
        passes=passes,
    )


def _trust_the_end(run: Forward) -> int:
    """Blocks that live to the end are as large as the file says; returns how many the rules made otherwise."""
    off = 0
    for address, told in zip(run.end.address, run.end.size, strict=True):
        number = run.live[address]
        if told > 0 and run.size[number] != told:
            off += 1
            run.size[number] = told
            run.size_max.pop(number, None)
    return off


def _segment(replayed: Replay, place: int, segments: Segments) -> None:
    trace = replayed.trace
    code, address, size, stream = trace.action[place], trace.address[place], trace.size[place], trace.stream[place]
    pool = None if trace.pool is None else trace.pool[place]
    made: Segment | None = replayed.start.made.get(place)
    if code == SEGMENT_ALLOC:
        segments.add(address, made or driver_segment(size, stream, pool))
    elif code == SEGMENT_FREE:
        segments.remove(address, size)
    elif code == SEGMENT_MAP:
        segments.map(address, made or mapped_range(size, stream, pool))
    else:
        segments.unmap(address, size)
