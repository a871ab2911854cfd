"""Roll-ups say what the samples said."""

import math

from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.series import RECORDED
from blackbox.recorder.storage.layout import COUNT, MAX, MEAN, MIN, P95, STATISTICS, Layout
from blackbox.recorder.storage.rollup import (
    percentile,
    pool,
    pooled_percentile,
    roll_up_samples,
    roll_up_summaries,
    summarise,
)
from blackbox.recorder.storage.rows import Run
from blackbox.recorder.storage.subjects import Subject

SAMPLES = st.lists(st.integers(0, 10**12).map(float), min_size=1, max_size=200)
PROCESS = Subject("process", gpu_uuid="GPU-0", pid=1)
LAYOUT = Layout((PROCESS,))
WIDTH = len(RECORDED["process"])
TOLD = 3
"""Metrics of a process that these tests give: used, reserved, allocated. The others are gaps."""


def run(times: list[float], *columns: list[float], layout: Layout = LAYOUT) -> Run:
    gaps = [[math.nan] * len(times)] * (WIDTH - TOLD)
    whole = [one for place in range(0, len(columns), TOLD) for one in (*columns[place : place + TOLD], *gaps)]
    return Run(layout, times, lambda index: whole[index])


def statistic(values: list[float], number: int, column: int = 0, width: int = TOLD) -> float:
    subject, metric = divmod(column, TOLD)
    return values[(number * (width // TOLD) + subject) * WIDTH + metric]


@given(SAMPLES, st.floats(0.01, 1))
def test_a_percentile_occurred_and_enough_do_not_exceed_it(numbers: list[float], share: float) -> None:
    ordered = sorted(numbers)
    found = percentile(ordered, share)
    assert found in numbers
    assert sum(number <= found for number in numbers) >= share * len(numbers) - 1e-6


@given(st.lists(SAMPLES, min_size=1, max_size=10))
def test_pooling_is_exact_but_for_percentiles_which_are_never_too_low(parts: list[list[float]]) -> None:
    everything = [number for part in parts for number in part]
    true, pooled = summarise(everything), pool([summarise(part) for part in parts])
    assert (pooled.min, pooled.max, pooled.weight) == (true.min, true.max, true.weight)
    assert math.isclose(pooled.mean, true.mean, abs_tol=1e-3)
    assert true.p95 <= pooled.p95 <= true.max
    p99 = pooled_percentile([summarise(part) for part in parts], 0.99)
    assert percentile(sorted(everything), 0.99) <= p99 <= true.max


def test_a_period_in_one_row() -> None:
    times = [59.5, 60.0, 60.5, 61.0, 120.0]
    nothing = [math.nan] * 5
    row = roll_up_samples([run(times, [9.0, 1.0, 2.0, 6.0, 9.0], nothing, nothing)], 60, 120)
    assert row is not None
    assert row.layout.subjects == (PROCESS,)
    assert [statistic(row.values, number) for number in (MIN, MEAN, MAX, P95, COUNT)] == [1, 3, 6, 6, 3]
    assert all(math.isnan(statistic(row.values, number, column=1)) for number in range(len(STATISTICS)))


def test_a_period_without_rows_is_no_row() -> None:
    assert roll_up_samples([run([1.0], [1.0], [1.0], [1.0])], 60, 120) is None


def test_who_came_in_the_middle_counts_for_what_was_seen() -> None:
    newcomer = Subject("process", gpu_uuid="GPU-0", pid=2)
    both = Layout((PROCESS, newcomer))
    gap = [math.nan]
    row = roll_up_samples(
        [run([60.0], [4.0], gap, gap), run([61.0], [8.0], gap, gap, [5.0], gap, gap, layout=both)], 60, 120
    )
    assert row is not None
    assert row.layout.subjects == (PROCESS, newcomer)
    assert statistic(row.values, MEAN, 0, 6) == 6
    assert statistic(row.values, MEAN, 3, 6) == 5
    assert statistic(row.values, COUNT, 3, 6) == 1


def test_an_hour_weighs_its_minutes_by_their_samples() -> None:
    gap = [math.nan, math.nan]
    columns = [
        [1.0, 10.0], gap, gap,
        [2.0, 11.0], gap, gap,
        [3.0, 12.0], gap, gap,
        [3.0, 12.0], gap, gap,
        [90.0, 30.0], gap, gap,
    ]  # fmt: skip
    row = roll_up_summaries([run([0.0, 60.0], *columns)], 0, 3600)
    assert row is not None
    assert [statistic(row.values, number) for number in (MIN, MAX, COUNT)] == [1, 12, 120]
    assert statistic(row.values, MEAN) == round((2 * 90 + 11 * 30) / 120)


def test_the_mean_of_bytes_is_kept_to_the_byte_and_lies_between_min_and_max() -> None:
    row = roll_up_samples([run([0.0, 1.0, 2.0], [1.0, 1.0, 2.0], [0.0] * 3, [7.0] * 3)], 0, 60)
    assert row is not None
    assert statistic(row.values, MEAN) == 1
    assert statistic(row.values, MEAN, 2) == 7
