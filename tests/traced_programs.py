"""Programs for the model of PyTorch's allocator, as hypothesis draws them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.caching_allocator import MIB, POOL, CachingAllocator, Frames, RefusedError

MAIN = {"filename": "/app/main.py", "line": 1, "name": "main"}
STACKS: list[Frames] = [
    [{"filename": f"/app/model{place}.py", "line": place, "name": "forward"}, MAIN] for place in range(4)
]
TAGS = ("", "weights", "cache")
sizes = st.one_of(
    st.integers(1, 4096),
    st.integers(1, 3 * MIB),
    st.sampled_from([512, 513, MIB - 1, MIB, MIB + 1, 10 * MIB - 512, 10 * MIB, 19 * MIB, 20 * MIB, 21 * MIB + 5]),
    st.integers(1, 70 * MIB),
)
pools = st.sampled_from([POOL, POOL, POOL, (0, 1)])
steps = st.one_of(
    st.tuples(st.just("alloc"), sizes, st.integers(0, 1), pools, st.integers(0, 3)),
    st.tuples(st.just("alloc"), sizes, st.just(0), st.just(POOL), st.integers(0, 3)),
    st.tuples(st.just("free"), st.integers(0, 1 << 16), st.booleans()),
    st.tuples(st.just("free"), st.integers(0, 1 << 16), st.just(False)),
    st.tuples(st.just("complete"), st.integers(0, 1 << 16)),
    st.tuples(st.just("empty_cache")),
    st.tuples(st.just("note_snapshot")),
)
programs = st.lists(steps, max_size=60)


@st.composite
def allocators(draw: st.DrawFn) -> CachingAllocator:
    """With any settings; segments may lie side by side."""
    return CachingAllocator(
        draw(st.sampled_from([1 << 40, 200 * MIB, 64 * MIB])),
        expandable=draw(st.booleans()),
        max_split=draw(st.sampled_from([None, None, 20 * MIB, 40 * MIB])),
        divisions=draw(st.sampled_from([{}, {}, {str(1 << k): 4 for k in range(16)}, {"1": 8, "16": 2}])),
        gap=draw(st.sampled_from([0, 2 * MIB])),
    )


def perform(allocator: CachingAllocator, program: Sequence[tuple[Any, ...]]) -> None:
    """Steps that cannot be taken are left out."""
    for step in program:
        live = [block for block in allocator._blocks() if block.state == "active"]
        waiting = [block for block in allocator._blocks() if block.state == "pending"]
        match step:
            case ("alloc", size, stream, pool, stack):
                allocator.tag = TAGS[stack % 3]
                try:
                    allocator.alloc(size, stream, pool, STACKS[stack])
                except RefusedError:
                    continue
            case ("free", number, later) if live:
                allocator.free(live[number % len(live)].address, later, STACKS[number % 4])
            case ("complete", number) if waiting:
                allocator.complete(waiting[number % len(waiting)].address)
            case ("empty_cache",):
                allocator.empty_cache()
            case ("note_snapshot",):
                allocator.note_snapshot()
            case _:
                continue
