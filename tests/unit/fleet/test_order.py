"""In which order minutes go out: whatever happens, each once, and those of now without waiting for the others."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from blackbox.fleet import order
from blackbox.fleet.cursor import Cursor
from blackbox.fleet.order import AHEAD_MAX, CLOCK_SECONDS_MAX, MinuteRange, Recorded

MINUTE = 60.0
LENGTH = 5 * MINUTE
START = 1_800_000_000.0


class Simulation:
    """A recording that grows, is off, and loses its oldest minutes; and a shipper that follows it."""

    def __init__(self, offset: int) -> None:
        self.now = START + offset * MINUTE
        self.minutes: list[float] = []
        """Still there."""
        self.ever: set[float] = set()
        self.cursor = Cursor(recording="r")
        self.shipped: Counter[float] = Counter()
        self.gaps: list[tuple[float, float]] = []

    def record(self, minutes: int) -> None:
        for _ in range(minutes):
            self.minutes.append(self.now)
            self.ever.add(self.now)
            self.now += MINUTE

    def is_off(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    def evict(self, minutes: int) -> None:
        """Never all: the newest chunk is in use."""
        del self.minutes[: min(minutes, len(self.minutes) - 1)]

    def step(self, *, arrives: bool = True) -> MinuteRange | None:
        """What a shipper does in a step; what does not arrive is planned anew after a restart."""
        if not self.minutes:
            return None
        recorded = Recorded(self.minutes[0], self.minutes[-1] + MINUTE)
        if (gap := order.lost(self.cursor, recorded)) is not None:
            if arrives:
                self.gaps.append((gap.since, gap.until))
                self.cursor = gap.after
            return gap
        for _ in range(10_000):
            newest = order.newest(self.cursor, recorded, LENGTH)
            stretch = newest or order.oldest(self.cursor, recorded, LENGTH)
            if stretch is None:
                return None
            found = [one for one in self.minutes if stretch.since <= one < stretch.until]
            if found:
                if arrives:
                    self.shipped.update(found)
                    self.cursor = stretch.after
                return stretch
            self.cursor = stretch.after
            resumed = next((one for one in self.minutes if one >= stretch.until), None)
            if newest is None:
                self.cursor = order.without_silence(stretch, resumed, recorded, LENGTH)
        raise AssertionError("it never ends")

    def ship_all(self) -> None:
        while self.step() is not None:
            pass


happenings = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 40)),
        st.tuples(st.just("off"), st.integers(1, 200)),
        st.tuples(st.just("evict"), st.integers(1, 60)),
        st.tuples(st.just("step"), st.integers(1, 12)),
        st.tuples(st.just("fail"), st.integers(1, 3)),
    ),
    max_size=30,
)


@given(st.integers(0, 9), happenings)
def test_every_minute_is_shipped_once_or_told_as_lost(offset: int, happened: list[tuple[str, int]]) -> None:
    one = Simulation(offset)
    one.record(1)
    begun = False
    lost_before_begun: set[float] = set()
    for what, count in happened:
        match what:
            case "record":
                one.record(count)
            case "off":
                one.is_off(count)
            case "evict":
                if not begun:  # nobody had looked yet: what was there before is nobody's gap
                    lost_before_begun |= set(one.minutes[:count])
                one.evict(count)
            case _:
                for _ in range(count):
                    begun |= one.step(arrives=what == "step") is not None and one.cursor.shipped_until is not None
        ahead = one.cursor.ahead
        assert len(ahead) <= AHEAD_MAX
        assert all(since < until for since, until in ahead)
        assert all(before[1] < after[0] for before, after in pairwise(ahead))
        assert not ahead or (one.cursor.shipped_until is not None and one.cursor.shipped_until < ahead[0][0])
    one.record(15)
    one.ship_all()
    assert one.cursor.ahead == (), "the backlog is gone"
    assert set(one.shipped.values()) <= {1}, "nothing twice"
    end = one.cursor.shipped_until
    assert end is not None
    assert end > one.now - LENGTH
    for minute in one.ever:
        is_lost = any(since <= minute < until for since, until in one.gaps)
        if minute < end and minute not in lost_before_begun:
            assert is_lost != (minute in one.shipped), "shipped, or told as lost; not both"


@given(st.integers(0, 9), st.integers(30, 2000), st.integers(0, 9))
def test_the_minutes_of_now_do_not_wait_for_a_backlog(offset: int, backlog: int, more: int) -> None:
    one = Simulation(offset)
    one.record(backlog)
    for _ in range(more):
        waiting = one.now - (one.cursor.shipped_until or START)
        stretch = one.step()
        assert stretch is not None
        if waiting >= 3 * LENGTH:
            assert stretch.until > one.now - LENGTH, "that of now first"
            after = one.step()
            assert after is not None
            assert after.since == START or after.since < stretch.since, "then one of the backlog"
        one.record(5)


def test_with_little_to_ship_the_oldest_comes_first() -> None:
    one = Simulation(0)
    one.record(10)
    assert [(found.since, found.until) for found in (one.step(), one.step()) if found is not None] == [
        (START, START + LENGTH),
        (START + LENGTH, START + 2 * LENGTH),
    ]
    assert one.cursor.ahead == ()


def test_a_gap_ends_where_minutes_were_shipped_ahead() -> None:
    one = Simulation(0)
    one.record(60)
    one.step()
    assert one.cursor.ahead == ((START + 55 * MINUTE, START + 60 * MINUTE),)
    one.evict(59)
    one.record(6)
    one.ship_all()
    assert one.gaps == [(START, START + 55 * MINUTE)]
    assert sorted(one.shipped) == [START + MINUTE * place for place in range(55, 65)]


def test_a_clock_that_was_a_day_ahead_for_a_while_skips_no_minute() -> None:
    """What it recorded then lies in the future, and closes nothing of today."""
    one = Simulation(0)
    one.record(10)
    one.ship_all()
    one.is_off(1440)
    one.record(10)
    one.ship_all()
    assert one.cursor.shipped_until == START + 1460 * MINUTE
    closed = START + 22 * MINUTE
    after = order.set_back(one.cursor, closed)
    assert after.shipped_until == START + 5 * MINUTE, "with the batch that the wrong clock cut short"
    assert after.ahead == ()
    found = order.oldest(after, Recorded(START, closed), LENGTH)
    assert found is not None
    assert found[:2] == (START + 5 * MINUTE, START + 10 * MINUTE)


@pytest.mark.parametrize("hours", [0.5, 1.0])
def test_a_clock_that_is_set_back_by_little_changes_nothing(hours: float) -> None:
    cursor = Cursor(recording="r", shipped_until=START, ahead=((START + 600, START + 900),))
    assert order.set_back(cursor, START + 900 - hours * CLOCK_SECONDS_MAX) is cursor


def test_what_was_shipped_ahead_in_a_future_that_did_not_come_is_forgotten() -> None:
    cursor = Cursor(recording="r", shipped_until=START, ahead=((START + 86_400, START + 86_700),))
    assert order.set_back(cursor, START + 600) == structs.replace(cursor, ahead=())


def test_a_recording_that_begins_in_a_future_that_did_not_come_lost_nothing() -> None:
    """A machine that started with a clock a day ahead: what it records now is on the disk a minute later."""
    future = START + 86_400
    recorded = Recorded(future, START + 2 * MINUTE)
    after = order.set_back(Cursor(recording="r", shipped_until=future + LENGTH), recorded.closed)
    assert after.shipped_until == recorded.closed
    assert order.lost(after, recorded) is None
    assert order.newest(after, recorded, LENGTH) is None
    assert order.oldest(after, recorded, LENGTH) is None
