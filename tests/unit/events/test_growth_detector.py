"""Growth out of moments: what keeps growing is told once, with its rate; what stands still is not."""

from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.trend import POINTS_MAX
from blackbox.events import EventDetectors
from blackbox.events.growth import BUCKET_SECONDS, POINTS, WINDOW_SECONDS, _thinned  # pyright: ignore[reportPrivateUsage]
from blackbox.model.event import Event
from tests.detecting import at, detector, kinds
from tests.moments import GIB, MIB, TIMESTAMP, device, memory, process


def grow(watching: EventDetectors, used: Iterable[int], seconds: float = BUCKET_SECONDS) -> list[Event]:
    """One moment per bucket."""
    found: list[Event] = []
    for place, size in enumerate(used):
        found += watching.observe(at(place * seconds, None, process(7, used_bytes=size, name="leaky")))
    return found


def test_memory_that_keeps_growing_is_told_once_with_its_rate() -> None:
    (event,) = grow(detector(), [GIB + place * 10 * MIB for place in range(200)])
    assert (event.kind, event.pid, event.gpu_uuid) == ("memory_growth", 7, "GPU-0")
    growth = event.growth
    assert growth is not None
    assert growth.rate_bytes_per_second == pytest.approx(2 * MIB)
    assert growth.rate_low_bytes_per_second <= 2 * MIB <= growth.rate_high_bytes_per_second
    assert event.timestamp == pytest.approx(TIMESTAMP + WINDOW_SECONDS, abs=2 * BUCKET_SECONDS)
    assert event.message.startswith("leaky (pid 7) has grown on GPU 0 by 120.0 MiB/min for 10 min, to ")


def fill(
    watching: EventDetectors, until_bytes: int, step_bytes: int, total: int = 40 * GIB, **changes: Any
) -> list[Event]:
    """A program that takes `step_bytes` per bucket of a small GPU, up to `until_bytes`, and then stands still."""
    found: list[Event] = []
    for place in range(100):
        used = min(until_bytes, place * step_bytes)
        one = device(0, memory=memory(total=total, used=used, driver_reserved=0), **changes)
        found += watching.observe(at(place * BUCKET_SECONDS, (one,), process(7, used_bytes=used, name="leaky")))
    return found


def test_a_program_that_fills_the_gpu_within_minutes_is_told_before_it_has() -> None:
    (event,) = fill(detector(), 40 * GIB, GIB)
    assert event.growth is not None
    assert event.growth.used_bytes < 30 * GIB
    assert event.growth.window_seconds < WINDOW_SECONDS / 2


def test_a_program_is_not_told_to_fill_what_nobody_measured() -> None:
    assert fill(detector(), 40 * GIB, GIB, unknown={"free_bytes": "a memory snapshot does not tell it"}) == []


def test_a_program_that_loads_half_of_the_gpu_and_stands_still_is_not_told() -> None:
    assert fill(detector(), 24 * GIB, GIB) == []


@given(st.lists(st.integers(0, 2**40), max_size=POINTS))
def test_a_trend_is_made_of_the_lesser_of_neighbours(values: list[int]) -> None:
    points = deque((float(place), float(value)) for place, value in enumerate(values))
    thinned = _thinned(points)
    assert len(thinned) <= POINTS_MAX
    assert set(thinned) <= set(points)
    assert thinned == sorted(thinned)
    if points:
        newest = list(points)[len(points) % 2 :] or list(points)  # the oldest may have no neighbour
        assert min(value for _, value in thinned) <= min(value for _, value in newest)


def test_growth_that_stopped_and_begins_again_is_told_again() -> None:
    rise = [place * 10 * MIB for place in range(160)]
    rest = [rise[-1]] * 160
    again = [rise[-1] + size for size in rise]
    assert kinds(grow(detector(), rise + rest + again)) == ["memory_growth"] * 2


def test_growth_below_what_matters_is_not_told() -> None:
    assert grow(detector(), [GIB + place * MIB // 2 for place in range(140)]) == []


@given(st.integers(0, 2**32))
def test_a_busy_program_that_does_not_grow_raises_no_alarm(seed: int) -> None:
    rng = Random(seed)
    assert grow(detector(), [4 * GIB + rng.randrange(16 * GIB) for _ in range(150)]) == []


def test_a_new_process_under_the_pid_starts_its_own_history() -> None:
    watching = detector()
    for place in range(200):
        one = process(7, used_bytes=GIB + place * 10 * MIB, start_time=float(place // 100 * 100))
        assert "memory_growth" not in kinds(watching.observe(at(place * BUCKET_SECONDS, None, one)))
