"""A program that goes on between the last entry of its trace and the list of its segments."""

from collections.abc import Callable

import pytest

from blackbox.analysis.trace.moments import highest
from blackbox.analysis.trace.replay import Replay, replay
from blackbox.sources.memory_snapshot.traces import read_traces
from tests.caching_allocator import MIB, CachingAllocator


def in_between(meanwhile: Callable[[CachingAllocator, list[int]], object]) -> tuple[Replay, CachingAllocator]:
    """What is told of a program that did so while its file was written."""
    memory = CachingAllocator()
    held = [memory.alloc(size * MIB) for size in (30, 12, 4, 8, 3)]
    memory.free(held.pop(1))
    memory.recording = False
    meanwhile(memory, held)
    (device,) = read_traces(memory.snapshot((2, 12))).devices
    return replay(device.trace, device.end, device.rules), memory


def _replace(memory: CachingAllocator, held: list[int]) -> None:
    """Smaller blocks begin inside of what lived there."""
    memory.free(held[1])
    for size in (2, 5, 5):
        memory.alloc(size * MIB)


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda memory, held: memory.free(held[0]),
        lambda memory, held: memory.free(held[1], later=True),
        lambda memory, _: memory.alloc(2 * MIB),
        lambda memory, _: [memory.alloc(2 * MIB), memory.alloc(7 * MIB)],
        _replace,
    ],
    ids=["a free", "a free that waits", "an allocation", "behind it another", "a block replaced by others"],
)
def test_the_whole_trace_is_replayed_all_the_same(meanwhile: Callable[[CachingAllocator, list[int]], object]) -> None:
    run, memory = in_between(meanwhile)
    assert (run.first, run.steps) == (0, len(memory.entries))
    assert run.races > 0
    assert list(run.allocated) == [0, *(sums.allocated for sums in memory.sums)]
    assert highest(run).bytes == highest(run).bytes_max == 57 * MIB


def test_without_one_none_is_told() -> None:
    run, _ = in_between(lambda memory, held: None)
    assert (run.first, run.races) == (0, 0)
