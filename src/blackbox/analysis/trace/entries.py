"""A device's trace as columns: a million steps are a few lists of whole numbers, not a million objects.

What an entry means is PyTorch's own rule. `size` of `alloc`, `free_requested` and `free_completed` is what the program
asked for, of `oom` the same rounded up, of the four `segment_...` what the driver was asked for.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import compress
from types import MappingProxyType
from typing import NamedTuple

ALLOC, FREE_REQUESTED, FREE_COMPLETED = 0, 1, 2
SEGMENT_ALLOC, SEGMENT_FREE, SEGMENT_MAP, SEGMENT_UNMAP = 3, 4, 5, 6
OOM, SNAPSHOT, OTHER = 7, 8, 9
ACTIONS = {
    "alloc": ALLOC,
    "free_requested": FREE_REQUESTED,
    "free_completed": FREE_COMPLETED,
    "segment_alloc": SEGMENT_ALLOC,
    "segment_free": SEGMENT_FREE,
    "segment_map": SEGMENT_MAP,
    "segment_unmap": SEGMENT_UNMAP,
    "oom": OOM,
    "snapshot": SNAPSHOT,
}
"""What is not in it (`annotate`, or an action of a later release) is OTHER and changes nothing."""
NO_STACK = -1
RARE = 16
"""One in so many at most: these are looked for one by one."""

Pool = tuple[int, int]
"""As PyTorch numbers them; (0, 0) is the one that serves everybody."""
DEFAULT_POOL: Pool = (0, 0)


class Trace(NamedTuple):
    """One device's entries, oldest first. All columns are as long as `action`."""

    action: bytes
    """Codes of `ACTIONS`."""
    address: Sequence[int]
    """0 of entries that have none."""
    size: Sequence[int]
    stream: Sequence[int]
    stack: Sequence[int]
    """Numbers of stacks, of whatever list they are in; `NO_STACK` where none was recorded, and of frees and segments,
    whose stacks nothing is made of."""
    time_us: Sequence[int] | None = None
    """Unix time in microseconds; None up to PyTorch 2.1."""
    device_free: Mapping[int, int] = MappingProxyType({})
    """By the position of an `oom`: what the driver said was free."""
    pool: Sequence[Pool] | None = None
    """From PyTorch 2.12 on."""
    tag: Sequence[int] | None = None
    """Numbers of the program's own notes (`user_metadata`); None where no entry has one."""
    freed_in: bytes = b""
    """By entry: the code (`purpose_phases.CODES`) of the part of a step that freed, where its stack tells; empty where
    none does."""
    category: Sequence[str] | None = None
    """The word of PyTorch's profiler, empty where it has none; None where no entry has one."""

    @property
    def steps(self) -> int:
        """How many entries."""
        return len(self.action)

    def places_of(self, code: int, first: int = 0) -> list[int]:
        """The positions of one kind of entries, from `first` on."""
        return places_of(self.action, (code,), first)

    def picked(self, places: Sequence[int]) -> "Trace":
        """The same entries in another order, or some of them."""
        order = {old: new for new, old in enumerate(places) if old in self.device_free}
        return Trace(
            bytes(self.action[place] for place in places),
            [self.address[place] for place in places],
            [self.size[place] for place in places],
            [self.stream[place] for place in places],
            [self.stack[place] for place in places],
            None if self.time_us is None else [self.time_us[place] for place in places],
            {new: self.device_free[old] for old, new in order.items()},
            None if self.pool is None else [self.pool[place] for place in places],
            None if self.tag is None else [self.tag[place] for place in places],
            bytes(self.freed_in[place] for place in places) if self.freed_in else b"",
            None if self.category is None else [self.category[place] for place in places],
        )


def places_of(action: bytes, codes: Collection[int], first: int = 0, end: int | None = None) -> list[int]:
    """The positions of some kinds of entries, from `first` on, before `end`."""
    chosen = action[first:end].translate(selecting(codes))
    count = chosen.count(1)
    if count > len(chosen) // RARE:
        return list(compress(range(first, first + len(chosen)), chosen))
    found: list[int] = []
    place = -1
    for _ in range(count):
        place = chosen.find(1, place + 1)
        found.append(first + place)
    return found


def selecting(codes: Collection[int]) -> bytes:
    """A table that translates these codes to 1, and all others to 0."""
    table = bytearray(256)
    for code in codes:
        table[code] = 1
    return bytes(table)


EMPTY = Trace(b"", (), (), (), ())
