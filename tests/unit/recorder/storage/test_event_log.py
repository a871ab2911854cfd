"""Events: numbered, on the disk, and found again."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from blackbox.recorder.storage.event_log import EventReader, EventWriter
from tests.recorded_moments import DAY, event

START = 1_800_000_000.0


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[EventWriter]:
    with closing(EventWriter(tmp_path)) as log:
        yield log


def test_events_are_found_by_time_and_kind(tmp_path: Path, writer: EventWriter) -> None:
    kinds = ["xid", "gpu_lost", "gpu_back", "xid"]
    for number, kind in enumerate(kinds):
        writer.append([event(kind, START + number)], START + number)
    reader = EventReader(tmp_path)
    assert [one.event.kind for one in reader.between(START, START + 10)] == kinds
    assert [one.event.timestamp for one in reader.between(START, START + 10, {"xid"})] == [START, START + 3]
    assert [one.event.kind for one in reader.between(START + 1, START + 2)] == ["gpu_lost", "gpu_back"]
    assert [one.event.kind for one in reader.between(START, START + 10, limit=2)] == ["gpu_back", "xid"]


def test_events_of_some_gpus_come_before_the_limit(tmp_path: Path, writer: EventWriter) -> None:
    for number in range(6):
        named = structs.replace(event("xid", START + number), gpu_uuid=f"GPU-{number % 3}")
        writer.append([named], START + number)
    found = EventReader(tmp_path).between(START, START + 10, gpus={"GPU-0", "GPU-1"}, limit=3)
    assert [one.event.timestamp - START for one in found] == [1, 3, 4]


def test_ids_grow_through_restarts_and_chunks(tmp_path: Path) -> None:
    for number in range(4):
        with closing(EventWriter(tmp_path)) as writer:
            writer.append([event(), event()], START + number * 20 * DAY)
    reader = EventReader(tmp_path)
    ids = [one.id for one in reader.after(0)]
    assert len(ids) == 8
    assert ids == sorted(set(ids))
    assert [one.id for one in reader.after(ids[2], limit=3)] == ids[3:6]


def test_ids_grow_when_the_clock_is_set_back(tmp_path: Path, writer: EventWriter) -> None:
    (first,) = writer.append([event()], START)
    (second,) = writer.append([event()], START - 3600)
    assert second.id > first.id
    assert EventReader(tmp_path).after(first.id) == [second]


@pytest.mark.fault(24)
def test_row_24_events_are_synced_one_by_one(tmp_path: Path, writer: EventWriter) -> None:
    writer.append([event()], START)
    database = writer._open[1] if writer._open else None  # the promise is this one setting of SQLite's
    assert database is not None
    assert database.execute("PRAGMA synchronous").fetchone() == (2,), "2 is FULL: a commit waits for the disk"


@pytest.mark.fault(23)
def test_row_23_a_changed_event_is_skipped_and_counted(tmp_path: Path, writer: EventWriter) -> None:
    writer.append([event(message="first"), event(message="second")], START)
    writer.close()
    (path,) = tmp_path.glob("events-*.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE event SET body = replace(body, 'first', 'fist')")
    reader = EventReader(tmp_path)
    assert [one.event.message for one in reader.after(0)] == ["second"]
    assert reader.damaged == 1


@pytest.mark.fault(23)
def test_row_23_a_damaged_log_is_kept_and_another_one_begun(tmp_path: Path, writer: EventWriter) -> None:
    writer.append([event(message="lost")], START)
    writer.close()
    (path,) = tmp_path.glob("events-*.db")
    path.write_bytes(b"not a database, by now" * 1000)
    writer.append([event(message="kept")], START + 1)
    assert [one.event.message for one in EventReader(tmp_path).after(0)] == ["kept"]
    assert len(list(tmp_path.glob("events-*.db"))) == 2


@pytest.mark.fault(49)
def test_row_49_an_event_that_cannot_be_encoded_costs_itself(tmp_path: Path, writer: EventWriter) -> None:
    impossible = [
        structs.replace(event(), pid=1 << 64),
        *(structs.replace(event(), timestamp=at) for at in (1e308, -1e18)),
    ]
    recorded = writer.append([*impossible, event()], START)
    assert [one.event for one in recorded] == [event()]
    assert writer.damaged == 3
    assert EventReader(tmp_path).after(0) == recorded


@pytest.mark.fault(49)
def test_row_49_a_recorded_event_outside_the_calendar_is_skipped(tmp_path: Path, writer: EventWriter) -> None:
    (first,) = writer.append([event()], START)
    body = msgspec.json.encode(structs.replace(event(), timestamp=1e308))
    database = writer._open[1] if writer._open else None
    assert database is not None
    row = first.id + 1, 1e308, "xid", body, zlib.crc32(body)
    database.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?)", row)
    reader = EventReader(tmp_path)
    assert reader.after(0) == [first]
    assert reader.damaged == 1


def test_a_row_without_a_body_is_skipped(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path)
    writer.append([event("xid", START)], START)
    assert writer.open_path is not None
    with closing(sqlite3.connect(writer.open_path)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'event'")
        database.commit()
    with closing(sqlite3.connect(writer.open_path)) as database:
        database.execute("INSERT INTO event VALUES (9e15, 1.0, 'x', NULL, 0)")
        database.commit()
    writer.close()
    reader = EventReader(tmp_path)
    assert [found.event.kind for found in reader.after(0)] == ["xid"]
    assert reader.damaged == 1
