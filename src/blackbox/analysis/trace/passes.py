"""The passes over a trace that look at each of its entries: in Python, which is always there, or whatever is faster."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, repeat
from operator import mul
from typing import NamedTuple, Protocol

from blackbox.analysis.trace.entries import (
    ALLOC,
    FREE_COMPLETED,
    FREE_REQUESTED,
    SEGMENT_ALLOC,
    SEGMENT_FREE,
    SEGMENT_MAP,
    SEGMENT_UNMAP,
    Trace,
    places_of,
)
from blackbox.analysis.trace.roll_back import Undo, undone
from blackbox.analysis.trace.roll_forward import Forward

ALLOCATED, ACTIVE = {ALLOC: 1, FREE_REQUESTED: -1}, {ALLOC: 1, FREE_COMPLETED: -1}
RESERVED = {SEGMENT_ALLOC: 1, SEGMENT_MAP: 1, SEGMENT_FREE: -1, SEGMENT_UNMAP: -1}
"""By action: the sign of the change in what is allocated, active, or reserved."""


class Levels(NamedTuple):
    """What a run has come to, entry by entry."""

    allocated: Sequence[int]
    """Bytes before the first entry, and after it and each that follows."""
    active: Sequence[int]
    reserved: Sequence[int]
    freed: Sequence[int]
    """By block: the entry that frees it; as many as the trace has where none does."""


class Passes(Protocol):
    """All tell the same."""

    def undone(self, undo: Undo, first: int) -> Iterator[int]:
        """Undoes all entries down to `first`; yields the places of those that are of segments. Raises
        `InconsistentError`."""
        ...

    def forward(self, run: Forward) -> Iterator[int]:
        """Does all entries of a run that has begun; yields the places of those that are of segments. Raises
        `InconsistentError`."""
        ...

    def levels(self, run: Forward, before: tuple[int, int, int]) -> Levels:
        """Of a run that is through; `before` is what was allocated, active and reserved at its beginning."""
        ...


class PlainPasses:
    """In Python alone."""

    def undone(self, undo: Undo, first: int) -> Iterator[int]:
        """See `Passes`."""
        return undone(undo, first)

    def forward(self, run: Forward) -> Iterator[int]:
        """See `Passes`."""
        return run.entries(run.start.first)

    def levels(self, run: Forward, before: tuple[int, int, int]) -> Levels:
        """See `Passes`."""
        trace, first, block = run.trace, run.start.first, run.block
        action = trace.action[first:]
        sizes = list(map(run.size.__getitem__, block[first:] if first else block))
        freed = array("q", [trace.steps]) * len(run.size)
        for place in places_of(trace.action, (FREE_REQUESTED,), first):
            freed[block[place]] = place
        allocated, active, reserved = before
        return Levels(
            _levels(allocated, action, sizes, ALLOCATED),
            _levels(active, action, sizes, ACTIVE),
            _reserved(reserved, trace, first),
            freed,
        )


PLAIN = PlainPasses()


def _levels(before: int, action: bytes, sizes: Iterable[int], signs: Mapping[int, int]) -> Sequence[int]:
    """A level over the entries; each changes it by a size, with the sign of its action."""
    sign_of = bytes(signs.get(code, 0) & 0xFF for code in range(256))
    changes = map(mul, sizes, array("b", action.translate(sign_of)))
    return array("q", accumulate(changes, initial=before))


def _reserved(before: int, trace: Trace, first: int) -> Sequence[int]:
    """The same of the segments, of which few entries tell."""
    levels, now = array("q"), before
    for place in places_of(trace.action, RESERVED, first):
        levels.extend(repeat(now, place - first + 1 - len(levels)))
        now += RESERVED[trace.action[place]] * trace.size[place]
    levels.extend(repeat(now, trace.steps - first + 1 - len(levels)))
    return levels
