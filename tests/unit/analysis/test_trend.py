"""Trends: found where there is one, and never where there is none."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.trend import POINTS_MAX, POINTS_MIN, Point, rising_trend

GIB = 1024.0**3
STEP_SECONDS = 10.0

seeds = st.integers(0, 2**32)
counts = st.integers(POINTS_MIN, POINTS_MAX)
levels = st.floats(0, 80 * GIB)


def series(values: list[float]) -> list[Point]:
    return [(place * STEP_SECONDS, value) for place, value in enumerate(values)]


@given(levels, st.floats(0, 20 * GIB), seeds)
def test_noise_around_a_level_is_no_trend(level: float, amplitude: float, seed: int) -> None:
    rng = Random(seed)
    assert rising_trend(series([level + rng.uniform(0, amplitude) for _ in range(POINTS_MAX)])) is None


@given(levels, counts)
def test_a_level_is_no_trend(level: float, count: int) -> None:
    assert rising_trend(series([level] * count)) is None


@given(st.lists(st.tuples(st.integers(1, POINTS_MAX), st.floats(1, 20 * GIB)), min_size=1, max_size=3), seeds)
def test_up_to_three_steps_are_no_trend(steps: list[tuple[int, float]], seed: int) -> None:
    rng = Random(seed)
    smallest = min(height for _, height in steps)
    values = [sum(height for place, height in steps if place <= at) for at in range(POINTS_MAX)]
    assert rising_trend(series([value + rng.uniform(0, smallest / 1000) for value in values])) is None


@given(st.integers(2, POINTS_MAX // 2), st.floats(1, 20 * GIB), st.integers(0, POINTS_MAX))
def test_a_sawtooth_that_is_seen_twice_is_no_trend(period: int, height: float, phase: int) -> None:
    values = [height * ((at + phase) % period) / period for at in range(POINTS_MAX)]
    assert rising_trend(series(values)) is None


@given(st.integers(1, POINTS_MAX * 2 // 3), st.floats(1, 20 * GIB))
def test_a_rise_that_ended_a_third_ago_is_no_trend(end: int, height: float) -> None:
    assert rising_trend(series([height * min(at, end) / end for at in range(POINTS_MAX)])) is None


@given(levels, st.floats(1, 20 * GIB), counts)
def test_a_fall_is_no_trend(level: float, height: float, count: int) -> None:
    assert rising_trend(series([level + height * (count - at) for at in range(count)])) is None


@given(levels, st.floats(0.001 * GIB, 40 * GIB), seeds, counts)
def test_a_noisy_ramp_is_found_with_its_rate(level: float, height: float, seed: int, count: int) -> None:
    rng = Random(seed)
    rate = height / (count * STEP_SECONDS)
    values = [level + height * at / count + rng.uniform(-0.04, 0.04) * height for at in range(count)]
    trend = rising_trend(series(values))
    assert trend is not None
    assert trend.rate == pytest.approx(rate, rel=0.4)
    assert 0 < trend.rate_low <= trend.rate <= trend.rate_high
    assert trend.points == count


@given(st.integers(8, 30))
def test_a_leak_in_many_small_steps_is_found(steps: int) -> None:
    values = [GIB * (at * steps // POINTS_MAX) for at in range(POINTS_MAX)]
    assert rising_trend(series(values)) is not None


def test_the_interval_nearly_always_holds_the_true_rate() -> None:
    rng = Random(1)
    hits = 0
    for _ in range(200):
        trend = rising_trend(series([at + rng.gauss(0, 2) for at in range(POINTS_MAX)]))
        hits += trend is not None and trend.rate_low <= 1 / STEP_SECONDS <= trend.rate_high
    assert hits >= 180


@pytest.mark.parametrize("count", [0, 1, POINTS_MIN - 1])
def test_few_points_prove_nothing(count: int) -> None:
    assert rising_trend(series([at * GIB for at in range(count)])) is None


def test_a_walk_at_random_is_seldom_taken_for_a_trend() -> None:
    rng = Random(2)
    alarms = 0
    for _ in range(300):
        value, values = 0.0, list[float]()
        for _ in range(POINTS_MAX):
            value += rng.gauss(0, 1)
            values.append(value)
        alarms += rising_trend(series(values)) is not None
    assert alarms <= 45
