"""PyTorch's own list of its allocator's segments, read into the columns of a report.

`torch.cuda.memory_snapshot()`, and `segments` of what `torch.cuda.memory._snapshot()` returns or dumps. Up to 2.0
blocks have neither `address` nor `requested_size`; they tile their segment in order, in every version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple

from blackbox.wire.report import NOT_KNOWN, POOLS_MAX, STATES, BlockColumns

INACTIVE = STATES.index("inactive")
ACTIVE = STATES.index("active")
PENDING_FREE = STATES.index("pending_free")
STATE_OF = {
    "inactive": INACTIVE,
    "active_allocated": ACTIVE,
    "active_pending_free": PENDING_FREE,
    "active_awaiting_free": PENDING_FREE,  # so the documentation calls it
}
DEFAULT_POOL = (0, 0)
ADDRESS_MAX = 2**63 - 1
"""What JSON readers and the wire take without loss; devices use 47 to 57 bits."""
SMALL_REQUEST_BYTES_MAX = 1024 * 1024
"""Segments of the small pool serve no larger request."""

_ADDRESS, _SIZE, _REQUESTED, _STATE = map(itemgetter, ("address", "size", "requested_size", "state"))


class SegmentError(ValueError):
    """Not a list of segments, or one that contradicts itself."""


class DeviceMemory(NamedTuple):
    """One device's share of the list. Sums mean what they mean in `blackbox.wire.report.AllocatorReport`."""

    reserved_bytes: int
    allocated_bytes: int
    requested_bytes: int | None
    """None where this version of PyTorch does not list it."""
    inactive_split_bytes: int
    """Like PyTorch's own counter, without expandable segments, whose free pages can be returned."""
    largest_free_bytes: int
    """Of the default pool; others serve only those who asked for them."""
    blocks: BlockColumns
    """By address: `address`, `size`, `state`, `stream`, `starts`, `pool` (of a CUDA graph or a `MemPool` where it is
    not 0), and `requested` where told."""


def no_yield() -> None:
    """Does nothing: for callers that keep no program from running."""


def read_segments(
    segments: Iterable[dict[str, Any]], yield_gil: Callable[[], object] = no_yield
) -> dict[int, DeviceMemory]:
    """What each device holds, by its number in the program. Calls `yield_gil` after each segment.

    Raises `SegmentError`.
    """
    by_device: dict[int, list[dict[str, Any]]] = {}
    try:
        for segment in segments:
            by_device.setdefault(_whole(segment.get("device", 0)), []).append(segment)
        return {device: _read_device(by_device[device], yield_gil) for device in sorted(by_device)}
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise SegmentError(f"not a list of segments: {type(error).__name__}: {error}") from error


def _read_device(segments: list[dict[str, Any]], yield_gil: Callable[[], object]) -> DeviceMemory:
    address: list[int] = []
    size: list[int] = []
    state: list[int] = []
    stream: list[int] = []
    requested: list[int] = []
    starts: list[int] = []
    pool: list[int] = []
    number_of = pool_numbers(map(_pool, segments))
    inactive_split_bytes = largest_free_bytes = 0
    for segment in sorted(segments, key=lambda segment: _whole(segment["address"])):
        blocks = segment["blocks"]
        states = list(map(STATE_OF.__getitem__, map(_STATE, blocks)))
        sizes = list(map(_SIZE, blocks))
        addresses = _tiled(segment, sizes)
        if address and addresses[0] < address[-1] + size[-1]:
            raise SegmentError(f"segments overlap at {addresses[0]:#x}")
        if "address" in blocks[0] and list(map(_ADDRESS, blocks)) != addresses:
            raise SegmentError(f"the blocks of the segment at {addresses[0]:#x} leave gaps or overlap")
        number = number_of[_pool(segment)]
        free = [sizes[place] for place, code in enumerate(states) if code == INACTIVE]
        if len(blocks) > 1 and not segment.get("is_expandable", False):
            inactive_split_bytes += sum(free)
        if free and number == 0:
            usable = SMALL_REQUEST_BYTES_MAX if segment.get("segment_type") == "small" else max(free)
            largest_free_bytes = max(largest_free_bytes, min(max(free), usable))
        address += addresses
        size += sizes
        state += states
        stream += [_whole(segment.get("stream", 0))] * len(blocks)
        requested += list(map(_REQUESTED, blocks)) if "requested_size" in blocks[0] else [NOT_KNOWN] * len(blocks)
        starts += [1] + [0] * (len(blocks) - 1)
        pool += [number] * len(blocks)
        yield_gil()
    told = NOT_KNOWN not in requested
    return DeviceMemory(
        reserved_bytes=sum(size),
        allocated_bytes=_sum_active(size, state),
        requested_bytes=_sum_active(requested, state) if told else None,
        inactive_split_bytes=inactive_split_bytes,
        largest_free_bytes=largest_free_bytes,
        blocks=BlockColumns(
            address,
            size,
            state,
            requested=_of_live_blocks(requested, state) if told else None,
            stream=stream,
            starts=starts,
            pool=pool,
        ),
    )


def _pool(segment: dict[str, Any]) -> tuple[int, ...]:
    return tuple(segment.get("segment_pool_id", DEFAULT_POOL))


def pool_numbers(pools: Iterable[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Pool -> number: 0 serves everybody; the others in the order in which they were made, as their ids grow."""
    others = sorted({*pools} - {DEFAULT_POOL}, key=lambda pool: (sum(pool), pool))
    return {DEFAULT_POOL: 0} | {pool: min(place + 1, POOLS_MAX - 1) for place, pool in enumerate(others)}


def _tiled(segment: dict[str, Any], sizes: list[int]) -> list[int]:
    """The address of each block, from the sizes. Raises `SegmentError` where these do not fill the segment."""
    start = segment["address"]
    if not _are_whole(sizes) or 0 in sizes or sum(sizes) != segment["total_size"]:
        raise SegmentError(f"the blocks of the segment at {start:#x} do not fill it")
    ends = list(accumulate(sizes, initial=start))
    if ends[-1] > ADDRESS_MAX:
        raise SegmentError(f"the segment at {start:#x} ends beyond what an address can name")
    return ends[:-1]


def _of_live_blocks(requested: list[int], state: list[int]) -> list[int]:
    """The requested sizes; `NOT_KNOWN` for free blocks, where PyTorch still lists the last request they served."""
    if not _are_whole(requested):
        raise SegmentError("a block was asked for with something that is no size")
    return [asked if state[place] != INACTIVE else NOT_KNOWN for place, asked in enumerate(requested)]


def _sum_active(sizes: list[int], state: list[int]) -> int:
    return sum([size for place, size in enumerate(sizes) if state[place] == ACTIVE])


def _are_whole(numbers: list[int]) -> bool:
    return set(map(type, numbers)) == {int} and min(numbers) >= 0 and max(numbers) <= ADDRESS_MAX


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number <= ADDRESS_MAX:
        raise SegmentError(f"not a number that a segment can have, but {type(number).__name__}")
    return number
