"""One job, many files: the table, and who was first."""

import contextlib
from typing import Any

import pytest
from msgspec import structs

from blackbox.analysis.trace.ranks import RankRow, UnreadFile, rank_table, rows_of
from blackbox.cli.commands.compare_files import rank_lines
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


def test_a_rank_without_a_whole_history_is_marked() -> None:
    allocator = CachingAllocator()
    first = allocator.alloc(20 * MIB)
    allocator.free(first)
    allocator.alloc(4 * MIB)
    written = allocator.snapshot((2, 12))
    broken = dict(written["device_traces"][0][0], addr=1, action="alloc")
    histories: dict[str, list[dict[str, Any]]] = {
        "whole": written["device_traces"][0],
        "none": [],
        "part": [broken, *written["device_traces"][0]],
    }
    found: list[RankRow] = []
    for name, trace in histories.items():
        replayed = read_replayed(written | {"device_traces": [trace]})
        assert replayed is not None
        found += rows_of(name, replayed.devices)
    assert [row.history for row in found] == ["whole", "none", "part"]
    assert [row.peak_bytes for row in found] == [20 * MIB, 4 * MIB, 20 * MIB]
    lines = list(rank_lines(rank_table(found, [])))
    assert lines[2].endswith("(no history: held at the end)")
    assert lines[3].endswith("(of a part of its history)")


def test_people_are_told_that_a_peak_is_a_range() -> None:
    (row,) = rows("r0", 20)
    lines = list(rank_lines(rank_table([structs.replace(row, peak_bytes_max=22 * MIB)], [])))
    assert lines[1].endswith("(up to 22.0 MiB: the file leaves sizes open)")
