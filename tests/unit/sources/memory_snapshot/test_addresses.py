"""Snapshots of Intel's GPUs (XPU), whose addresses lie in the upper half of 64 bits."""

import pickle
from pathlib import Path

import pytest

from blackbox.sources.memory_snapshot import Contents, read
from tests.caching_allocator import MIB, CachingAllocator

HIGH = 0xFF00_0000_0020_0000


def _told(start: int, protocol: int, steps: int, path: Path) -> Contents:
    memory = CachingAllocator(start=start)
    kept = [memory.alloc(size * MIB) for size in (30, 3, 7)]
    for _ in range(steps):
        memory.free(kept[1])
        kept[1] = memory.alloc(3 * MIB)
    path.write_bytes(pickle.dumps(memory.snapshot((2, 12)), protocol=protocol))
    return read(path, "traces")


@pytest.mark.parametrize("steps", [1, 100])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("start", [HIGH, HIGH - (1 << 64)], ids=["as Python writes them", "as C++ writes them"])
def test_high_addresses_are_told_without_their_highest_bit_and_all_else_as_ever(
    start: int, protocol: int, steps: int, tmp_path: Path
) -> None:
    high, low = (_told(at, protocol, steps, tmp_path / "snapshot.pickle") for at in (start, HIGH & (1 << 63) - 1))
    assert high.replayed is not None
    assert high.replayed.told.allocator.allocated_bytes == 40 * MIB
    assert high == low
