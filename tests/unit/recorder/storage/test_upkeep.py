"""What is done once an hour, by whomever."""

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from blackbox.errors import FailureError
from blackbox.recorder.storage.directory import chunk_files
from blackbox.recorder.storage.helper import HelperLostError
from blackbox.recorder.storage.store import RETRY_SECONDS
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import FULL, HOUR, MINUTE, Tier, recorded_bytes
from blackbox.recorder.storage.upkeep import Order, begin_apart, begin_here
from tests.clocks import ManualClock
from tests.recorded_moments import DAY, record, series, store_at
from tests.recorded_moments import HOUR as HOUR_SECONDS
from tests.waiting import until

START = 1_799_971_200.0
"""A full day."""
MINUTE_SECONDS = 60.0


class Slow:
    """Work that is done when the test says so, or not at all."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.error: Exception | None = None
        self.is_over = False
        self.is_killed = False

    def begin(self, order: Order) -> "Slow":
        self.orders.append(order)
        self.is_over = False
        return self

    def poll(self) -> bytes | None:
        if not self.is_over:
            return None
        if self.error is not None:
            raise self.error
        return begin_here(self.orders[-1]).poll()

    def kill(self) -> None:
        self.is_killed = True


def times(directory: Path, tier: Tier) -> list[float]:
    return [time for run in TierReader(directory, tier).runs(0, 1e11) for time in run.times]


def rows_in(directory: Path, tier: Tier, table: str) -> int:
    found = 0
    for chunk in chunk_files(directory, tier.name):
        with closing(sqlite3.connect(chunk.path)) as database:
            found += database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


def contents(directory: Path, tier: Tier) -> list[str]:
    """All that it holds, as text: of two numbers that nobody measured neither is equal to the other."""
    reader = TierReader(directory, tier)
    columns = [list(run.column(place)) for run in reader.runs(0, 1e11) for place in range(run.layout.width)]
    return [repr(columns), *(repr((frame.time, bytes(frame.body))) for frame in reader.frames(0, 1e11))]


def test_a_helper_leaves_what_the_server_itself_would(tmp_path: Path) -> None:
    here, apart = tmp_path / "here", tmp_path / "apart"
    record(here, *series(START, HOUR_SECONDS, interval=30.0))
    shutil.copytree(here, apart)
    order = Order(str(here), START, START + HOUR_SECONDS, START + HOUR_SECONDS, 1 << 30)
    begin_here(order)
    work = begin_apart(structs.replace(order, directory=str(apart)))
    until(lambda: work.poll() is not None)
    for tier in (MINUTE, HOUR):
        assert contents(apart, tier) == contents(here, tier)
    assert times(apart, HOUR) == [START]
    assert (rows_in(apart, MINUTE, "block"), rows_in(apart, MINUTE, "tail")) == (1, 0)


def test_hours_of_a_server_are_those_of_any_other_store(tmp_path: Path) -> None:
    moments = list(series(START, 2 * HOUR_SECONDS + 120, interval=30.0))
    record(tmp_path / "here", *moments)
    with store_at(tmp_path / "apart", begin=begin_apart) as store:
        for moment in moments:
            store.append(moment)
            until(lambda: not store._is_at_work())
    for tier in (MINUTE, HOUR):
        assert contents(tmp_path / "apart", tier) == contents(tmp_path / "here", tier)
    assert rows_in(tmp_path / "apart", MINUTE, "block") == 2


def test_moments_are_recorded_while_the_hour_is_rolled_up_and_minutes_follow(tmp_path: Path) -> None:
    slow = Slow()
    with store_at(tmp_path, begin=slow.begin) as store:
        for moment in series(START, HOUR_SECONDS + 5 * MINUTE_SECONDS, interval=10.0):
            store.append(moment)
        assert len(slow.orders) == 1
        assert len(times(tmp_path, MINUTE)) == 60
        slow.is_over = True
        for moment in series(START + HOUR_SECONDS + 5 * MINUTE_SECONDS, MINUTE_SECONDS, interval=10.0):
            store.append(moment)
    assert times(tmp_path, MINUTE) == [START + number * MINUTE_SECONDS for number in range(65)]
    assert times(tmp_path, HOUR) == [START]


@pytest.mark.fault(71)
@pytest.mark.parametrize("error", [HelperLostError("its process was killed by SIGKILL"), FailureError("no space")])
def test_row_71_work_that_is_lost_is_named_once_and_done_again(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    slow, clock = Slow(), ManualClock()
    slow.error = error
    with store_at(tmp_path, clock=clock, begin=slow.begin) as store:
        for moment in series(START, HOUR_SECONDS + 10, interval=10.0):
            store.append(moment)
            clock.advance(10.0)
        slow.is_over = True
        with caplog.at_level(logging.WARNING):
            for moment in series(START + HOUR_SECONDS + 10, RETRY_SECONDS, interval=10.0):
                store.append(moment)
                clock.advance(10.0)
        assert [record.getMessage() for record in caplog.records] == [
            f"the hour is rolled up and packed later: {error}"
        ]
        slow.error = None
        for moment in series(START + HOUR_SECONDS + RETRY_SECONDS + 10, 2 * MINUTE_SECONDS, interval=10.0):
            store.append(moment)
            clock.advance(10.0)
            slow.is_over = True
    assert times(tmp_path, HOUR) == [START]
    assert times(tmp_path, MINUTE) == [START + number * MINUTE_SECONDS for number in range(63)]
    assert slow.orders[-1].since == START


def test_an_hour_that_was_written_before_the_helper_was_lost_is_not_written_twice(tmp_path: Path) -> None:
    slow, clock = Slow(), ManualClock()
    slow.error = HelperLostError("its process was killed by SIGKILL")
    with store_at(tmp_path, clock=clock, begin=slow.begin) as store:
        for moment in series(START, HOUR_SECONDS + 10, interval=10.0):
            store.append(moment)
        begin_here(slow.orders[-1])
        slow.is_over = True
        store.append(next(series(START + HOUR_SECONDS + 10, 1.0)))
        slow.error = None
        clock.advance(RETRY_SECONDS)
        store.append(next(series(START + HOUR_SECONDS + 20, 1.0)))
    assert times(tmp_path, HOUR) == [START]


def test_a_store_that_closes_ends_the_work_and_the_next_one_does_it(tmp_path: Path) -> None:
    slow = Slow()
    with store_at(tmp_path, begin=slow.begin) as store:
        for moment in series(START, HOUR_SECONDS + 10, interval=10.0):
            store.append(moment)
    assert slow.is_killed
    assert times(tmp_path, HOUR) == []
    record(tmp_path, *series(START + HOUR_SECONDS + 10, 2 * MINUTE_SECONDS, interval=10.0))
    assert times(tmp_path, HOUR) == [START]


def test_hours_are_packed_day_by_day_though_each_is_written_by_another_process(tmp_path: Path) -> None:
    record(tmp_path, *series(START + DAY - 3 * HOUR_SECONDS, 6 * HOUR_SECONDS, interval=900.0))
    assert rows_in(tmp_path, HOUR, "block") == 1
    assert rows_in(tmp_path, HOUR, "tail") == 2
    assert len(times(tmp_path, HOUR)) == 5
    assert not chunk_files(tmp_path, MINUTE.name)[0].has_companions()


def test_nothing_is_deleted_that_somebody_else_may_be_writing(tmp_path: Path) -> None:
    slow = Slow()
    with store_at(tmp_path, limit_bytes=1, begin=slow.begin) as store:
        for moment in series(START, HOUR_SECONDS + 10 * MINUTE_SECONDS, interval=60.0):
            store.append(moment)
        assert [chunk.start for chunk in chunk_files(tmp_path, MINUTE.name)] == [START]


def test_the_limit_holds_while_a_helper_hangs_and_later_the_work_is_done(tmp_path: Path) -> None:
    slow = Slow()
    with store_at(tmp_path, begin=slow.begin) as store:
        for moment in series(START, HOUR_SECONDS + MINUTE_SECONDS, interval=MINUTE_SECONDS):
            store.append(moment)
        assert len(slow.orders) == 1, "it hangs"
        first, *others = chunk_files(tmp_path, FULL.name)
        store.limit_bytes = recorded_bytes(tmp_path) - 1
        store.append(next(series(START + HOUR_SECONDS + MINUTE_SECONDS, 1.0)))
        assert store.bytes <= store.limit_bytes
        assert chunk_files(tmp_path, FULL.name) == others, "the oldest that nobody has in hand had to go"
        assert not first.path.exists()
        slow.is_over = True
        for moment in series(START + HOUR_SECONDS + 2 * MINUTE_SECONDS, 2 * MINUTE_SECONDS, interval=MINUTE_SECONDS):
            store.append(moment)
    assert times(tmp_path, HOUR) == [START]
    assert times(tmp_path, MINUTE)[-1] == START + HOUR_SECONDS + 2 * MINUTE_SECONDS


def test_while_somebody_works_what_goes_is_the_oldest_of_the_largest_tier_as_ever(tmp_path: Path) -> None:
    days, slow = 4, Slow()
    record(tmp_path, *series(START, days * DAY, interval=3600.0))
    first, *_ = chunk_files(tmp_path, MINUTE.name)
    with store_at(tmp_path, limit_bytes=1 << 30, begin=slow.begin) as store:
        store.append(next(series(START + days * DAY, 1.0)))
        assert slow.orders
        store.limit_bytes = recorded_bytes(tmp_path) - 1
        for moment in series(START + days * DAY + 10, 2 * MINUTE_SECONDS, interval=20.0):
            store.append(moment)
    assert not first.path.exists()


def test_where_no_helper_can_be_started_the_server_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **_more: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refused)
    with store_at(tmp_path, begin=begin_apart) as store:
        for moment in series(START, HOUR_SECONDS + 10, interval=10.0):
            store.append(moment)
    assert times(tmp_path, HOUR) == [START]
    assert "the server itself" in caplog.text
