"""Dumps that are made by themselves."""

import logging
import math
import threading
from pathlib import Path

import pytest
from msgspec import structs

from blackbox.model.event import Crossing, Event
from blackbox.recorder.dumps.file import Dump
from blackbox.recorder.dumps.keeper import (
    BEFORE_SECONDS,
    PENDING_MAX,
    DumpKeeper,
    is_trigger,
    keep,
)
from blackbox.recorder.dumps.pace import KIND_BURST
from blackbox.recorder.dumps.retention import KIND_DUMPS_MAX, OWNER_DUMPS_MAX, Evictions
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.recorder import Recorder
from blackbox.recorder.storage.dump_files import DumpFile, dumps_in
from tests import incidents
from tests.clocks import ManualClock
from tests.moments import TIMESTAMP
from tests.recorded_moments import event, store_at
from tests.recordings import recorded
from tests.waiting import PATIENCE_SECONDS, until

CLOSE_SECONDS = PATIENCE_SECONDS
YEAR_9987 = 253_000_000_000.0
ALICE, BOB = 1001, 1002
MINUTE = 60.0


def oom() -> Event:
    return next(event for event in incidents.events(incidents.leak()) if event.kind == "oom")


class Scene:
    """A keeper at work whose clocks are set by hand."""

    def __init__(self, directory: Path, recorder: Recorder) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.evictions = Evictions()
        self.keeper = DumpKeeper(
            directory,
            recorder.recording,
            lambda: TIMESTAMP + self.clock.now,
            after_seconds=0,
            clock=self.clock,
            evictions=self.evictions,
        )
        self._started_at = self.clock.now

    def note(self, event: Event, second: float) -> None:
        """An event told at a second of the scene. Returns when its dump, if one is due, is there."""
        self.clock.now = self._started_at + second
        self.keeper.note(event)
        until(lambda: not self.keeper.pending)

    def dumps(self) -> list[DumpFile]:
        return dumps_in(self.directory)


@pytest.fixture
def scene(tmp_path: Path):
    with recorded(tmp_path / "data", incidents.leak()[-4:]) as recorder:
        scene = Scene(tmp_path / "dumps", recorder)
        yield scene
        scene.keeper.close(CLOSE_SECONDS)


def an_oom(uid: int | None = None, pid: int = 4711, timestamp: float = TIMESTAMP, gpu: str = "GPU-1") -> Event:
    return Event(kind="oom", timestamp=timestamp, message="out of memory", gpu_uuid=gpu, pid=pid, uid=uid)


def a_crash(pid: int, uid: int | None = None) -> Event:
    return Event(kind="crash", timestamp=TIMESTAMP, message="died", gpu_uuid="GPU-0", pid=pid, uid=uid)


def an_xid(code: int = 45) -> Event:
    return Event(kind="xid", timestamp=TIMESTAMP, message=f"Xid {code}", gpu_uuid="GPU-1", code=code)


def test_an_out_of_memory_keeps_the_minutes_before_it(tmp_path: Path) -> None:
    moments = incidents.leak()[-40:]
    with recorded(tmp_path / "data", moments) as recorder:
        keeper = DumpKeeper(tmp_path / "dumps", recorder.recording, wall=lambda: moments[-1].timestamp)
        for moment in moments:
            keeper.take(moment)
        keeper.close(CLOSE_SECONDS)
    (found,) = dumps_in(tmp_path / "dumps")
    dump = Dump(found.path)
    assert (found.kind, found.pid, found.number) == ("oom", 48211, 1)
    assert found.time == int(oom().timestamp)
    assert [found.seq for found in dump.moments()] == [moment.seq for moment in moments]
    assert [event.kind for event in dump.events()] == ["oom"]
    assert dump.head.reason == oom().message


@pytest.mark.parametrize("is_recorded", [True, False])
def test_events_of_all_minutes_are_in_it_once_and_the_trigger_too(tmp_path: Path, *, is_recorded: bool) -> None:
    since = TIMESTAMP - BEFORE_SECONDS
    edges = [since + MINUTE * minute for minute in range(int(BEFORE_SECONDS / MINUTE) + 1)]
    told = [event(timestamp=time) for edge in edges for time in (edge - 1.0, edge, math.nextafter(edge, math.inf))]
    trigger = event("oom", TIMESTAMP)
    with store_at(tmp_path / "data") as store:
        store.note([*told, *([trigger] if is_recorded else [])], TIMESTAMP)
        path = keep(Recording(tmp_path / "data"), tmp_path / "dumps", trigger, TIMESTAMP)
    assert Dump(path).events() == [*(one for one in told if since <= one.timestamp <= TIMESTAMP), trigger]


def test_the_same_trouble_again_and_again_is_one_dump_a_minute(scene: Scene) -> None:
    for second in range(0, 120, 10):
        scene.note(an_oom(), second)
    scene.note(an_oom(pid=1), 120)
    assert [dump.pid for dump in scene.dumps()] == [4711, 4711, 1]


def test_a_job_that_dies_as_one_makes_one_dump_and_none_after_its_out_of_memory(scene: Scene) -> None:
    scene.note(an_oom(pid=1), 0)
    for pid, second in ((1, 5), (2, 20), (3, 21), (4, 25), (5, 81)):
        scene.note(a_crash(pid), second)
    assert [(dump.kind, dump.pid) for dump in scene.dumps()] == [("oom", 1), ("crash", 2), ("crash", 5)]


def test_a_crash_of_one_user_does_not_hide_that_of_another(scene: Scene) -> None:
    scene.note(a_crash(1, ALICE), 0)
    scene.note(a_crash(2, BOB), 1)
    assert [dump.uid for dump in scene.dumps()] == [ALICE, BOB]


def test_a_disk_that_takes_nothing_is_logged_and_survived(tmp_path: Path) -> None:
    blocked = tmp_path / "dumps"
    blocked.write_text("a file where the directory should be")
    with recorded(tmp_path / "data", incidents.leak()[-2:]) as recorder:
        keeper = DumpKeeper(blocked, recorder.recording)
        keeper.note(oom())
        keeper.close(CLOSE_SECONDS)
    assert not [thread for thread in threading.enumerate() if thread.name == "dumps"]


def test_only_trouble_is_a_trigger() -> None:
    crossing = Crossing(threshold_percent=95.0, used_percent=96.0, above=True)
    above = Event(kind="threshold", timestamp=0, message="", threshold=crossing)
    assert is_trigger(oom())
    assert is_trigger(above)
    assert not is_trigger(structs.replace(above, threshold=structs.replace(crossing, above=False)))
    assert not is_trigger(Event(kind="process_start", timestamp=0, message=""))


@pytest.mark.fault(47)
def test_row_47_an_out_of_memory_dated_9987_deletes_nobodys_dump(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    scene.note(an_xid(79), 0)
    scene.note(an_oom(ALICE), 1)
    for number in range(30):
        scene.note(an_oom(BOB, pid=6000 + number, timestamp=YEAR_9987, gpu=f"GPU-{number}"), 2 + 4000 * number)
    scene.note(an_oom(ALICE, pid=4712), 130_000)
    assert [(dump.kind, dump.pid) for dump in scene.dumps() if dump.uid != BOB] == [
        ("xid", None),
        ("oom", 4711),
        ("oom", 4712),
    ]
    forged = [dump for dump in scene.dumps() if dump.uid == BOB]
    assert len(forged) == KIND_DUMPS_MAX
    assert all(dump.time <= TIMESTAMP + scene.clock.now for dump in scene.dumps()), "a time that an agent claimed"
    assert max(event.timestamp for event in Dump(forged[-1].path).events()) <= TIMESTAMP + scene.clock.now
    assert scene.evictions.by_kind() == {"oom": {"kind_dumps": 30 - KIND_DUMPS_MAX}}
    deleted = [record.getMessage() for record in caplog.records if "is deleted" in record.getMessage()]
    assert len(deleted) == 30 - KIND_DUMPS_MAX
    assert all(f"u{BOB}" in line and "of that kind and owner" in line for line in deleted)


@pytest.mark.fault(47)
def test_row_47_a_users_flood_leaves_another_users_dumps_alone(scene: Scene) -> None:
    scene.note(an_oom(ALICE), 0)
    for number in range(200):
        scene.note(an_oom(BOB, pid=5000 + number), 1 + number)
        scene.note(a_crash(5000 + number, BOB), 1 + number)
    scene.note(an_oom(ALICE, pid=4712), 300)
    assert [dump.pid for dump in scene.dumps() if dump.uid == ALICE] == [4711, 4712]
    assert len([dump for dump in scene.dumps() if dump.uid == BOB]) <= OWNER_DUMPS_MAX


def test_row_47_sibling_a_flood_of_events_waits_in_a_bounded_list(tmp_path: Path) -> None:
    with recorded(tmp_path / "data", incidents.leak()[-2:]) as recorder:
        keeper = DumpKeeper(tmp_path / "dumps", recorder.recording, after_seconds=3600)
        for number in range(2000):
            keeper.note(an_oom(ALICE + number % 50, pid=number))
        assert keeper.pending <= PENDING_MAX
        keeper.close(CLOSE_SECONDS)


@pytest.mark.fault(47)
def test_row_47_users_who_fill_the_list_together_make_room_for_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = an_oom, lambda uid, pid: a_crash(pid, uid)
    with recorded(tmp_path / "data", incidents.leak()[-2:]) as recorder:
        clock = ManualClock()
        keeper = DumpKeeper(tmp_path / "dumps", recorder.recording, after_seconds=3600, clock=clock)
        for number in range(2 * PENDING_MAX):
            keeper.note(kinds[number // 2 % 2](BOB + number % 2, 5000 + number))
            clock.advance(61)
        assert keeper.pending == PENDING_MAX
        keeper.note(an_oom(ALICE))
        assert keeper.pending == PENDING_MAX
        keeper.close(CLOSE_SECONDS)
    kept = [dump.uid for dump in dumps_in(tmp_path / "dumps")]
    assert kept.count(ALICE) == 1
    assert "others wait for theirs" in caplog.text


@pytest.mark.fault(48)
def test_row_48_twenty_xids_a_minute_apart_leave_the_out_of_memory_before_them(scene: Scene) -> None:
    scene.note(an_oom(), 0)
    for number in range(1, 21):
        scene.note(an_xid(), 61 * number)
    kept = scene.dumps()
    assert kept[0].kind == "oom"
    xids = [dump for dump in kept if dump.kind == "xid"]
    assert KIND_BURST <= len(xids) <= KIND_DUMPS_MAX
    assert xids[0].time == TIMESTAMP + 1000 + 61, "the first of the noise tells how it began"


@pytest.mark.fault(48)
def test_row_48_rests_grow_while_a_noise_goes_on_and_end_with_it(scene: Scene) -> None:
    for number in range(24 * 60):
        scene.note(an_xid(), 61 * number)
    day = scene.dumps()[-1].number
    assert day < 40, "one an hour, in the end"
    for number in range(KIND_BURST):
        scene.note(an_xid(), 200_000 + 61 * number)
    assert scene.dumps()[-1].number == day + KIND_BURST
