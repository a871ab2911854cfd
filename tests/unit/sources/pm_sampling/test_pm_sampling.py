"""What the samples of a window come to."""

import math

from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.pm_sampling.collector import Interval
from blackbox.sources.pm_sampling.totals import COUNTED, IDLE, NO_DRAM, totals

PID = 4711
MILLISECOND = 1_000_000


def interval(milliseconds: float = 1.0, **changes: float) -> Interval:
    figures = dict.fromkeys(Interval._fields, 0.0) | changes
    return Interval(**{**figures, "nanoseconds": round(milliseconds * MILLISECOND)})  # pyright: ignore[reportArgumentType]


def test_bytes_and_atomics_are_sums_and_the_throughput_their_rate() -> None:
    window = [interval(read_bytes=3000, write_bytes=1000, atomics=5, reductions=2, active_cycles=1)] * 4
    row = totals(PID, window, 30)
    assert (row.pid, row.scope, row.source) == (PID, "device", "pm_sampling")
    assert (row.dram_read_bytes, row.dram_write_bytes, row.atomic_operations) == (12_000, 4_000, 28)
    assert row.memory_throughput == 16_000 / 0.004
    assert row.threads_per_block is None
    assert row.unknown["dram_read_bytes"] == "of a window of 0.004 s, which is taken every 30 s"
    assert row.unknown["atomic_operations"].startswith("requests to the L2 cache")


def test_occupancy_and_blocks_are_means_over_the_time_with_work() -> None:
    busy = interval(active_cycles=300, occupancy_percent=50, blocks=1000)
    light = interval(active_cycles=100, occupancy_percent=10, blocks=200)
    idle = interval(occupancy_percent=math.nan, blocks=math.nan)
    row = totals(PID, [busy, idle, light], 30)
    assert (row.occupancy, row.active_blocks) == (40.0, 800)


def test_counters_read_a_moment_apart_make_no_more_than_all() -> None:
    assert totals(PID, [interval(active_cycles=1, occupancy_percent=100.4)], 30).occupancy == 100


def test_a_window_without_work_has_bytes_and_no_occupancy() -> None:
    row = totals(PID, [interval(read_bytes=8)], 30)
    assert (row.dram_read_bytes, row.occupancy, row.active_blocks) == (8, None, None)
    assert row.unknown["occupancy"] == IDLE


def test_without_samples_or_with_impossible_ones_nothing_is_known() -> None:
    for window, reason in (
        ([], "no samples"),
        ([interval(read_bytes=-1)], "impossible"),
        ([interval(write_bytes=math.nan)], "impossible"),
        ([interval(active_cycles=1, occupancy_percent=111)], "impossible"),
        ([interval(active_cycles=1, blocks=math.inf)], "impossible"),
    ):
        row = totals(PID, window, 30)
        assert all(getattr(row, name) is None for name in COUNTED)
        assert all(reason in row.unknown[name] for name in COUNTED)


figures = st.floats(0, 1e15, allow_subnormal=False)  # counters count: none is next to nothing


@given(
    st.lists(
        st.builds(
            Interval,
            nanoseconds=st.integers(1, 10**9),
            read_bytes=figures,
            write_bytes=figures,
            active_cycles=figures,
            occupancy_percent=st.floats(0, 100),
            blocks=st.floats(0, 1e6),
            atomics=figures,
            reductions=figures,
        ),
        min_size=1,
    )
)
def test_any_window_is_within_its_parts(window: list[Interval]) -> None:
    row = totals(PID, window, 30)
    assert row.dram_read_bytes is not None
    assert row.memory_throughput is not None
    assert row.dram_read_bytes >= max(one.read_bytes for one in window) - 1
    seconds = sum(one.nanoseconds for one in window) / 1e9
    moved = row.dram_read_bytes + (row.dram_write_bytes or 0)
    assert math.isclose(row.memory_throughput, moved / seconds, rel_tol=1e-9, abs_tol=1)
    working = [one for one in window if one.active_cycles]
    assert (row.occupancy is None) == (not working)
    if row.occupancy is not None:
        least, most = (f(one.occupancy_percent for one in working) for f in (min, max))
        assert least - 0.01 <= row.occupancy <= most + 0.01


def test_a_chip_without_counters_of_its_memory_has_the_others() -> None:
    figures: dict[str, float | None] = {"active_cycles": 10.0, "occupancy_percent": 50.0, "blocks": 8.0, "atomics": 5.0}
    bare = interval()._replace(read_bytes=None, write_bytes=None)._replace(**figures)  # pyright: ignore[reportArgumentType]
    row = totals(PID, [bare] * 3, 30)
    assert (row.dram_read_bytes, row.dram_write_bytes, row.memory_throughput) == (None, None, None)
    assert {row.unknown[name] for name in ("dram_read_bytes", "dram_write_bytes", "memory_throughput")} == {NO_DRAM}
    assert (row.atomic_operations, row.occupancy, row.active_blocks) == (15, 50.0, 8)
