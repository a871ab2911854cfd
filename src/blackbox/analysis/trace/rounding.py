"""How PyTorch's caching allocator makes a block of a request."""

import math
from typing import NamedTuple

BLOCK_BYTES_MIN = 512
SMALL_BYTES_MAX = 1 << 20
"""The largest block of the small pool, and the largest rest that stays with a block of the large one."""
SMALL_SEGMENT_BYTES = 2 << 20
LARGE_SEGMENT_BYTES = 20 << 20
OVERSIZE_WASTE_BYTES = 20 << 20
"""Requests that are never split take free blocks that are less than this larger."""
INTERVALS = 16
"""Sizes below 2 MiB, from 2 to 4 MiB, ... each have a number of divisions of their own; the last has no end."""
FIRST_INTERVAL_BITS = 21


class Rules(NamedTuple):
    """The settings that decide how large a block is."""

    divisions: tuple[int, ...] = (0,) * INTERVALS
    """Of the steps between two powers of two that requests are rounded to, by interval; 0 and 1: multiples of 512."""
    max_split_bytes: int | None = None
    """Blocks from this size on are not split, and serve no smaller request. None: no such limit."""
    expandable: bool = False
    """Expandable segments: what is left of a block is always split off."""
    rounds: bool = True
    """False: sizes in the trace are those of the blocks already, as the host's allocator writes them."""

    def rounded(self, requested: int) -> int:
        """The size of the block that a request needs."""
        if not self.rounds:
            return requested
        if requested < BLOCK_BYTES_MIN:
            return BLOCK_BYTES_MIN
        divisions = self.divisions[min(max(0, requested.bit_length() - FIRST_INTERVAL_BITS), INTERVALS - 1)]
        if divisions > 1 and requested > BLOCK_BYTES_MIN * divisions:
            return _to_division(requested, divisions)
        return -(-requested // BLOCK_BYTES_MIN) * BLOCK_BYTES_MIN

    def block(self, needed: int, free: int) -> int:
        """The size of the block that is made of `free` bytes for `needed` rounded ones."""
        return needed if free - needed >= self.rest_min(needed) else free

    def rest_min(self, needed: int) -> float:
        """What is left of a free block is split off from so many bytes on; infinite: never."""
        if not self.rounds:
            return math.inf
        if needed <= SMALL_BYTES_MAX or self.expandable:
            return BLOCK_BYTES_MIN
        return SMALL_BYTES_MAX + 1 if self.max_split_bytes is None or needed < self.max_split_bytes else math.inf

    def largest(self, needed: int, room: int) -> int:
        """The largest block that may serve `needed` rounded bytes where `room` bytes are free from its start on."""
        if not self.rounds:
            return room
        if needed <= SMALL_BYTES_MAX or self.expandable:
            return min(needed, room)
        if self.max_split_bytes is not None and needed >= self.max_split_bytes:
            return min(room, needed + OVERSIZE_WASTE_BYTES - BLOCK_BYTES_MIN)
        return min(room, needed + SMALL_BYTES_MAX)

    def may_serve(self, needed: int, free: int) -> bool:
        """Whether a free block that is large enough is not kept back by `max_split_bytes`."""
        limit = self.max_split_bytes
        if limit is None:
            return True
        if needed < limit:
            return free < limit
        return free < needed + OVERSIZE_WASTE_BYTES


def divisions_of(setting: object) -> tuple[int, ...]:
    """Out of `roundup_power2_divisions` of a snapshot, whose keys are mebibytes: "1", "2", "4", ..."""
    table: dict[object, object] = dict(setting) if isinstance(setting, dict) else {}  # pyright: ignore[reportUnknownArgumentType]
    found = [table.get(str(1 << place), 0) for place in range(INTERVALS)]
    return tuple(value if type(value) is int and 0 < value <= 1 << 20 else 0 for value in found)


def _to_division(requested: int, divisions: int) -> int:
    floor = 1 << (requested.bit_length() - 1)
    if floor == requested:
        return requested
    step = floor >> (divisions.bit_length() - 1)
    return floor << 1 if step == 0 else -(-requested // step) * step
