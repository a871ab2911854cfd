"""Live memory by the stack that allocated it: from an allocator's trace, or else from the agent's sums."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from blackbox.analysis.trace.device_findings import UNKNOWN, AllocatorMoment
from blackbox.analysis.usage import use_name
from blackbox.model.event import TraceStep
from blackbox.model.snapshot import Stack
from blackbox.model.text import plural, size

ALLOCATING = "alloc"
FREEING = frozenset(("free", "free_requested", "free_completed"))
LEVELS_MAX = 400
"""Points of the level over time: two pixels of a chart each."""
LIBRARIES = ("site-packages/", "dist-packages/", "/torch/", "<frozen ")
FRAMES_MAX = 24
"""Frames kept of one stack; deeper ones are the framework's own."""


Levels = tuple[tuple[float, int], ...]
"""(Unix seconds, bytes), oldest first."""


class StackShare(Struct, frozen=True, kw_only=True):
    """The live memory that one stack allocated."""

    frames: tuple[str, ...]
    """Innermost first."""
    bytes: int
    count: int | None
    """Blocks; None where that is not known."""
    uses: dict[str, int]
    """Use of memory -> bytes, as far as the block map shows it."""
    first_at: float | None
    """Unix seconds of the oldest of these allocations."""
    last_at: float | None

    @property
    def blocks(self) -> str:
        """The number of blocks as text, as in `5 GiB in 3 blocks`; empty where it is not known."""
        return "" if self.count is None else f" in {plural(self.count, 'block')}"

    @property
    def what_for(self) -> str:
        """What the memory is for, as text; the bytes of each where that is not one thing alone; empty where nothing is
        known."""
        rest = self.bytes - sum(self.uses.values())
        if not self.uses or (len(self.uses) == 1 and rest <= 0):
            return ", ".join(self.uses)
        parts = self.uses | ({UNKNOWN: rest} if rest > 0 else {})
        ranked = sorted(parts, key=lambda name: -parts[name])
        return ", ".join(f"{size(parts[name])} {name}" for name in ranked)


class StackGrowth(Struct, frozen=True, kw_only=True):
    """Live memory by stack over a trace; without a trace, at one instant (then `steps` is 0)."""

    shares: tuple[StackShare, ...]
    """Largest first."""
    live_bytes: int
    """Sum of all shares."""
    recent_bytes: int
    """The part of it allocated within the trace."""
    freed_bytes: int
    """Bytes freed within the trace that were allocated before it."""
    seconds: float | None
    """Time from its first to its last step."""
    steps: int
    levels: tuple[tuple[float, int], ...]
    """(Unix seconds, bytes live) through the trace; empty without times."""


def growth_by_stack(
    trace: Iterable[TraceStep], stacks: tuple[tuple[str, ...], ...], uses: Mapping[int, str]
) -> StackGrowth:
    """Live allocations at the end of a trace, by stack. `stacks` are the frames that the steps refer to; `uses` maps
    the address of a block to its use."""
    live: dict[int, TraceStep] = {}
    freed_bytes = steps = level = 0
    levels: list[tuple[float, int]] = []
    gone: set[int] = set()
    for step in trace:
        if step.action == ALLOCATING:
            replaced = live.pop(step.address, None)
            level += step.size - (replaced.size if replaced else 0)
            live[step.address] = step
            gone.discard(step.address)
        elif step.action in FREEING:
            ended = live.pop(step.address, None)
            if ended is not None:
                level -= ended.size
            elif step.address not in gone:
                freed_bytes += step.size
                level -= step.size
            gone.add(step.address)
        if step.time_us is not None:
            steps += 1
            levels.append((step.time_us / 1e6, level))
    return StackGrowth(
        shares=_shares(live.values(), stacks, uses),
        live_bytes=sum(step.size for step in live.values()),
        recent_bytes=sum(step.size for step in live.values() if step.time_us is not None),
        freed_bytes=freed_bytes,
        seconds=levels[-1][0] - levels[0][0] if levels else None,
        steps=steps,
        levels=_thinned([(time, before + freed_bytes) for time, before in levels]),
    )


def live_by_stack(stacks: Iterable[Stack]) -> StackGrowth | None:
    """Live allocations at one instant, by stack; None where none were reported."""
    shares = tuple(
        StackShare(
            frames=stack.frames,
            bytes=stack.allocated_bytes,
            count=stack.blocks,
            uses={use_name(stack.type, stack.subtype): stack.allocated_bytes} if stack.frames else {},
            first_at=None,
            last_at=None,
        )
        for stack in stacks
    )
    if not shares:
        return None
    return StackGrowth(
        shares=tuple(sorted(shares, key=lambda share: -share.bytes)),
        live_bytes=sum(share.bytes for share in shares),
        recent_bytes=0,
        freed_bytes=0,
        seconds=None,
        steps=0,
        levels=(),
    )


def growth_of_moment(
    moment: AllocatorMoment, recent_bytes: int, freed_bytes: int, steps: int, seconds: float | None, levels: Levels
) -> StackGrowth:
    """What was held by stack at a moment of a replayed trace, and the trace up to it."""
    return StackGrowth(
        shares=tuple(
            StackShare(
                frames=share.frames[:FRAMES_MAX] or ((f"{share.stacks} smaller stacks",) if share.stacks > 1 else ()),
                bytes=share.bytes,
                count=share.blocks,
                uses={name: count for name, count in share.categories.items() if name != UNKNOWN},
                first_at=None,
                last_at=None,
            )
            for share in moment.by_stack
        ),
        live_bytes=moment.bytes,
        recent_bytes=recent_bytes,
        freed_bytes=freed_bytes,
        seconds=seconds,
        steps=steps,
        levels=levels,
    )


def own_frame(frames: Sequence[str]) -> str:
    """The innermost frame of the program's own code; of a stack with none, the innermost frame."""
    return next((frame for frame in frames if not any(place in frame for place in LIBRARIES)), frames[0])


def _thinned(levels: list[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    """The levels thinned to `LEVELS_MAX`: the highest of each interval, so that no peak is lost, and the last."""
    stretch = -(-len(levels) // LEVELS_MAX) or 1
    starts = range(0, len(levels), stretch)
    highest = [max(levels[start : start + stretch], key=lambda level: level[1]) for start in starts]
    return (*highest, levels[-1]) if levels else ()


def _shares(
    live: Iterable[TraceStep], stacks: tuple[tuple[str, ...], ...], uses: Mapping[int, str]
) -> tuple[StackShare, ...]:
    by_stack: dict[tuple[str, ...], list[TraceStep]] = defaultdict(list)
    for step in live:
        known = step.stack is not None and 0 <= step.stack < len(stacks)
        by_stack[stacks[step.stack or 0] if known else ()].append(step)
    shares = [_share(frames, steps, uses) for frames, steps in by_stack.items()]
    return tuple(sorted(shares, key=lambda share: -share.bytes))


def _share(frames: tuple[str, ...], steps: list[TraceStep], uses: Mapping[int, str]) -> StackShare:
    sums: dict[str, int] = defaultdict(int)
    for step in steps:
        if step.address in uses:
            sums[uses[step.address]] += step.size
    times = [step.time_us / 1e6 for step in steps if step.time_us is not None]
    return StackShare(
        frames=frames[:FRAMES_MAX],
        bytes=sum(step.size for step in steps),
        count=len(steps),
        uses=dict(sorted(sums.items(), key=lambda item: -item[1])),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
    )
