"""Kernels of Nsight Compute reports, added up: figures of genuine reports, and what a report may lack."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.merge.selection import KERNEL_COUNTERS
from blackbox.model.parts import KernelCounters
from blackbox.sources.nsight_compute import counters as module
from blackbox.sources.nsight_compute.counters import DURATION, METRICS, counters
from blackbox.sources.nsight_compute.kernel import Kernel, kernel
from tests import ncu

ACHIEVED = "sm__warps_active.avg.pct_of_peak_sustained_active"
SECOND = 1e9


def summed(*metrics: dict[str, float]) -> KernelCounters:
    (one,) = counters([Kernel(0, each) for each in metrics], "test")
    return one


def test_the_full_report_of_an_a40() -> None:
    (one,) = counters(ncu.as_kernels(ncu.recorded("a40-full")), "test")
    read = 28_160 + 256 + 1_792 + 384 + 1_310_489_728
    written = 43_291_776 + 2_175_744 + 2_862_464 + 2_220_288 + 685_579_008
    nanoseconds = 70_464 + 9_696 + 11_680 + 9_408 + 4_283_936
    assert (one.dram_read_bytes, one.dram_write_bytes) == (read, written)
    assert one.memory_throughput == round((read + written) / nanoseconds * 1e9)
    assert one.threads_per_block == 768  # four kernels of 256 ran for 2 % of the time
    assert one.occupancy == 50.25
    assert one.atomic_operations == 0
    assert one.active_blocks == 89
    assert one.scope == "kernel"
    assert one.unknown.keys() == {"active_blocks"}


def test_the_basic_report_of_a_gtx_1660_ti_tells_no_bytes_and_says_so() -> None:
    (one,) = counters(ncu.as_kernels(ncu.recorded("gtx1660ti-basic")), "test")
    assert (one.threads_per_block, one.occupancy, one.active_blocks) == (64, 6.23, 1)
    assert one.dram_read_bytes is one.dram_write_bytes is one.memory_throughput is one.atomic_operations is None
    assert one.unknown["dram_read_bytes"] == "the report has no dram__bytes_read.sum"


def test_the_names_of_an_rtx_50_are_understood() -> None:
    one = summed({"dram__bytes_op_read.sum": 10.0, "dram__bytes_op_write.sum": 20.0, DURATION: 1000.0})
    assert (one.dram_read_bytes, one.dram_write_bytes, one.memory_throughput) == (10, 20, 30_000_000)


def test_a_sum_over_some_of_the_kernels_is_no_sum() -> None:
    one = summed({"dram__bytes_read.sum": 10.0, DURATION: 1.0}, {DURATION: 1.0})
    assert one.dram_read_bytes is None
    assert one.unknown["dram_read_bytes"] == "1 of 2 kernels have no dram__bytes_read.sum"


def test_throughput_is_all_bytes_over_all_time() -> None:
    rate = "dram__bytes.sum.per_second"
    one = summed({rate: 100.0, DURATION: 3 * SECOND}, {rate: 500.0, DURATION: SECOND})
    assert one.memory_throughput == 200
    both = summed({"dram__bytes.sum": 300.0, DURATION: 3 * SECOND}, {rate: 500.0, DURATION: SECOND})
    assert both.memory_throughput == 200


def test_shares_are_weighted_with_time() -> None:
    one = summed({ACHIEVED: 10.0, DURATION: 3.0}, {ACHIEVED: 50.0, DURATION: 1.0})
    assert one.occupancy == 20.0


def test_one_kernel_needs_no_duration() -> None:
    assert summed({ACHIEVED: 12.5}).occupancy == 12.5


def test_several_kernels_without_durations_have_no_mean() -> None:
    one = summed({ACHIEVED: 10.0}, {ACHIEVED: 50.0})
    assert one.occupancy is None
    assert DURATION in one.unknown["occupancy"]


def test_theoretical_occupancy_is_marked() -> None:
    one = summed({"sm__maximum_warps_per_active_cycle_pct": 75.0})
    assert one.occupancy == 75.0
    assert one.unknown["occupancy"].startswith("theoretical")


def test_counted_blocks_come_before_derived_ones() -> None:
    one = summed({"sm__ctas_active.avg.per_cycle_elapsed": 1.5, "launch__sm_count": 10.0})
    assert one.active_blocks == 15
    assert "active_blocks" not in one.unknown


@pytest.mark.parametrize(
    ("metrics", "expected", "is_marked"),
    [
        ({"smsp__inst_executed_op_generic_atom.sum": 1, "smsp__inst_executed_op_global_red.sum": 2}, 3, False),
        ({"smsp__inst_executed_op_generic_atom_dot_alu.sum": 1, "smsp__inst_executed_op_shared_atom.sum": 4}, 5, False),
        ({"smsp__inst_executed_op_shared_atom.sum": 4, "smsp__inst_executed_op_shared_atom_dot_cas.sum": 4}, 4, False),
        ({"lts__t_requests_op_atom.sum": 5, "lts__t_requests_op_red.sum": 6}, 11, True),
        ({"lts__t_requests_srcunit_tex_op_atom_dot_alu.sum": 7, "lts__t_requests_srcunit_tex_op_red.sum": 1}, 8, True),
        ({"lts__t_requests_op_red.sum": 6, "lts__t_requests_srcunit_tex_op_red.sum": 6}, 6, True),
        ({"smsp__inst_executed_op_global_red.sum": 2, "lts__t_requests_op_red.sum": 6}, 2, False),
    ],
)
def test_atomics_are_counted_once(metrics: dict[str, float], expected: int, is_marked: bool) -> None:
    one = summed(metrics)
    assert one.atomic_operations == expected
    assert ("atomic_operations" in one.unknown) is is_marked


def test_each_process_has_its_own() -> None:
    found = counters([Kernel(7, {ACHIEVED: 1.0}), Kernel(3, {ACHIEVED: 2.0}), Kernel(7, {ACHIEVED: 1.0})], "test")
    assert [one.pid for one in found] == [3, 7]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(2.0, "Kbyte", 2000), (2.5, "Mbyte/s", 2_500_000), (3.0, "us", 3000), (3.0, "usecond", 3000), (1.0, "s", 1e9)],
)
def test_units_become_base_units(value: float, unit: str, expected: float) -> None:
    assert kernel(0, [(DURATION, value, unit)]).metrics[DURATION] == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_what_cannot_be_is_left_out(value: float) -> None:
    assert kernel(0, [(DURATION, value, "ns")]).metrics == {}


def test_time_that_did_not_pass_has_no_rate() -> None:
    one = summed({"dram__bytes.sum": 5.0, DURATION: 0.0})
    assert one.memory_throughput is None
    assert one.unknown["memory_throughput"] == f"{DURATION} is 0"


@given(
    st.lists(
        st.dictionaries(st.sampled_from(sorted(METRICS)), st.floats(0, allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=4,
    )
)
def test_every_figure_is_possible_or_has_a_reason(found: list[dict[str, float]]) -> None:
    one = summed(*found)
    for key in KERNEL_COUNTERS:
        value = getattr(one, key)
        assert (value is None and one.unknown[key]) or 0 <= value <= module.VALUE_MAX
