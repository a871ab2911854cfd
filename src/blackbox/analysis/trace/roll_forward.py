"""From the beginning of a trace to its end: which free range each block was cut from, and so how large it was."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from itertools import count

from blackbox.analysis.trace.entries import (
    ALLOC,
    FREE_COMPLETED,
    FREE_REQUESTED,
    OOM,
    SEGMENT_ALLOC,
    SEGMENT_FREE,
    SEGMENT_MAP,
    SEGMENT_UNMAP,
    Trace,
)
from blackbox.analysis.trace.gaps import Gaps
from blackbox.analysis.trace.layout import InconsistentError, Layout, Segment, Segments, driver_segment, mapped_range
from blackbox.analysis.trace.roll_back import Start
from blackbox.analysis.trace.rounding import BLOCK_BYTES_MIN, SMALL_SEGMENT_BYTES, Rules

NO_BLOCK = -1


class WrongStartError(InconsistentError):
    """The state at the beginning is impossible; `address` is of a block that cannot have been there."""

    def __init__(self, address: int, reason: str) -> None:
        super().__init__(reason)
        self.address = address


class Forward:
    """The run. A block is known by the position of its `alloc`; those of the start have the numbers after these."""

    def __init__(self, trace: Trace, end: Layout, rules: Rules, start: Start) -> None:
        self.trace, self.end, self.rules, self.start = trace, end, rules, start
        self.segments = Segments(start.segments.at)
        self.gaps = Gaps(self.segments)
        self.block: MutableSequence[int] = [NO_BLOCK] * trace.steps
        """By entry: the block that it makes or frees."""
        self.start_address = sorted(start.requested)
        self.size: MutableSequence[int] = [0] * (trace.steps + len(self.start_address))
        """By block; the smallest possible one where the trace leaves it open."""
        self.size_max: dict[int, int] = {}
        """By block, of those whose size it leaves open."""
        self.live: MutableMapping[int, int] = {}
        """Address -> block."""
        self.open: dict[int, tuple[int, int, int]] = {}
        """By block of the start that lives: its size at least and at most, and where the free memory behind it ends."""
        self.rooms: MutableMapping[int, int] = {}
        """The same ends -> the block before them."""
        self._open_starts: list[int] = []
        self._place = start.first
        self.problem: str | None = None
        self.unsure_until = start.first
        """Something lived before this entry of which the file does not tell."""

    def run(self, forward: "Forwarded | None" = None) -> int | None:
        """None, or the position of the entry that contradicts the rules. Raises `WrongStartError`."""
        self._begin()
        place = self.start.first
        try:
            for place in self.entries(self.start.first) if forward is None else forward(self):
                self._segment(place)
        except InconsistentError as error:
            self.problem = str(error)
            return self._place
        self._close()
        return None

    def entries(self, first: int, last: int | None = None) -> Iterator[int]:
        """Those from `first` on, before `last`: allocations and frees are done here, in the one loop that has to be
        fast; segments where it yields."""
        trace, gaps, rules = self.trace, self.gaps, self.rules
        columns = (trace.action, trace.address, trace.size)
        if first or last is not None:
            columns = tuple(column[first:last] for column in columns)
        ends, starts, live, sizes, block = gaps.ends, gaps.starts, self.live, self.size, self.block
        opened, rooms, borders = self.open, self.rooms, self.segments.at
        sizes_of: dict[int, tuple[int, float]] = {}
        """By request: the size of its block, and what is split off behind it at least."""
        for place, code, address, asked in zip(count(first), *columns, strict=False):
            if code == ALLOC:
                self._place = place
                end = ends.pop(address, 0) or self._not_at_a_start(address)
                if asked not in sizes_of:
                    needed = rules.rounded(asked)
                    sizes_of[asked] = needed, rules.rest_min(needed)
                size, rest_min = sizes_of[asked]
                rest = end - address - size
                if rest < 0:
                    size, rest, rest_min = self._checkpoint(asked, end - address)
                if rest >= rest_min or (rest and size < SMALL_SEGMENT_BYTES and self._is_cut_small(address, rest)):
                    ends[address + size] = end
                    starts[end] = address + size
                else:
                    size += rest
                    del starts[end]
                live[address] = block[place] = place
                sizes[place] = size
            elif code == FREE_REQUESTED:
                block[place] = live[address]
            elif code == FREE_COMPLETED:
                number = block[place] = live.pop(address)
                end = self._leave_open(number) if opened and number in opened else address + sizes[number]
                start = address  # as `Gaps.add`, which would take as long again to call
                if start not in borders:
                    start = starts.pop(start, start)
                if end not in borders and end in ends:
                    end = ends.pop(end)
                ends[start] = end
                starts[end] = start
                if rooms and address in rooms and address not in borders:
                    self._widen(address)
            elif code < OOM:
                self._place = place
                yield place

    def _begin(self) -> None:
        """Puts the blocks of the start into their segments, and frees the rest of these."""
        addresses = self.start_address
        number = self.trace.steps
        place = 0
        for first, segment in self.segments.sorted():
            last = first + segment.size
            free = first
            while place < len(addresses) and addresses[place] < last:
                address = addresses[place]
                if address < free:
                    raise WrongStartError(address, "two blocks are in one place")
                if address > free:
                    self.gaps.add(free, address)
                place += 1
                after = addresses[place] if place < len(addresses) else last
                free = self._begin_block(number + place - 1, address, min(after, last))
            if free < last:
                self.gaps.add(free, last)
        if place < len(addresses):
            raise WrongStartError(addresses[place], "a block is in no segment")

    def _begin_block(self, number: int, address: int, end: int) -> int:
        """Returns where what is behind it begins."""
        self.live[address] = number
        lasting = self.start.lasting.get(address)
        asked = self.start.requested[address]
        if lasting is not None and self.end.size[lasting] > 0:
            size = self.end.size[lasting]
        else:
            size = self.rules.rounded(asked)
            if size > end - address and asked % BLOCK_BYTES_MIN == 0:
                size = asked
        if size > end - address:
            raise WrongStartError(address, "a block has no room")
        self.size[number] = size
        most = size if lasting is not None else self.rules.largest(size, end - address)
        if most == size:
            return address + size
        self.open[number] = (size, most, end)
        self.rooms[end] = number
        self._open_starts.append(address)
        return end

    def _not_at_a_start(self, address: int) -> int:
        """An allocation where no free range is known to begin. Raises `InconsistentError`.

        Right behind a block whose size was open it tells that size. Anywhere else in free memory something lived before
        it of which the file has no entry.
        """
        gaps = self.gaps
        place = bisect_right(self._open_starts, address) - 1
        if place >= 0:
            first = self._open_starts[place]
            number = self.live.get(first, NO_BLOCK)
            least, most, end = self.open.get(number, (0, 0, 0))
            if least <= address - first <= most and address < end:
                self.size[number] = address - first
                del self.open[number], self.rooms[end]
                gaps.starts[end] = address
                return end
        gaps.forget_order()
        first = gaps.around(address)
        self.unsure_until = self._place + 1
        end = gaps.ends[first]
        gaps.cut(address, end)
        gaps.starts[end] = address
        return end

    def _leave_open(self, number: int) -> int:
        """The block is freed, and its size will never be told; returns where its free memory ends."""
        least, most, end = self.open.pop(number)
        del self.rooms[end]
        self.size[number], self.size_max[number] = least, most
        return end

    def _widen(self, end: int) -> None:
        """What is behind the room of a block whose size is open is free now, and is part of that room."""
        number = self.rooms.pop(end)
        least, most, _ = self.open[number]
        wider = self.gaps.ends.pop(end)
        del self.gaps.starts[wider]
        self.open[number] = (least, most, wider)
        self.rooms[wider] = number

    def _is_cut_small(self, address: int, rest: int) -> bool:
        """Whether a block of more than the small pool serves lies there all the same, as those of a CUDA graph that are
        made anew may: what is left of it is split off as of any other there."""
        owner = self.segments.containing(address)
        is_small = owner is not None and self.segments.at[owner].small
        return is_small and self.rules.rounds and rest >= BLOCK_BYTES_MIN

    def _checkpoint(self, asked: int, room: int) -> tuple[int, int, float]:
        """Blocks of a CUDA graph that are made anew have the size they had: that, what is left, and from how much on
        this is split off. Raises `InconsistentError`."""
        if asked > room or asked % BLOCK_BYTES_MIN:
            raise InconsistentError("it allocates more than there is room for")
        return asked, room - asked, self.rules.rest_min(asked)

    def _segment(self, place: int) -> None:
        trace = self.trace
        code, address, size = trace.action[place], trace.address[place], trace.size[place]
        pool = None if trace.pool is None else trace.pool[place]
        if code == SEGMENT_ALLOC:
            self.segments.add(address, self._made(place) or driver_segment(size, trace.stream[place], pool))
            self.gaps.add(address, address + size)
        elif code == SEGMENT_FREE:
            self.gaps.cut(address, address + size)
            self.segments.remove(address, size)
        elif code == SEGMENT_MAP:
            self.segments.map(address, self._made(place) or mapped_range(size, trace.stream[place], pool))
            self.gaps.add(address, address + size)
        elif code == SEGMENT_UNMAP:
            if place == 0 or trace.action[place - 1] != SEGMENT_UNMAP:
                self.gaps.forget_order()
            self.gaps.cut(address, address + size)
            self.segments.unmap(address, size)

    def _made(self, place: int) -> Segment | None:
        return self.start.made.get(place)

    def _close(self) -> None:
        for number in list(self.open):
            self._leave_open(number)


Forwarded = Callable[[Forward], Iterator[int]]
"""Does all entries of a run that has begun; yields the places of those that are of segments. Raises
`InconsistentError`."""
