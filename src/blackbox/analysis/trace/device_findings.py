"""What is told of one device's trace, as plain data: its peak, what was refused, and what has to be added."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from msgspec import Struct, structs

from blackbox.analysis.trace.bands import BlockKinds
from blackbox.analysis.trace.entries import NO_STACK, OOM
from blackbox.analysis.trace.layout import is_default
from blackbox.analysis.trace.moments import free_for, freed_after, highest, refusals
from blackbox.analysis.trace.passes import Alike, Passes
from blackbox.analysis.trace.replay import Instant, Replay, instants
from blackbox.analysis.trace.situations import of_refusal

STACKS_MAX = 200
"""Of one moment, largest first; the rest are one row, so that the sum stays exact."""
FREED_STACKS_MAX = 20
"""Of what was freed after a refusal: more do not explain it better."""
REFUSALS_MAX = 64
"""Told with all their figures; of more, the first and the last of them. A program that probes for the largest batch
makes some dozens."""
UNKNOWN, NOT_TOLD = "unknown", "none"

_Name = TypeVar("_Name")
Stacks = Sequence[tuple[str, ...]]
"""By number: frames, innermost first."""


class Category(NamedTuple):
    """What a block is for."""

    name: str = UNKNOWN
    source: str = NOT_TOLD
    """How that is told: `tag`, `profiler`, `stack`, `annotation`, `pattern`, `framework`; `none`: it is not."""


CategoryOf = Callable[[int], Category]
"""By the number of the block."""
CategoriesOf = Callable[["array[int]"], BlockKinds]
"""Blocks by kind, all of one of which are of one category."""


class CategoryShare(Struct, frozen=True, kw_only=True):
    """What is held for one purpose."""

    category: str
    bytes: int
    requested_bytes: int
    blocks: int
    type_source: str
    """How it is told of the most of these bytes."""
    type_sources: dict[str, int]
    """How it is told -> bytes."""


class AllocationShare(Struct, frozen=True):
    """What one stack allocated."""

    frames: tuple[str, ...]
    """Innermost first; empty where no stack was recorded, and of the row that sums up the rest."""
    bytes: int
    requested_bytes: int
    blocks: int
    stacks: int = 1
    """More than 1: the row sums up so many; 0: no stack was recorded."""
    categories: dict[str, int] = {}
    """Category -> bytes."""


class PoolShare(Struct, frozen=True):
    """What is held in one pool on one stream."""

    pool: tuple[int, int] | None
    """None: the file does not tell."""
    stream: int
    bytes: int
    blocks: int


class AllocatorMoment(Struct, frozen=True, kw_only=True):
    """One instant of a device's allocator. Every list of shares sums to `bytes`."""

    gpu: int
    bytes: int
    """Allocated, as blocks are rounded."""
    bytes_max: int | None
    """None: `bytes` is exact. Else it is the least that the file allows, and this the most."""
    requested_bytes: int
    """Of the same blocks, as the program asked."""
    active_bytes: int
    """With what waits to be freed."""
    active_bytes_max: int | None
    """None: `active_bytes` is exact. Else it is the least that the file allows, and this the most."""
    reserved_bytes: int
    step: int | None
    """The entry that led to it, counted from 0; None: so it was before the first one."""
    time: float | None
    """Unix seconds."""
    seconds: float | None
    """Since the first entry."""
    by_category: tuple[CategoryShare, ...]
    by_stack: tuple[AllocationShare, ...]
    by_pool: tuple[PoolShare, ...]


class FreedShare(Struct, frozen=True):
    """What the program let go of between a moment and the end of the trace."""

    bytes: int
    blocks: int
    seconds: float | None
    """From the moment to the last entry."""
    by_stack: tuple[AllocationShare, ...]
    """Who had allocated it."""


class FreeBytes(Struct, frozen=True):
    """Free ranges that have something in common."""

    bytes: int
    largest_bytes: int
    pieces: int


class RefusedRequest(Struct, frozen=True, kw_only=True):
    """A request that failed."""

    moment: AllocatorMoment
    """The allocator then: its cache given back, nothing unwound yet. Its step is the refusal's own."""
    requested_size: int
    """What was refused, rounded as blocks are; the text of the error tells what the driver was asked for instead."""
    stream: int
    device_free_bytes: int | None
    """What the driver said was free on the GPU."""
    free: FreeBytes
    """In the cache, for this request: same pool, stream and kind of segment, and not kept back by a setting."""
    free_certain: FreeBytes
    """What is left of it where blocks before it are as large as the file allows."""
    free_elsewhere: dict[str, FreeBytes]
    """In the cache, and of no use to it: `private_pool`, `stream`, `segment_kind`, `max_split_size`."""
    frames: tuple[str, ...]
    """Who asked, innermost first."""
    freed_after: FreedShare
    situations: tuple[str, ...]
    """What a reader has to know of it beside the figures."""


class Totals(Struct, frozen=True):
    """The sums of an instant."""

    allocated_bytes: int
    active_bytes: int
    reserved_bytes: int


class DeviceFindings(Struct, frozen=True, kw_only=True):
    """One device's trace."""

    gpu: int
    peak: AllocatorMoment
    refusals: tuple[RefusedRequest, ...]
    refusals_total: int
    """Also those that are left out of the list."""
    end: Totals
    steps: int
    """Entries in the file."""
    replayed: int
    """Of these, those at the end that agree with each other."""
    situations: tuple[str, ...]
    """What a reader has to know to take the figures for what they are."""


class Context(NamedTuple):
    """What the moments of one device are told with."""

    gpu: int
    replayed: Replay
    stacks: Stacks
    category_of: CategoryOf
    stacks_max: int = STACKS_MAX
    memory_fraction: float | None = None
    """Of the GPU's memory, that the program may have; None: all, or the file does not tell."""
    categories: CategoriesOf | None = None
    """None: the category of each block is asked for."""

    def names(self, blocks: "array[int]") -> "tuple[Sequence[str], array[int]]":
        """The categories of these blocks, each once, and by block which it is of."""
        kinds = (
            BlockKinds(blocks, array("i", range(len(blocks)))) if self.categories is None else self.categories(blocks)
        )
        return numbered((self.category_of(block).name for block in kinds.first), kinds, self.replayed.passes)

    def frames(self, blocks: "array[int]") -> "tuple[Sequence[tuple[str, ...]], array[int]]":
        """The same of the stacks that allocated them, by what these read; empty where none was recorded."""
        run = self.replayed
        kinds = run.passes.alike(blocks, Alike(run.trace.steps, run.trace.stack))
        stacks = map(run.stack_of, kinds.first)
        return numbered((() if stack == NO_STACK else self.stacks[stack] for stack in stacks), kinds, run.passes)


def numbered(names: Iterable[_Name], kinds: BlockKinds, passes: Passes) -> "tuple[Sequence[_Name], array[int]]":
    """Each name once, and by block the number of its own; `names` are by kind."""
    numbers: dict[_Name, int] = {}
    table = [numbers.setdefault(name, len(numbers)) for name in names]
    return list(numbers), passes.renumbered(kinds.kind, table)


def unknown(_block: int) -> Category:
    """Where nothing tells."""
    return Category()


def findings(context: Context, situations: Sequence[str] = ()) -> DeviceFindings:
    """Everything that is told of a device."""
    replayed = context.replayed
    places = refusals(replayed)
    shown = places if len(places) <= REFUSALS_MAX else places[: REFUSALS_MAX // 2] + places[-REFUSALS_MAX // 2 :]
    peak = highest(replayed)
    wanted = sorted({peak.done, replayed.steps, *(place - replayed.first for place in shown)})
    at = dict(zip(wanted, instants(replayed, wanted), strict=True))
    last = at[replayed.steps]
    return DeviceFindings(
        gpu=context.gpu,
        peak=moment(context, at[peak.done], peak.bytes_max),
        refusals=tuple(_refusal(context, at[place - replayed.first], place, last) for place in shown),
        refusals_total=replayed.trace.action.count(OOM),
        end=Totals(replayed.end.allocated_bytes, replayed.end.active_bytes, replayed.end.reserved_bytes),
        steps=replayed.trace.steps,
        replayed=replayed.steps,
        situations=tuple(situations),
    )


def moment(context: Context, instant: Instant, bytes_max: int | None = None) -> AllocatorMoment:
    """One instant; `bytes_max` where more than its own blocks were taken into account."""
    replayed = context.replayed
    held = instant.allocated
    allocated = replayed.allocated[instant.done]
    if bytes_max is None:
        bytes_max = allocated + _open(replayed, held)
    active = replayed.active[instant.done]
    active_open = _open(replayed, held | instant.pending)
    step = replayed.first + instant.done - 1 if instant.done else None
    return AllocatorMoment(
        gpu=context.gpu,
        bytes=allocated,
        bytes_max=None if bytes_max == allocated else bytes_max,
        requested_bytes=sum(max(0, replayed.requested_of(block)) for block in held),
        active_bytes=active,
        active_bytes_max=active + active_open if active_open else None,
        reserved_bytes=replayed.reserved[instant.done],
        step=step,
        time=None if step is None else _time(replayed, step),
        seconds=None if step is None else _seconds(replayed, 0, step),
        by_category=_by_category(context, held),
        by_stack=shares(context, held, context.stacks_max),
        by_pool=_by_pool(replayed, instant),
    )


def shares(context: Context, blocks: Iterable[int], stacks_max: int) -> tuple[AllocationShare, ...]:
    """By stack, largest first, exact in sum."""
    by_stack: dict[int, list[int]] = defaultdict(list)
    for block in blocks:
        by_stack[context.replayed.stack_of(block)].append(block)
    by_frames: dict[tuple[str, ...] | None, list[int]] = defaultdict(list)
    for stack, held in by_stack.items():
        by_frames[None if stack == NO_STACK else context.stacks[stack]].extend(held)
    found = [_stack_share(context, frames, held) for frames, held in by_frames.items()]
    found.sort(key=lambda share: (-share.bytes, share.frames))
    return (*found[:stacks_max], *_rest(found[stacks_max:]))


def _refusal(context: Context, instant: Instant, place: int, last: Instant) -> RefusedRequest:
    replayed = context.replayed
    trace = replayed.trace
    free = free_for(replayed, instant, place)
    told = moment(context, instant)
    told = structs.replace(told, step=place, time=_time(replayed, place), seconds=_seconds(replayed, 0, place))
    freed = freed_after(instant, last)
    stack = trace.stack[place]
    return RefusedRequest(
        moment=told,
        requested_size=trace.size[place],
        stream=trace.stream[place],
        device_free_bytes=trace.device_free.get(place),
        free=FreeBytes(*free.usable),
        free_certain=FreeBytes(*free.certain),
        free_elsewhere={reason: FreeBytes(*found) for reason, found in free.others.items()},
        frames=() if stack == NO_STACK else context.stacks[stack],
        freed_after=FreedShare(
            bytes=sum(replayed.size[block] for block in freed),
            blocks=len(freed),
            seconds=_seconds(replayed, place, trace.steps - 1),
            by_stack=shares(context, freed, FREED_STACKS_MAX),
        ),
        situations=of_refusal(trace.size[place], trace.device_free.get(place), free, context.memory_fraction),
    )


def _by_category(context: Context, blocks: Iterable[int]) -> tuple[CategoryShare, ...]:
    replayed = context.replayed
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    sources: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for block in blocks:
        name, source = context.category_of(block)
        total = sums[name]
        total[0] += replayed.size[block]
        total[1] += max(0, replayed.requested_of(block))
        total[2] += 1
        sources[name][source] += replayed.size[block]
    found = [
        CategoryShare(
            category=name,
            bytes=total[0],
            requested_bytes=total[1],
            blocks=total[2],
            type_source=max(sources[name], key=lambda source: (sources[name][source], source)),
            type_sources=dict(sources[name]),
        )
        for name, total in sums.items()
    ]
    return tuple(sorted(found, key=lambda share: (-share.bytes, share.category)))


def _stack_share(context: Context, frames: tuple[str, ...] | None, blocks: list[int]) -> AllocationShare:
    replayed = context.replayed
    categories: dict[str, int] = defaultdict(int)
    for block in blocks:
        categories[context.category_of(block).name] += replayed.size[block]
    return AllocationShare(
        frames=frames or (),
        bytes=sum(categories.values()),
        requested_bytes=sum(max(0, replayed.requested_of(block)) for block in blocks),
        blocks=len(blocks),
        stacks=0 if frames is None else 1,
        categories=dict(categories),
    )


def _rest(found: Sequence[AllocationShare]) -> list[AllocationShare]:
    if not found:
        return []
    categories: dict[str, int] = defaultdict(int)
    for share in found:
        for category, size in share.categories.items():
            categories[category] += size
    return [
        AllocationShare(
            frames=(),
            bytes=sum(share.bytes for share in found),
            requested_bytes=sum(share.requested_bytes for share in found),
            blocks=sum(share.blocks for share in found),
            stacks=len(found),
            categories=dict(categories),
        )
    ]


def _by_pool(replayed: Replay, instant: Instant) -> tuple[PoolShare, ...]:
    sums: dict[tuple[tuple[int, int] | None, int], list[int]] = defaultdict(lambda: [0, 0])
    for block in instant.allocated:
        start = instant.segments.containing(replayed.address_of(block))
        if start is None:
            continue
        segment = instant.segments.at[start]
        total = sums[segment.pool, segment.stream]
        total[0] += replayed.size[block]
        total[1] += 1
    found = [PoolShare(pool, stream, *total) for (pool, stream), total in sums.items()]
    return tuple(sorted(found, key=lambda share: (not is_default(share.pool), -share.bytes)))


def _open(replayed: Replay, blocks: frozenset[int]) -> int:
    """By how much these may be larger than is told."""
    return sum(replayed.open_bytes(block) for block in replayed.size_max if block in blocks)


def _time(replayed: Replay, place: int) -> float | None:
    times = replayed.trace.time_us
    return None if not times else times[place] / 1e6


def _seconds(replayed: Replay, since: int, place: int) -> float | None:
    times = replayed.trace.time_us
    return None if not times else (times[place] - times[since]) / 1e6
