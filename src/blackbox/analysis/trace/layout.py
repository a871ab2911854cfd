"""Segments and blocks of one device at one instant."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from blackbox.analysis.trace.entries import DEFAULT_POOL, Pool
from blackbox.analysis.trace.rounding import LARGE_SEGMENT_BYTES, SMALL_SEGMENT_BYTES

NOT_KNOWN = -1
"""A request that nobody recorded."""


class InconsistentError(Exception):
    """An entry that cannot have happened in the state that the others lead to."""


class Segment(NamedTuple):
    """Memory that the driver gave in one piece, or one mapped stretch of an expandable segment."""

    size: int
    stream: int
    pool: Pool | None
    """None: not told of segments that are gone at the end, before PyTorch 2.12."""
    small: bool
    """Serves requests of at most 1 MiB, and no others."""
    expandable: bool
    recorded: bool = False
    """A stack was recorded when it was made."""


class Layout(NamedTuple):
    """What a file says of the end. The columns are of live blocks alone, by address; what is between them is free."""

    segments: dict[int, Segment]
    """By address."""
    address: Sequence[int]
    size: Sequence[int]
    requested: Sequence[int]
    """`NOT_KNOWN` where the file does not tell."""
    pending: Sequence[bool]
    """Freed by the program, and still in use by the device: active, not allocated."""
    stack: Sequence[int]

    @property
    def allocated_bytes(self) -> int:
        """Of blocks that the program holds."""
        return sum(size for size, pending in zip(self.size, self.pending, strict=True) if not pending)

    @property
    def active_bytes(self) -> int:
        """The same, and of those that wait to be freed."""
        return sum(self.size)

    @property
    def reserved_bytes(self) -> int:
        """Held from the driver."""
        return sum(segment.size for segment in self.segments.values())


class Segments:
    """The segments of one device while they change; sorted, so that whoever owns an address is found."""

    def __init__(self, segments: dict[int, Segment]) -> None:
        self.at = dict(segments)
        self._starts = sorted(segments)

    def containing(self, address: int) -> int | None:
        """The start of the segment that holds an address."""
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        start = self._starts[place]
        return start if address < start + self.at[start].size else None

    def add(self, start: int, segment: Segment) -> None:
        """Raises `InconsistentError` where something is there."""
        place = bisect_right(self._starts, start)
        taken = place > 0 and self._end(self._starts[place - 1]) > start
        if taken or (place < len(self._starts) and start + segment.size > self._starts[place]):
            raise InconsistentError(f"a segment at {start:#x} overlaps another")
        insort(self._starts, start)
        self.at[start] = segment

    def remove(self, start: int, size: int) -> Segment:
        """Raises `InconsistentError` where no such segment is."""
        segment = self.at.get(start)
        if segment is None or segment.size != size:
            raise InconsistentError(f"no segment of {size} bytes is at {start:#x}")
        del self.at[start]
        del self._starts[bisect_right(self._starts, start) - 1]
        return segment

    def map(self, start: int, mapped: Segment) -> None:
        """Adds a range to the stretches beside it, if there are any. What is known of these holds for it too."""
        left = self._stretch_ending(start, mapped.stream)
        right = self.at.get(start + mapped.size)
        if right is not None and not (right.expandable and right.stream == mapped.stream):
            right = None
        kin = self.at[left] if left is not None else right
        whole = mapped if kin is None else kin
        first, last = start, start + mapped.size
        if right is not None:
            self.remove(last, right.size)
            last += right.size
        if left is not None:
            self.remove(left, start - left)
            first = left
        self.add(first, whole._replace(size=last - first))

    def unmap(self, start: int, size: int) -> Segment:
        """Takes a range out of a stretch, and returns it. Raises `InconsistentError` where it is not in one."""
        owner = self.containing(start)
        if owner is None or not self.at[owner].expandable or start + size > self._end(owner):
            raise InconsistentError(f"{size} bytes at {start:#x} were not mapped")
        end = self._end(owner)
        whole = self.remove(owner, end - owner)
        if owner < start:
            self.add(owner, whole._replace(size=start - owner))
        if start + size < end:
            self.add(start + size, whole._replace(size=end - start - size))
        return whole._replace(size=size)

    def sorted(self) -> Iterable[tuple[int, Segment]]:
        """By address."""
        return ((start, self.at[start]) for start in self._starts)

    def _end(self, start: int) -> int:
        return start + self.at[start].size

    def _stretch_ending(self, end: int, stream: int) -> int | None:
        start = self.containing(end - 1)
        if start is None or self._end(start) != end:
            return None
        segment = self.at[start]
        return start if segment.expandable and segment.stream == stream else None


def driver_segment(size: int, stream: int, pool: Pool | None) -> Segment:
    """A segment of which only an entry tells."""
    return Segment(size, stream, pool, size == SMALL_SEGMENT_BYTES, False)


def mapped_range(size: int, stream: int, pool: Pool | None) -> Segment:
    """A range of an expandable segment of which only an entry tells; large ones grow by 20 MiB."""
    return Segment(size, stream, pool, size % LARGE_SEGMENT_BYTES != 0, True)


def is_default(pool: Pool | None) -> bool:
    """Serves everybody; a pool that is not told of counts as that."""
    return pool is None or pool == DEFAULT_POOL
