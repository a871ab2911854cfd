"""Events out of moments: what happened is told once, what cannot be seen is not claimed."""

import logging
from typing import Any

import pytest
from msgspec import structs

from blackbox.events import EventDetectors, EventWatcher
from blackbox.events.detectors import SINGLE_EVENTS_MAX
from blackbox.events.exits import ProcessExits
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.parts import Device
from blackbox.model.sample import ProcessExit
from tests.detecting import at, detector, kinds
from tests.moments import GIB, NOW, TIMESTAMP, device, instance, memory, moment, process


def test_whoever_is_there_at_first_has_not_just_started() -> None:
    assert detector().observe(at(0, None, process(1))) == []


def test_a_start_and_an_exit_with_its_peak() -> None:
    watching = detector()
    watching.observe(at(0))
    (start,) = watching.observe(at(1, None, process(7, used_bytes=GIB, name="train")))
    assert (start.kind, start.pid, start.gpu_uuid, start.uid) == ("process_start", 7, "GPU-0", 1000)
    assert start.message == "train (pid 7) began to use GPU 0"
    assert watching.observe(at(2, None, process(7, used_bytes=5 * GIB, name="train"))) == []
    assert watching.observe(at(3, None, process(7, used_bytes=2 * GIB, name="train"))) == []
    (end,) = watching.observe(at(4))
    assert (end.kind, end.pid, end.timestamp) == ("process_exit", 7, TIMESTAMP + 4)
    assert end.process is not None
    assert (end.process.used_bytes, end.process.peak_used_bytes) == (2 * GIB, 5 * GIB)
    assert end.process.peak_at == TIMESTAMP + 2
    assert "5.0 GiB" in end.message
    assert watching.observe(at(5)) == []


def ended(how: Any, seconds: float, pid: int = 7, **changes: Any) -> ProcessExit:
    return ProcessExit(
        timestamp=TIMESTAMP + seconds,
        name="train",
        uid=1000,
        **{"pid": pid, "start_time": process(pid).start_time, "ended": how, **changes},
    )


def story(*endings: ProcessExit, found: ProcessExit | None = None, holds: bool = True, gpus: int = 1) -> list[Event]:
    """A process that holds memory, then ends as was told; the driver's list forgets it a moment later."""
    watching = EventDetectors(exits=ProcessExits(lambda _: found))
    devices = [device(index) for index in range(gpus)]
    rows = [process(7, one.uuid, used_bytes=(one.index + 1) * GIB) for one in devices] if holds else []
    events = watching.observe(at(0, devices, *rows))
    events += watching.observe(at(1, devices, *rows, process_exits=endings))
    events += watching.observe(at(2, devices, process_exits=endings))
    return events + watching.observe(at(3, devices, process_exits=endings))


@pytest.mark.parametrize(
    ("ending", "is_told"),
    [
        (ended("orderly", 0.5), False),
        (ended("unknown", 0.5), False),
        (ended("exception", 0.5, exception="ValueError"), True),
        (ended("exception", 0.5, exception="KeyboardInterrupt"), False),
        (ended("killed", 0.5, signal=9), True),
        (ended("killed", 0.5, signal=15), False),
        (ended("abrupt", 0.5), True),
    ],
)
def test_a_crash_is_told_once_and_the_exit_says_how(ending: ProcessExit, is_told: bool) -> None:
    *crashes, end = story(ending)
    assert kinds(crashes) == ["crash"] * is_told
    assert end.process is not None
    assert (end.kind, end.process.ended, end.process.signal) == ("process_exit", ending.ended, ending.signal)
    for crash in crashes:
        assert (crash.pid, crash.gpu_uuid, crash.timestamp) == (7, "GPU-0", TIMESTAMP + 0.5)
        assert crash.process is not None
        assert (crash.process.used_bytes, crash.process.exception) == (GIB, ending.exception)
        assert "ValueError" not in crash.message, "everyone may read the message"


def test_a_process_on_many_gpus_dies_once() -> None:
    events = story(ended("killed", 0.5, signal=11), gpus=3)
    assert kinds(events) == ["crash", *["process_exit"] * 3]
    assert (events[0].gpu_uuid, "SIGSEGV" in events[0].message) == ("GPU-2", True)


def test_who_held_no_memory_of_a_gpu_did_not_crash_on_one() -> None:
    assert story(ended("killed", 0.5, signal=9), holds=False) == []
    (crash,) = story(ended("killed", 0.5, signal=9, gpu_uuids=("GPU-0",)), holds=False)
    assert (crash.kind, crash.gpu_uuid) == ("crash", "GPU-0")


def test_without_an_agent_the_kernel_is_asked_how_it_ended() -> None:
    assert kinds(story(found=ended("killed", 0, signal=11))) == ["crash", "process_exit"]
    assert kinds(story(ended("orderly", 0.5), found=ended("killed", 0, signal=11))) == ["crash", "process_exit"]
    (end,) = story(found=ended("unknown", 0, exit_code=3))
    assert end.process is not None
    assert (end.process.ended, end.process.exit_code) == ("unknown", 3)
    (end,) = story()
    assert end.process is not None
    assert end.process.ended == "unknown"


def test_the_end_of_an_earlier_process_of_that_pid_is_not_this_ones() -> None:
    (end,) = story(ended("orderly", 0.5, start_time=1.0))
    assert end.process is not None
    assert end.process.ended == "unknown"


def test_a_pid_given_to_another_process_is_an_exit_and_a_start() -> None:
    watching = detector()
    watching.observe(at(0, None, process(7, start_time=1.0, used_bytes=9 * GIB)))
    events = watching.observe(at(1, None, process(7, start_time=200.0, used_bytes=GIB)))
    assert kinds(events) == ["process_exit", "process_start"]
    assert [event.process.peak_used_bytes for event in events if event.process] == [9 * GIB, GIB]


def test_a_start_time_that_cannot_be_read_once_is_no_other_process() -> None:
    watching = detector(living=[7])
    watching.observe(at(0, None, process(7, start_time=1.0)))
    assert watching.observe(at(1, None, process(7, start_time=None, name=None))) == []
    assert watching.observe(at(2, None, process(7, start_time=1.0))) == []
    assert kinds(watching.observe(at(3, None, process(7, start_time=200.0)))) == ["process_exit", "process_start"]


PARTLY = {"unknown": {"processes": "the open files of 3 processes may not be seen"}, "is_partly_listed": True}


def test_of_a_list_that_is_not_whole_those_in_it_are_followed() -> None:
    """The kernel knows whether one that is no longer in it has ended."""
    gone: set[int] = set()
    watching = EventDetectors(exits=ProcessExits(lambda _: None, lambda row: row.pid in gone))
    partly = [device(**PARTLY)]
    old = process(7)
    young = structs.replace(process(8), start_time=TIMESTAMP + 0.5)
    assert watching.observe(at(0, partly, old)) == []
    (start,) = watching.observe(at(1, partly, old, young))
    assert (start.kind, start.pid) == ("process_start", 8)
    assert watching.observe(at(2, partly, old)) == [], "it may hold memory still"
    assert watching.observe(at(3, partly, old)) == []
    gone.add(8)
    (end,) = watching.observe(at(4, partly, old))
    assert (end.kind, end.pid) == ("process_exit", 8)
    assert watching.observe(at(5, partly, old)) == []


@pytest.mark.parametrize(
    "blind",
    [
        at(1, [device(state="lost", memory=None)]),
        at(1, [device(unknown={"processes": "no permission"})]),
        at(1, [device()], state="stale"),
        at(1, [], state="failed", processes_taken_at=None),
        moment(taken_at=NOW + 1, samples=()),
    ],
    ids=["lost", "forbidden", "stale", "failed", "nothing"],
)
def test_who_cannot_be_seen_has_not_ended(blind: Moment) -> None:
    watching = detector()
    watching.observe(at(0, None, process(7)))
    assert watching.observe(blind) == []
    assert watching.observe(at(2, None, process(7))) == []
    assert kinds(watching.observe(at(3))) == ["process_exit"]


def test_an_exit_behind_our_back_is_told_when_sight_returns() -> None:
    watching = detector()
    watching.observe(at(0, None, process(7)))
    assert watching.observe(at(1, [device(unknown={"processes": "no permission"})])) == []
    assert kinds(watching.observe(at(2))) == ["process_exit"]


def test_processes_of_a_device_that_is_no_more_have_ended() -> None:
    watching = detector()
    watching.observe(at(0, [device(0), device(1)], process(7, "GPU-1")))
    assert kinds(watching.observe(at(1, [device(0)]))) == ["process_exit"]


def test_a_new_device_comes_with_its_processes() -> None:
    watching = detector()
    watching.observe(at(0, [device(0)]))
    assert watching.observe(at(1, [device(0), device(1)], process(7, "GPU-1"))) == []
    assert kinds(watching.observe(at(2, [device(0), device(1)], process(7, "GPU-1"), process(8, "GPU-1")))) == [
        "process_start"
    ]


def test_a_crowd_of_short_programs_is_counted() -> None:
    watching = detector()
    watching.observe(at(0))
    started = watching.observe(at(1, None, *(process(pid) for pid in range(1, 301))))
    assert kinds(started) == ["process_start"] * (SINGLE_EVENTS_MAX + 1)
    assert (started[-1].message, started[-1].pid) == (
        f"{300 - SINGLE_EVENTS_MAX} more processes began to use GPUs",
        None,
    )
    ended = watching.observe(at(2))
    assert kinds(ended) == ["process_exit"] * (SINGLE_EVENTS_MAX + 1)
    assert watching.observe(at(3)) == []


def full(percent: float, index: int = 0) -> Device:
    return device(index, memory=memory(total=1000, used=round(10 * percent), driver_reserved=0))


def test_a_threshold_is_crossed_once_each_way() -> None:
    watching = detector(90, 95)
    story = [(89, []), (91, [(90, True)]), (89, []), (96, [(95, True)]), (95, []), (87, [(90, False), (95, False)])]
    for second, (percent, expected) in enumerate(story):
        crossings = [event.threshold for event in watching.observe(at(second, [full(percent)]))]
        assert [(one.threshold_percent, one.above) for one in crossings if one] == expected


@pytest.mark.parametrize("source", ["system", "amdgpu_vram_gtt"])
def test_a_threshold_holds_for_memory_that_is_shared_with_the_machine(source: str) -> None:
    shared = structs.replace(memory(total=100, used=96, driver_reserved=0), source=source)
    (event,) = detector(90).observe(at(0, [device(0, memory=shared)]))
    assert event.threshold is not None
    assert (event.threshold.used_percent, event.threshold.above) == (96.0, True)
    of_the_machine = "GPU 0: 96.0 % of the machine's memory, which it shares, is used, above 90 %"
    assert event.message == (of_the_machine if source == "system" else "GPU 0 uses 96.0 % of its memory, above 90 %")


@pytest.mark.parametrize("key", ["total_bytes", "used_bytes"])
def test_what_nobody_measured_crosses_no_threshold(key: str) -> None:
    untold = structs.replace(full(100), unknown={key: "a memory snapshot does not tell it"})
    assert detector(90).observe(at(0, [untold])) == []


def test_a_slice_of_a_gpu_is_called_by_its_own_name() -> None:
    slices = [full(10), instance(0, 1, memory=memory(total=100, used=99, driver_reserved=0))]
    (event,) = detector(90).observe(at(0, slices))
    assert (event.gpu_uuid, event.message) == (
        "MIG-0-1",
        "GPU 0 / MIG 1 (1g.10gb) uses 99.0 % of its memory, above 90 %",
    )


def test_a_process_on_a_slice_is_told_to_use_that_slice() -> None:
    watching, slices = detector(), [device(0), instance(0, 1)]
    one = process(7, "MIG-0-1", used_bytes=GIB)
    assert list(watching.observe(at(0, slices))) == []
    started = list(watching.observe(at(1, slices, one)))
    ended = list(watching.observe(at(2, slices)))
    assert [event.message for event in started] == [f"{one.name} (pid 7) began to use GPU 0 / MIG 1"]
    assert [event.message.partition(";")[0] for event in ended] == [f"{one.name} (pid 7) no longer uses GPU 0 / MIG 1"]


def test_a_gpu_that_cannot_be_read_stays_where_it_was() -> None:
    watching = detector(90)
    assert kinds(watching.observe(at(0, [full(95)]))) == ["threshold"]
    assert watching.observe(at(1, [device(state="lost", memory=None)])) == []
    assert watching.observe(at(2, [full(95)])) == []


def test_a_watch_notes_events_and_survives_its_own_faults(caplog: pytest.LogCaptureFixture) -> None:
    noted: list[Event] = []
    watch = EventWatcher(detector(90), noted.append)
    with caplog.at_level(logging.INFO):
        watch.observe(at(0, [full(95)]))
        watch.observe(at(1, [full(95)], process(7)))
    assert kinds(noted) == ["threshold", "process_start"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    def fail(_: Event) -> None:
        raise ValueError("oops")

    failing = EventWatcher(detector(90), fail)
    for second in range(3):
        failing.observe(at(second, [full(95 - 10 * second)]))
    assert sum("fault in the detection" in record.message for record in caplog.records) == 1
