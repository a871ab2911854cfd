"""One job, many files: the table, and who was first."""

import contextlib

import pytest

from blackbox.analysis.trace.ranks import RankRow, UnreadFile, rank_table, rows_of
from blackbox.sources.memory_snapshot.replayed import read_replayed
from tests.caching_allocator import MIB, CachingAllocator, RefusedError
from tests.traced_programs import STACKS


def rows(file: str, size: int, capacity: int = 1 << 40, wait: int = 0) -> list[RankRow]:
    """A rank that holds `size` MiB, and asks for as much again."""
    allocator = CachingAllocator(capacity)
    allocator.tag = "cache"
    held = [allocator.alloc(size * MIB, frames=STACKS[0])]
    for _ in range(wait):
        allocator.note_snapshot()
    with contextlib.suppress(RefusedError):
        held.append(allocator.alloc(size * MIB, frames=STACKS[1]))
    for address in held:
        allocator.free(address)
    found = read_replayed(allocator.snapshot((2, 12)))
    assert found is not None
    return rows_of(file, found.devices)


def test_the_table_of_a_job() -> None:
    found = rank_table(
        [*rows("r0", 20), *rows("r1", 40, 60 * MIB, wait=5), *rows("r2", 30, 40 * MIB)],
        [UnreadFile("r3", "not a file")],
    )
    assert [row.peak_bytes for row in found.rows] == [40 * MIB, 40 * MIB, 30 * MIB]
    assert (found.highest.file, found.lowest.file, found.spread_bytes) == ("r0", "r2", 10 * MIB)
    assert found.imbalance_ratio == pytest.approx(40 / (110 / 3), abs=1e-4)
    assert found.first_refused is not None
    assert (found.first_refused.file, found.first_refused.first_refused_bytes) == ("r2", 30 * MIB)
    assert found.refused_files == 2
    (spread,) = found.by_category
    assert (spread.category, spread.most_file, spread.least_file) == ("cache", "r0", "r2")


def test_ranks_that_are_alike() -> None:
    found = rank_table([*rows("r0", 20), *rows("r1", 20)], [])
    assert (found.imbalance_ratio, found.spread_bytes, found.first_refused) == (1.0, 0, None)
