"""Free ranges of mapped memory while blocks come and go. No range crosses the border of a segment."""

from bisect import bisect_right, insort
from collections.abc import MutableMapping

from blackbox.analysis.trace.layout import InconsistentError, Segments


class Gaps:
    """Every operation but `around` takes the same time, however many ranges there are."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self.ends: MutableMapping[int, int] = {}
        """Start -> end."""
        self.starts: MutableMapping[int, int] = {}
        """End -> start."""
        self._ordered: list[int] | None = None
        """Starts in order, as long as nothing but cuts happened since; some of them may be gone."""

    def add(self, start: int, end: int) -> None:
        """Frees a range, and joins it with those beside it that belong to the same segment."""
        borders = self.segments.at
        if start not in borders:
            start = self.starts.pop(start, start)
        if end not in borders and end in self.ends:
            end = self.ends.pop(end)
        self.ends[start] = end
        self.starts[end] = start

    def cut(self, start: int, end: int) -> None:
        """Takes a range out of the one that holds it, wherever in it. Raises `InconsistentError`."""
        first = start if start in self.ends else self.around(start)
        last = self.ends[first]
        if last < end:
            raise InconsistentError("it takes away memory that is in use")
        del self.ends[first]
        del self.starts[last]
        if first < start:
            self.ends[first] = start
            self.starts[start] = first
        if end < last:
            self.ends[end] = last
            self.starts[last] = end
            if self._ordered is not None:
                insort(self._ordered, end)

    def forget_order(self) -> None:
        """To be called before a cut that follows anything but a cut."""
        self._ordered = None

    def around(self, address: int) -> int:
        """The start of the range that holds an address. Raises `InconsistentError`."""
        if self._ordered is None:
            self._ordered = sorted(self.ends)
        ordered = self._ordered
        place = bisect_right(ordered, address) - 1
        while place >= 0 and ordered[place] not in self.ends:
            ordered.pop(place)
            place -= 1
        if place >= 0 and address < self.ends[ordered[place]]:
            return ordered[place]
        raise InconsistentError(f"what is at {address:#x} is in use, or was never there")
