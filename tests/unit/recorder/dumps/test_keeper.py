"""Dumps that are made by themselves."""

import threading
from pathlib import Path

from msgspec import structs

from blackbox.model.event import Crossing
from blackbox.model.sample import Event
from blackbox.recorder.dumps.file import Dump
from blackbox.recorder.dumps.keeper import DUMPS_MAX, DumpKeeper, dump_name, is_trigger, tidy
from blackbox.recorder.storage.directory import dump_files
from tests import incidents
from tests.moments import TIMESTAMP
from tests.recordings import recorded

CLOSE_SECONDS = 10


def oom() -> Event:
    return next(event for event in incidents.events(incidents.leak()) if event.kind == "oom")


def test_an_out_of_memory_keeps_the_minutes_before_it(tmp_path: Path) -> None:
    moments = incidents.leak()[-40:]
    with recorded(tmp_path / "data", moments) as recorder:
        keeper = DumpKeeper(tmp_path / "dumps", recorder.recording, wall=lambda: moments[-1].timestamp)
        for moment in moments:
            keeper.take(moment)
        keeper.close(CLOSE_SECONDS)
    (path,) = dump_files(tmp_path / "dumps")
    dump = Dump(path)
    assert path.name == dump_name("oom-48211", oom().timestamp)
    assert [found.seq for found in dump.moments()] == [moment.seq for moment in moments]
    assert [event.kind for event in dump.events()] == ["oom"]
    assert dump.head.reason == oom().message


def test_the_same_trouble_again_and_again_is_one_dump_a_minute(tmp_path: Path) -> None:
    with recorded(tmp_path / "data", incidents.leak()[-4:]) as recorder:
        keeper = DumpKeeper(tmp_path / "dumps", recorder.recording, wall=lambda: 0.0)
        for second in range(0, 120, 10):
            keeper.note(structs.replace(oom(), timestamp=TIMESTAMP + second))
        keeper.note(structs.replace(oom(), pid=1, timestamp=TIMESTAMP))
        keeper.close(CLOSE_SECONDS)
    assert len(dump_files(tmp_path / "dumps")) == 3


def crash(pid: int, seconds: float) -> Event:
    return Event(kind="crash", timestamp=TIMESTAMP + seconds, message="died", gpu_uuid="GPU-0", pid=pid)


def test_a_job_that_dies_as_one_makes_one_dump_and_none_after_its_out_of_memory(tmp_path: Path) -> None:
    with recorded(tmp_path / "data", incidents.leak()[-4:]) as recorder:
        keeper = DumpKeeper(tmp_path / "dumps", recorder.recording, wall=lambda: 0.0)
        keeper.note(structs.replace(oom(), pid=1, timestamp=TIMESTAMP))
        for pid, seconds in ((1, 5), (2, 20), (3, 21), (4, 25), (5, 81)):
            keeper.note(crash(pid, seconds))
        keeper.close(CLOSE_SECONDS)
    about = [path.name.rpartition("-")[0] for path in dump_files(tmp_path / "dumps")]
    assert about == ["oom-1", "crash-2", "crash-5"]


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


def test_the_oldest_go_where_they_are_too_many(tmp_path: Path) -> None:
    names = [dump_name("oom-1" if number % 2 else "xid", 1e9 + number) for number in range(DUMPS_MAX + 3)]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    tidy(tmp_path)
    assert [path.name for path in dump_files(tmp_path)] == names[3:]
