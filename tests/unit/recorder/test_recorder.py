"""The recorder: nobody waits for it, and it says how it goes."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from blackbox import hub as hub_module
from blackbox.errors import FailureError
from blackbox.hub import BLOCKS_MAX, Published
from blackbox.merge import Merged
from blackbox.model.moment import Moment
from blackbox.model.view import Shape
from blackbox.recorder.recorder import MOMENTS_QUEUED_MAX, RETRY_SECONDS, Recorder
from blackbox.recorder.storage import subjects
from blackbox.recorder.storage.store import Store
from tests.clocks import ManualClock
from tests.recorded_moments import event, moment_at, series
from tests.waiting import PATIENCE_SECONDS, until_value

START = 1_800_000_000.0


@contextmanager
def recorder_at(directory: Path, **more: Any) -> Iterator[Recorder]:
    recorder = Recorder(directory, **more)
    recorder.start()
    try:
        yield recorder
    finally:
        recorder.close(PATIENCE_SECONDS)


def settle(recorder: Recorder, moments: int) -> None:
    """Returns when that many moments are recorded, failed or dropped."""
    until_value(recorder.status, lambda now: now.moments_total + now.failures_total + now.dropped_total >= moments)


def test_what_was_taken_is_recorded_when_it_is_closed(tmp_path: Path) -> None:
    moments = list(series(START, 5))
    with recorder_at(tmp_path) as recorder:
        for one in moments:
            recorder.take(Published(one, BLOCKS_MAX))
        recorder.note(event("xid", START + 1))
    assert list(recorder.recording.moments(START, START + 60)) == moments
    assert [one.event.kind for one in recorder.recording.events()] == ["xid"]
    status = recorder.status()
    assert (status.state, status.moments_total, status.events_total) == ("off", 10, 1)
    assert (status.dropped_total, status.failures_total, status.damaged_total) == (0, 0, 0)


def test_before_the_start_it_touches_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "data")
    assert recorder.status().state == "off"
    recorder.close(1)
    assert not (tmp_path / "data").exists()


@pytest.mark.fault(25)
def test_row_25_it_does_not_start_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    recorder = Recorder(tmp_path / "file")
    with pytest.raises(FailureError, match="cannot record in"):
        recorder.start()
    assert recorder.status().state == "off"


def test_nobody_waits_for_a_slow_disk_and_the_loss_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, append = threading.Event(), Store.append

    def appended(store: Store, moment: Any, merged: Any) -> None:
        slow.wait(PATIENCE_SECONDS)
        append(store, moment, merged)

    monkeypatch.setattr(Store, "append", appended)
    taken = MOMENTS_QUEUED_MAX + 30
    with recorder_at(tmp_path) as recorder:
        for one in series(START, taken / 2):
            recorder.take(Published(one, BLOCKS_MAX))
        recorder.note(event("oom", START))
        assert recorder.status().dropped_total >= 29
        slow.set()
        settle(recorder, taken)
    status = recorder.status()
    assert status.moments_total + status.dropped_total == taken
    assert [one.event.kind for one in recorder.recording.events()] == ["oom"], "events get through"


@pytest.mark.fault(21)
def test_row_21_while_the_disk_is_full_it_pauses_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    full, append = threading.Event(), Store.append

    def appended(store: Store, moment: Any, merged: Any) -> None:
        if full.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        append(store, moment, merged)

    monkeypatch.setattr(Store, "append", appended)
    with recorder_at(tmp_path, clock=clock) as recorder:
        recorder.take(Published(moment_at(START, 1), BLOCKS_MAX))
        settle(recorder, 1)
        full.set()
        for number in range(2, 5):
            recorder.take(Published(moment_at(START + number, number), BLOCKS_MAX))
            settle(recorder, number)
        status = recorder.status()
        assert (status.state, status.reason) == ("paused", "database or disk is full")
        assert (status.moments_total, status.failures_total) == (1, 3)
        full.clear()
        recorder.take(Published(moment_at(START + 5, 5), BLOCKS_MAX))
        settle(recorder, 5)
        assert recorder.status().state == "paused", "it is not asked more often than every second"
        clock.advance(RETRY_SECONDS)
        recorder.take(Published(moment_at(START + 6, 6), BLOCKS_MAX))
        settle(recorder, 6)
        assert (recorder.status().state, recorder.status().reason) == ("recording", None)
    assert [one.seq for one in recorder.recording.moments(START, START + 60)] == [1, 6]


def test_a_fault_of_its_own_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, append = ManualClock(), Store.append

    def appended(store: Store, moment: Any, merged: Any) -> None:
        if moment.seq == 1:
            raise ZeroDivisionError
        append(store, moment, merged)

    monkeypatch.setattr(Store, "append", appended)
    with recorder_at(tmp_path, clock=clock) as recorder:
        recorder.take(Published(moment_at(START, 1), BLOCKS_MAX))
        settle(recorder, 1)
        assert "ZeroDivisionError" in str(recorder.status().reason)
        clock.advance(RETRY_SECONDS)
        recorder.take(Published(moment_at(START + 1, 2), BLOCKS_MAX))
    assert recorder.status().moments_total == 1
    assert "fault in the recorder" in caplog.text


def test_questions_may_be_asked_while_it_records(tmp_path: Path) -> None:
    with recorder_at(tmp_path) as recorder:
        for one in series(START, 60):
            recorder.take(Published(one, BLOCKS_MAX))
            settle(recorder, one.seq)
            if one.seq % 20 == 0:
                assert recorder.recording.moment_at(one.timestamp) == one
                assert recorder.recording.history(START, START + 60).series
    with closing(Store(tmp_path)):
        assert len(list(recorder.recording.moments(START, START + 60))) == 120


def test_a_moment_is_merged_once_for_the_recording_and_everybody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merges: list[int] = []
    real_merge = hub_module.merged

    def counting_merge(moment: Moment, *arguments: Any) -> Merged:
        merges.append(moment.seq)
        return real_merge(moment, *arguments)

    monkeypatch.setattr(hub_module, "merged", counting_merge)
    monkeypatch.setattr(subjects, "merge", lambda *arguments: counting_merge(*arguments).snapshot)
    hub = hub_module.Hub(ManualClock())
    hub.publish(moment_at(START, 1))
    hub.ask(Shape(blocks="none"))  # which keeps it in demand
    hub.ask(Shape(blocks="summary", viewer_uid=1000))
    merges.clear()
    with recorder_at(tmp_path) as recorder:
        hub.subscribe(recorder.take)
        for seq, blocks in enumerate((False, True), start=2):
            hub.publish(moment_at(START + seq, seq, blocks=blocks))
            settle(recorder, seq - 1)
    assert merges == [2, 3]


def test_a_moment_that_only_the_recording_wants_is_merged_without_its_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "merged", lambda *_: pytest.fail("merged with its blocks"))
    with recorder_at(tmp_path) as recorder:
        recorder.take(Published(moment_at(START, 1, blocks=True), BLOCKS_MAX))
        settle(recorder, 1)
        assert recorder.status().moments_total == 1
