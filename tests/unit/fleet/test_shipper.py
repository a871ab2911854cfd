"""The shipper, step by step, on a real recording and an engine in memory."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from blackbox.errors import FailureError
from blackbox.fleet.cursor import CursorFile
from blackbox.fleet.rows import whole_time
from blackbox.fleet.send import Access, EngineError
from blackbox.fleet.shipper import BACK_OFF_SECONDS_MAX, MOMENT_SECONDS_MAX, UNKNOWN_TRIES_MAX, FleetOptions, Shipper
from blackbox.hub import BLOCKS_MAX, Published
from blackbox.model.event import Event
from blackbox.recorder import Recording
from tests import moments
from tests.clocks import ManualClock
from tests.fleet_recordings import MINUTE, TRAINER, expected_processes, machine_events, machine_moments
from tests.recordings import recorded
from tests.unit.fleet.engine import MemoryEngine
from tests.waiting import until

START = 1_800_000_000.0 // 300 * 300
MINUTES = 6


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("recording")
    with recorded(directory, machine_moments(START, MINUTES), machine_events(START)):
        pass
    return directory


@pytest.fixture
def directory(source: Path) -> Iterator[Path]:
    yield source
    (source / "fleet.json").unlink(missing_ok=True)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> MemoryEngine:
    return MemoryEngine(monkeypatch)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make(directory: Path, clock: ManualClock) -> Callable[..., Shipper]:
    def made(**options: Any) -> Shipper:
        given: dict[str, Any] = {"access": Access("http://localhost:1"), "host": "h", "version": "1"}
        return Shipper(
            Recording(directory),
            FleetOptions(**(given | options)),
            clock=clock,
            wall_clock=lambda: START + MINUTES * MINUTE + 5,
            look_seconds=0.01,
        )

    return made


def steps(shipper: Shipper, count: int = 12) -> None:
    for _ in range(count):
        shipper.step()


def test_closed_minutes_and_events_arrive_once(make: Callable[..., Shipper], engine: MemoryEngine) -> None:
    shipper = make(batch_minutes=1)
    steps(shipper)
    assert len(engine.rows["process"]) == len(expected_processes(machine_moments(START, MINUTES)))
    assert [row["kind"] for row in engine.rows["event"]] == ["process_exit", "crash", "xid"]
    assert len(engine.rows["gpu"]) == 2 * MINUTES
    assert len(engine.rows["engine"]) == MINUTES
    status = shipper.status()
    assert (status.state, status.shipped_until) == ("shipping", START + MINUTES * MINUTE)
    assert status.rows_total > 0
    assert status.lag_seconds is not None
    before = len(engine.requests)
    steps(shipper, 1)
    assert len(engine.requests) == before, "nothing new, nothing sent"


@pytest.mark.parametrize("comes", [True, False])
def test_an_event_waits_for_its_moment_but_not_for_long(comes: bool, tmp_path: Path, engine: MemoryEngine) -> None:
    seen = list(machine_moments(START, 1))
    at = START + 5
    event = Event(kind="process_start", timestamp=at, message="", gpu_uuid="GPU-0", pid=TRAINER)
    now = at + 1.0
    with recorded(tmp_path, seen[:1], [event]) as recorder:
        options = FleetOptions(access=Access("http://localhost:1"), host="h", version="1")
        shipper = Shipper(Recording(tmp_path), options, clock=ManualClock(), wall_clock=lambda: now)
        steps(shipper, 3)
        assert "event" not in engine.rows
        if comes:
            recorder.take(Published(seen[1], BLOCKS_MAX))
            until(lambda: recorder.status().moments_total == 2)
        else:
            now += MOMENT_SECONDS_MAX
        steps(shipper, 3)
        assert [row["pid"] for row in engine.rows["event"]] == [TRAINER]
        shipper.close(0)


def test_the_newest_minute_goes_before_a_backlog_and_none_twice(
    make: Callable[..., Shipper], engine: MemoryEngine, directory: Path
) -> None:
    shipper = make(batch_minutes=1)
    while "process" not in engine.rows:
        shipper.step()
    newest = whole_time(START + (MINUTES - 1) * MINUTE)
    assert {row["ts"] for row in engine.rows["process"]} == {newest}
    told = engine.rows["machine"][-1]
    assert (told["shipped_until"], told["ahead_since"]) == (whole_time(START), newest)
    shipper.close(0)
    again = make(batch_minutes=1)  # as after a kill: what came ahead stands in the cursor
    steps(again, 1)
    assert {row["ts"] for row in engine.rows["process"]} == {newest, whole_time(START)}
    steps(again)
    assert len(engine.rows["process"]) == len(expected_processes(machine_moments(START, MINUTES)))
    told = engine.rows["machine"][-1]
    assert (told["shipped_until"], told["ahead_until"]) == (whole_time(START + MINUTES * MINUTE), None)


def test_a_machines_newest_word_is_the_newest_whatever_its_clock_does(
    directory: Path, engine: MemoryEngine, clock: ManualClock
) -> None:
    """The engine keeps that with the latest time."""
    now = START + MINUTES * MINUTE + 3600.0
    options = FleetOptions(access=Access("http://localhost:1"), host="h", version="1", batch_minutes=1)
    shipper = Shipper(Recording(directory), options, clock=clock, wall_clock=lambda: now)
    while len(engine.rows.get("machine", ())) < 2:
        shipper.step()
    now -= 1800.0
    steps(shipper)
    told = [row["updated"] for row in engine.rows["machine"]]
    assert len(told) > 4
    assert told == sorted(set(told))


def test_the_cursor_stays_until_rows_are_seen_there(make: Callable[..., Shipper], engine: MemoryEngine) -> None:
    shipper = make()
    engine.loses = {"process"}
    steps(shipper, 2)
    status = shipper.status()
    assert (status.state, status.shipped_until) == ("waiting", None)
    assert "not there: 17 of process" in (status.reason or "") or "of process" in (status.reason or "")
    steps(shipper)
    assert shipper.status().shipped_until == START + 5 * MINUTE
    assert len({row["ts"] for row in engine.rows["process"]}) == 5


def test_back_off_grows_to_a_minute_and_ends_with_success(
    make: Callable[..., Shipper], engine: MemoryEngine, caplog: pytest.LogCaptureFixture
) -> None:
    shipper = make()
    engine.errors = [EngineError("passing", "away") for _ in range(12)]
    waits: list[float] = []
    for _ in range(12):
        shipper.step()
        waits.append(shipper.seconds_to_retry)
    assert waits[0] < 2 < waits[-1] <= 1.5 * BACK_OFF_SECONDS_MAX
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 1
    steps(shipper)
    assert shipper.status().state == "shipping"
    assert shipper.seconds_to_retry < 0
    assert shipper.status().failures_total == 12


@pytest.mark.parametrize("version", [None, 0])
def test_tables_that_are_missing_or_too_old_stop_it(
    version: int | None, make: Callable[..., Shipper], engine: MemoryEngine
) -> None:
    shipper = make()
    engine.version = version
    steps(shipper, 3)
    assert shipper.status().state == "stopped"
    assert "fleet init" in (shipper.status().reason or "")
    assert shipper.seconds_to_retry >= 30
    assert engine.rows == {}
    engine.version = 99
    steps(shipper)
    assert shipper.status().state == "shipping", "newer tables are fine"


def test_a_row_that_is_refused_for_good_is_set_aside_and_told_of(
    directory: Path, make: Callable[..., Shipper], engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blackbox.fleet import shipper as module

    made = module.minute_rows

    def spoiled(*arguments: Any) -> Any:
        slices = list(made(*arguments))
        slices[2]["process"][0]["pid"] = -5
        return slices

    monkeypatch.setattr(module, "minute_rows", spoiled)
    engine.refuses = {"process": 27}
    shipper = make()
    steps(shipper)
    gaps = [row for row in engine.rows["event"] if row["kind"] == "gap"]
    assert len(gaps) == 1
    assert '"table":"process","rows":1' in gaps[0]["detail"]
    assert shipper.status().set_aside_total == 1
    assert shipper.status().gaps_total == 1
    assert all(row["pid"] > 0 for row in engine.rows["process"])
    assert shipper.status().shipped_until == START + 5 * MINUTE


def test_an_error_that_nobody_knows_is_tried_a_few_times_first(
    make: Callable[..., Shipper], engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipper = make()
    engine.errors = [EngineError("unknown", "what?", 9999) for _ in range(UNKNOWN_TRIES_MAX)]
    steps(shipper, UNKNOWN_TRIES_MAX)
    assert shipper.status().state == "waiting"
    assert shipper.status().set_aside_total == 0
    steps(shipper)
    assert shipper.status().set_aside_total == 0
    assert shipper.status().state == "shipping"


def test_what_is_no_longer_recorded_is_a_gap(
    directory: Path, make: Callable[..., Shipper], engine: MemoryEngine
) -> None:
    file = CursorFile(directory)
    file.write(structs.replace(file.read(), shipped_until=START - 600))
    shipper = make()
    steps(shipper)
    (gap,) = [row for row in engine.rows["event"] if row["kind"] == "gap"]
    assert "no longer in the recording" in gap["detail"]
    assert shipper.status().gaps_total == 1
    assert shipper.status().shipped_until == START + 5 * MINUTE


def test_a_clock_that_was_far_ahead_does_not_stop_it_for_good(
    directory: Path, make: Callable[..., Shipper], engine: MemoryEngine
) -> None:
    file = CursorFile(directory)
    file.write(structs.replace(file.read(), shipped_until=START + 10_000_000))
    shipper = make()
    steps(shipper)
    assert shipper.status().shipped_until == START + MINUTES * MINUTE


def test_a_disk_that_takes_no_cursor_stops_it(
    make: Callable[..., Shipper], engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise FailureError("cannot write the cursor: no space left")

    shipper = make()
    monkeypatch.setattr(CursorFile, "write", full)
    steps(shipper, 2)
    assert shipper.status().state == "stopped"
    assert "no space left" in (shipper.status().reason or "")


def test_a_fault_of_ours_is_told_and_ends_nothing(
    make: Callable[..., Shipper], engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipper = make()
    monkeypatch.setattr(Shipper, "_next", lambda *_: 1 / 0)
    steps(shipper, 2)
    assert "ZeroDivisionError" in (shipper.status().reason or "")


def test_an_empty_recording(tmp_path: Path, engine: MemoryEngine) -> None:
    shipper = Shipper(Recording(tmp_path), FleetOptions(access=Access("http://localhost:1"), host="h", version="1"))
    steps(shipper, 2)
    assert shipper.status().state == "shipping"
    assert engine.rows == {}


def test_the_thread_ships_and_ends(make: Callable[..., Shipper], engine: MemoryEngine) -> None:
    shipper = make(batch_minutes=1)
    shipper.start()
    shipper.take(Published(moments.moment(), BLOCKS_MAX))
    shipper.note(machine_events(START)[0])
    until(lambda: shipper.status().shipped_until == START + MINUTES * MINUTE, lambda: shipper.status())
    shipper.close(30)
    assert shipper.status().cpu_seconds > 0
