"""Live memory by the stack that allocated it: out of an allocator's trace, else as the agent summed it up."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from blackbox.model.sample import TraceStep
from blackbox.model.snapshot import Stack
from blackbox.report.readings import words

ALLOCATING = "alloc"
FREEING = frozenset(("free", "free_requested", "free_completed"))
LEVELS_MAX = 400
"""Two pixels of a chart each."""
LIBRARIES = ("site-packages/", "dist-packages/", "/torch/", "<frozen ")
FRAMES_MAX = 24
"""Of one stack in a report; what is deeper is the framework's own machinery."""


class StackShare(Struct, frozen=True, kw_only=True):
    """What one stack allocated and nobody has freed."""

    frames: tuple[str, ...]
    """Innermost first."""
    bytes: int
    count: int | None
    """Blocks; None where that is not known."""
    uses: dict[str, int]
    """What for -> bytes, as far as the block map tells."""
    first_at: float | None
    """Unix seconds of the oldest of these allocations."""
    last_at: float | None

    @property
    def blocks(self) -> str:
        """Their number in words, as in `5 GiB in 3 blocks`."""
        return "" if self.count is None else f" in {self.count} blocks"


class Growth(Struct, frozen=True, kw_only=True):
    """What the trace covers; without one, what was live at an instant, with no steps."""

    shares: tuple[StackShare, ...]
    """Largest first."""
    live_bytes: int
    """Of all shares."""
    recent_bytes: int
    """Of these, allocated within the trace."""
    freed_bytes: int
    """Freed within it, allocated before it."""
    seconds: float | None
    """Time from its first to its last step."""
    steps: int
    levels: tuple[tuple[float, int], ...]
    """(Unix seconds, bytes live) through the trace; empty without times."""


def growth_by_stack(trace: Iterable[TraceStep], stacks: tuple[tuple[str, ...], ...], uses: Mapping[int, str]) -> Growth:
    """Live allocations of a trace, by stack; `uses` is address -> what for."""
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
    return Growth(
        shares=_shares(live.values(), stacks, uses),
        live_bytes=sum(step.size for step in live.values()),
        recent_bytes=sum(step.size for step in live.values() if step.time_us is not None),
        freed_bytes=freed_bytes,
        seconds=levels[-1][0] - levels[0][0] if levels else None,
        steps=steps,
        levels=_thinned([(time, before + freed_bytes) for time, before in levels]),
    )


def live_by_stack(stacks: Iterable[Stack]) -> Growth | None:
    """Live allocations at one instant, by stack; None where nobody told."""
    shares = tuple(
        StackShare(
            frames=stack.frames,
            bytes=stack.allocated_bytes,
            count=stack.blocks,
            uses={words(stack.type, stack.subtype): stack.allocated_bytes} if stack.frames else {},
            first_at=None,
            last_at=None,
        )
        for stack in stacks
    )
    if not shares:
        return None
    return Growth(
        shares=tuple(sorted(shares, key=lambda share: -share.bytes)),
        live_bytes=sum(share.bytes for share in shares),
        recent_bytes=0,
        freed_bytes=0,
        seconds=None,
        steps=0,
        levels=(),
    )


def own_frame(frames: Sequence[str]) -> str:
    """The innermost frame that is the program's own, of a stack that may begin inside a library."""
    return next((frame for frame in frames if not any(place in frame for place in LIBRARIES)), frames[0])


def _thinned(levels: list[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    """The highest of each stretch, so that no peak is lost, and the last."""
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
