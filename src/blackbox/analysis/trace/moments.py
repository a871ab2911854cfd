"""Single steps of a trace: where memory was highest, and what was free for a request that was refused."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from blackbox.analysis.trace.entries import ALLOC, DEFAULT_POOL, FREE_REQUESTED, OOM, Pool
from blackbox.analysis.trace.layout import Segment, is_default
from blackbox.analysis.trace.replay import Instant, Replay
from blackbox.analysis.trace.rounding import SMALL_BYTES_MAX

PRIVATE_POOL, OTHER_STREAM, OTHER_SIZE, KEPT_BACK = "private_pool", "stream", "segment_kind", "max_split_size"
"""Why free memory cannot serve a request."""


class Highest(NamedTuple):
    done: int
    """Entries replayed when the most was allocated, for the first time."""
    bytes: int
    bytes_max: int
    """Larger where the file leaves the sizes of some blocks open."""


class MemoryRange(NamedTuple):
    """A block, or a free range, at an instant."""

    address: int
    size: int
    block: int | None
    """None: free."""
    pending: bool
    segment: int
    """Its address."""


class Free(NamedTuple):
    """Free ranges that have something in common."""

    bytes: int
    largest_bytes: int
    pieces: int


class FreeFor(NamedTuple):
    """What was free when a request was refused."""

    usable: Free
    """For this request."""
    others: dict[str, Free]
    """By the reason why not."""
    private_pools: dict[Pool, Free]
    """Of these, free inside pools of CUDA graphs and the like."""
    certain: Free
    """What is left of `usable` where every block is as large as the file allows."""


def highest(replayed: Replay) -> Highest:
    """The peak of what the program held, over all positions and the start."""
    levels = replayed.allocated
    done = replayed.passes.highest(levels)
    peak = levels[done]
    if not replayed.size_max:
        return Highest(done, peak, peak)
    excess = {block: most - replayed.size[block] for block, most in replayed.size_max.items()}
    waiting = replayed.start.pending
    first = sum(more for block, more in excess.items() if replayed.address_of(block) not in waiting)
    changes = (
        (excess.get(block, 0) if code == ALLOC else -excess.get(block, 0) if code == FREE_REQUESTED else 0)
        for code, block in zip(replayed.trace.action[replayed.first :], replayed.block[replayed.first :], strict=True)
    )
    above = accumulate(changes, initial=first)
    return Highest(done, peak, max(level + more for level, more in zip(levels, above, strict=True)))


def refusals(replayed: Replay) -> list[int]:
    """The positions of what was refused, as far as it was replayed."""
    found: list[int] = []
    place = replayed.trace.action.find(OOM, replayed.first)
    while place >= 0:
        found.append(place)
        place = replayed.trace.action.find(OOM, place + 1)
    return found


def rows(replayed: Replay, instant: Instant) -> Iterator[MemoryRange]:
    """Blocks and free ranges, by address: together they are the segments."""
    numbers = sorted((*instant.allocated, *instant.pending), key=replayed.address_of)
    addresses = [replayed.address_of(number) for number in numbers]
    place = 0
    for start, segment in instant.segments.sorted():
        at, end = start, start + segment.size
        while place < len(numbers) and addresses[place] < end:
            number = numbers[place]
            if addresses[place] > at:
                yield MemoryRange(at, addresses[place] - at, None, False, start)
            size = replayed.size[number]
            yield MemoryRange(addresses[place], size, number, number in instant.pending, start)
            at = addresses[place] + size
            place += 1
        if at < end:
            yield MemoryRange(at, end - at, None, False, start)


def free_for(replayed: Replay, instant: Instant, refused: int) -> FreeFor:
    """What was free for the request of an `oom`, and what was free and of no use to it."""
    trace, rules = replayed.trace, replayed.rules
    needed, stream = trace.size[refused], trace.stream[refused]
    pool = DEFAULT_POOL if trace.pool is None else trace.pool[refused]
    sizes: dict[str | None, list[int]] = defaultdict(list)
    private: dict[Pool, list[int]] = defaultdict(list)
    certain: list[int] = []
    before = 0
    for row in rows(replayed, instant):
        if row.block is not None:
            before = replayed.open_bytes(row.block)
            continue
        segment = instant.segments.at[row.segment]
        reason = _why_not(segment, needed, stream, pool)
        if reason is None and not rules.may_serve(needed, row.size):
            reason = KEPT_BACK
        sizes[reason].append(row.size)
        if reason is None and row.size > before:
            certain.append(row.size - before)
        before = 0
        if reason == PRIVATE_POOL and segment.pool is not None:
            private[segment.pool].append(row.size)
    usable = _free(sizes.pop(None, []))
    return FreeFor(
        usable,
        {reason: _free(found) for reason, found in sizes.items() if reason is not None},
        {name: _free(found) for name, found in private.items()},
        _free(certain),
    )


def freed_after(instant: Instant, last: Instant) -> frozenset[int]:
    """Blocks that the program held at an instant and had let go of at the end."""
    return instant.allocated - last.allocated


def _why_not(segment: Segment, needed: int, stream: int, pool: Pool) -> str | None:
    same_pool = segment.pool == pool or (is_default(segment.pool) and is_default(pool))
    if not same_pool:
        return PRIVATE_POOL
    if segment.stream != stream:
        return OTHER_STREAM
    if segment.small != (needed <= SMALL_BYTES_MAX):
        return OTHER_SIZE
    return None


def _free(sizes: Sequence[int]) -> Free:
    return Free(sum(sizes), max(sizes, default=0), len(sizes))
