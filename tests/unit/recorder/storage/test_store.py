"""The store: every moment at full rate, every minute and hour rolled up, through restarts, clocks and full disks."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.errors import FailureError
from blackbox.model.event_blocks import split
from blackbox.model.moment import Moment
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage import store as store_module
from blackbox.recorder.storage.directory import HeldError, chunk_files
from blackbox.recorder.storage.frames import to_bytes
from blackbox.recorder.storage.layout import COUNT, MAX, MEAN, MIN
from blackbox.recorder.storage.moment_events import with_event_blocks
from blackbox.recorder.storage.store import SYNC_SECONDS, Store
from blackbox.recorder.storage.tier_reader import TierReader
from blackbox.recorder.storage.tiers import HOUR as HOUR_TIER
from blackbox.recorder.storage.tiers import MINUTE as MINUTE_TIER
from blackbox.recorder.storage.tiers import Tier
from tests import failures
from tests.clocks import ManualClock
from tests.failures import listed
from tests.recorded_moments import DAY, HOUR, MINUTE, event, moment_at, record, series, store_at

START = 1_799_996_400.0
"""The start of an hour."""


def used_by_period(directory: Path, tier: Tier) -> dict[float, tuple[float, ...]]:
    """Start of each period -> min, mean, max, count of what the process used."""
    found: dict[float, tuple[float, ...]] = {}
    for run in TierReader(directory, tier).runs(0, 1e12):
        keys = run.layout.keys
        place = next(
            number for number, key in enumerate(keys)
            if key.subject.kind == "process" and key.metric.key == "used_bytes"
        )  # fmt: skip
        columns = [run.column(statistic * len(keys) + place) for statistic in (MIN, MEAN, MAX, COUNT)]
        found |= dict(zip(run.times, zip(*columns, strict=True), strict=True))
    return found


def expected(moments: list[Moment]) -> tuple[float, ...]:
    used = [float(one.samples[0].processes[0].used_bytes or 0) for one in moments]
    return min(used), float(round(sum(used) / len(used))), max(used), float(len(used))


def test_every_complete_minute_is_rolled_up(tmp_path: Path) -> None:
    moments = list(series(START + 30, 3 * MINUTE))
    record(tmp_path, *moments)
    assert used_by_period(tmp_path, MINUTE_TIER) == {
        START: expected(moments[:60]),
        START + 60: expected(moments[60:180]),
        START + 120: expected(moments[180:300]),
    }


def test_a_restart_in_the_middle_of_a_minute_loses_nothing_of_it(tmp_path: Path) -> None:
    moments = list(series(START, 3 * MINUTE))
    for part in (moments[:70], moments[70:200], moments[200:]):
        record(tmp_path, *part)
    rolled = used_by_period(tmp_path, MINUTE_TIER)
    assert rolled[START] == expected(moments[:120])
    assert rolled[START + 60] == expected(moments[120:240])
    assert list(Recording(tmp_path).moments(START, START + 180)) == moments


def test_what_a_dead_server_left_is_rolled_up_by_the_next(tmp_path: Path) -> None:
    moments = list(series(START, 5 * MINUTE))
    record(tmp_path, *moments)
    for chunk in chunk_files(tmp_path, "minute"):
        chunk.delete()
    record(tmp_path, moment_at(START + 30 * MINUTE, 1000))
    assert used_by_period(tmp_path, MINUTE_TIER) == {
        START + number * 60: expected(moments[number * 120 : number * 120 + 120]) for number in range(5)
    }


def test_hours_are_made_from_minutes_and_keep_one_moment(tmp_path: Path) -> None:
    moments = list(series(START, 2 * HOUR + 120, interval=30.0))
    record(tmp_path, *moments)
    rolled = used_by_period(tmp_path, HOUR_TIER)
    assert rolled == {START: expected(moments[:120]), START + HOUR: expected(moments[120:240])}
    hourly = list(TierReader(tmp_path, HOUR_TIER).frames(0, 1e12))
    assert [frame.time for frame in hourly] == [moments[119].timestamp, moments[239].timestamp]


def test_old_chunks_go_and_leave_their_roll_ups(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 3 * HOUR, interval=20.0))
    assert chunk_files(tmp_path, "full")[0].start >= START + 3 * HOUR - HOUR - 1200
    assert len(used_by_period(tmp_path, MINUTE_TIER)) == 3 * 60 - 1
    assert TierReader(tmp_path, MINUTE_TIER).first() == START


def test_finished_chunks_are_single_files(tmp_path: Path) -> None:
    record(tmp_path, *series(START, HOUR / 2, interval=10.0))
    finished = chunk_files(tmp_path, "full")[:-1]
    assert len(finished) == 2
    assert not any(chunk.path.with_name(chunk.path.name + "-wal").exists() for chunk in finished)


def test_a_chunk_left_by_a_dead_server_is_finished_by_the_next(tmp_path: Path) -> None:
    record(tmp_path, *series(START, MINUTE))
    (before,) = chunk_files(tmp_path, "full")
    size = before.bytes()
    record(tmp_path, moment_at(START + HOUR / 2, 500))
    assert before.bytes() < size


def test_a_chunk_that_outgrows_its_share_is_followed_by_another(tmp_path: Path) -> None:
    with store_at(tmp_path, limit_bytes=16 * 40_000) as store:
        for one in series(START, 6 * MINUTE):
            store.append(one)
        found = [chunk for chunk in chunk_files(tmp_path, "full") if chunk.start == START]
        assert len(found) > 1
        assert len(list(Recording(tmp_path).moments(START, START + HOUR))) == 720


@pytest.mark.slow
def test_the_recording_stays_within_its_limit(tmp_path: Path) -> None:
    limit = 16 * 40_000
    with store_at(tmp_path, limit_bytes=limit) as store:
        for one in series(START, 20 * MINUTE, blocks=True):
            store.append(one)
            assert store.bytes <= limit


@pytest.mark.fault(19)
def test_row_19_when_the_clock_is_set_back_recording_goes_on(tmp_path: Path) -> None:
    before, after = list(series(START, 3 * MINUTE)), list(series(START - HOUR, 3 * MINUTE, first_seq=1000))
    record(tmp_path, *before, *after)
    recording = Recording(tmp_path)
    assert recording.moment_at(START - HOUR + 70.1) == after[140]
    assert recording.moment_at(START + 70.1) == before[140]
    assert set(used_by_period(tmp_path, MINUTE_TIER)) >= {START - HOUR, START - HOUR + 60, START, START + 60}


@pytest.mark.fault(19)
def test_row_19_after_a_jump_ahead_and_back_minutes_are_still_rolled_up(tmp_path: Path) -> None:
    ahead = list(series(START + 2 * DAY, 2 * MINUTE))
    record(tmp_path, *series(START, 2 * MINUTE), *ahead)
    record(tmp_path, *series(START + 5 * MINUTE, 3 * MINUTE))
    assert {START + 5 * MINUTE, START + 6 * MINUTE} <= set(used_by_period(tmp_path, MINUTE_TIER))


@pytest.mark.fault(23)
def test_row_23_a_damaged_chunk_is_kept_and_another_one_begun(tmp_path: Path) -> None:
    record(tmp_path, *series(START, MINUTE))
    (damaged,) = chunk_files(tmp_path, "full")
    body = bytearray(damaged.path.read_bytes())
    body[4096:12288] = bytes(8192)
    damaged.path.write_bytes(body)
    after = list(series(START + MINUTE, MINUTE))
    with store_at(tmp_path) as store:
        for one in after:
            store.append(one)
        assert store.damaged > 0
    assert damaged.path.read_bytes() == bytes(body)
    assert list(Recording(tmp_path).moments(START + MINUTE, START + HOUR)) == after


@pytest.mark.fault(24)
def test_row_24_moments_are_synced_every_few_seconds_and_at_once_beside_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    synced: list[float] = []
    with store_at(tmp_path, clock=clock) as store:
        append = store._full.append

        def spy(time: float, *row: object, synced: bool) -> None:
            if synced:
                times.append(time)
            append(time, *row, synced=synced)  # pyright: ignore

        times = synced
        monkeypatch.setattr(store._full, "append", spy)
        for one in series(START, 20.0):
            store.append(one)
            clock.advance(0.5)
        store.append(moment_at(START + 20.5, 50, events=(event("oom"),)))
    assert synced == [START, START + 5, START + 10, START + 15, START + 20.5]
    assert max(later - earlier for earlier, later in pairwise(synced)) <= SYNC_SECONDS + 0.5


@pytest.mark.fault(24)
def test_row_24_what_was_synced_outlives_everything_after_it(tmp_path: Path) -> None:
    """A power cut leaves the files as of the last sync, and any part of what was written since."""
    live, cut = tmp_path / "live", tmp_path / "cut"
    moments = list(series(START, 4 * MINUTE))
    synced: dict[str, bytes] = {}
    with store_at(live, clock=lambda: store_time[0]) as store:
        store_time = [0.0]
        for number, one in enumerate(moments):
            store_time[0] = number * 0.5
            store.append(one)
            if store._synced_at == store_time[0]:
                synced, synced_until = files(live), number
            if number % 37 == 0:
                for torn in torn_states(synced, files(live), number):
                    restore(cut, torn)
                    kept = list(Recording(cut).moments(START, START + HOUR))
                    assert kept[: synced_until + 1] == moments[: synced_until + 1]
                    assert kept == moments[: len(kept)]
                    record(cut, moment_at(START + 5 * MINUTE, 9999))


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in directory.iterdir() if path.suffix != ".db-shm" and path.name != "lock"
    }


def restore(directory: Path, content: dict[str, bytes]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, body in content.items():
        (directory / name).write_bytes(body)


def torn_states(synced: dict[str, bytes], now: dict[str, bytes], seed: int) -> Iterator[dict[str, bytes]]:
    """The logs as synced, as now, and with a part of the pages since in any mixture: old, new, or nothing."""
    import random

    chance = random.Random(seed)
    yield synced
    for _ in range(3):
        state = dict(synced)
        for name, body in now.items():
            if not name.endswith("-wal"):
                continue  # a main file changes at checkpoints alone, which sync the log before and the file after
            old = synced.get(name, b"")
            if body[:32] != old[:32]:
                continue  # the log began anew: not before everything in it was on the disk
            pages = [body[at : at + 512] for at in range(0, len(body), 512)]
            for number in range(len(old) // 512, len(pages)):
                if chance.random() < 0.5:
                    pages[number] = bytes(len(pages[number]))
            state[name] = old + b"".join(pages)[len(old) :]
        yield state


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.integers(1, 200)),
        st.tuples(st.just("pause"), st.integers(1, 250)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=12,
)


@given(ACTIONS)
@settings(max_examples=25)
def test_whatever_happens_the_recording_is_what_was_recorded(actions: list[tuple[str, int]]) -> None:
    moments: list[Moment] = []
    now = START
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for action, count in actions:
            match action:
                case "record":
                    for one in series(now, count / 2, first_seq=len(moments) + 1):
                        store.append(one)
                        moments.append(one)
                    now += count / 2
                case "pause":
                    now += count
                case _:
                    store.close()
                    store = Store(Path(folder))
        store.close()
        assert list(Recording(Path(folder)).moments(START, now)) == moments
        minutes = {one.timestamp // 60 * 60: [] for one in moments}
        for one in moments:
            minutes[one.timestamp // 60 * 60].append(one)
        complete = [start for start in minutes if start < moments[-1].timestamp // 60 * 60]
        assert used_by_period(Path(folder), MINUTE_TIER) == {start: expected(minutes[start]) for start in complete}


@pytest.mark.fault(25)
def test_row_25_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FailureError) as caught:
        Store(tmp_path / "file")
    assert str(caught.value).count("\n") == 0


@pytest.mark.fault(26)
def test_row_26_one_writer_for_one_directory(tmp_path: Path) -> None:
    with store_at(tmp_path), pytest.raises(HeldError):
        Store(tmp_path)
    Store(tmp_path).close()


@pytest.mark.fault(21)
def test_row_21_events_wait_for_a_disk_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store_at(tmp_path) as store:
        append = store._events.append

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(store._events, "append", full)
        for number in range(3):
            with pytest.raises(sqlite3.OperationalError):
                store.append(moment_at(START + number, number, events=(event("oom", START + number),)))
        monkeypatch.setattr(store._events, "append", append)
        store.append(moment_at(START + 3, 3))
    assert [one.event.timestamp for one in Recording(tmp_path).events()] == [START, START + 1, START + 2]


def test_a_store_is_made_of_what_it_was_told(tmp_path: Path) -> None:
    parts = [list(series(START + number * 90, 90, blocks=number == 1)) for number in range(3)]
    record(tmp_path, *chain(*parts))
    assert list(Recording(tmp_path).moments(START, START + HOUR)) == list(chain(*parts))


def test_the_blocks_of_a_failure_are_kept_once(tmp_path: Path) -> None:
    """They are most of what a flood of failures would make the recording hold."""
    failed = failures.with_blocks(listed(20_000), timestamp=START)
    record(tmp_path, moment_at(START, 0, events=(failed,)), moment_at(START + 1, 1))
    recording = Recording(tmp_path)
    assert [one.event for one in recording.events()] == [failed]
    (kept, _) = recording.moments(START, START + 1)
    (bare,) = kept.samples[0].events
    assert len(to_bytes(kept)) < 20_000
    assert split(bare)[1] is None
    assert with_event_blocks(kept, lambda: recording.each_event(START, START)) == moment_at(START, 0, events=(failed,))


def test_a_disk_that_takes_nothing_costs_old_failures_their_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "UNWRITTEN_BYTES_MAX", 500_000)
    with store_at(tmp_path) as store:
        append = store._events.append

        def full(*_: object) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(store._events, "append", full)
        for number in range(10):
            with pytest.raises(sqlite3.OperationalError):
                store.note([failures.with_blocks(listed(2000), timestamp=START + number)], START + number)
        monkeypatch.setattr(store._events, "append", append)
        store.note([event("xid", START + 10)], START + 10)
    has_blocks = [split(one)[1] is not None for one in Recording(tmp_path).each_event(START, START + 10)]
    assert has_blocks == [False] * 8 + [True] * 2 + [False], "the newest have theirs"
