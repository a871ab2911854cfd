"""Events: numbered, on the disk, and found again."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from blackbox.model.event import Event, TraceStep
from blackbox.model.event_blocks import json_bytes_of, json_pieces
from blackbox.model.event_list import light
from blackbox.recorder.storage import event_log as event_log_module
from blackbox.recorder.storage.database import EVENTS_SCHEMA, open_for_reading, open_for_writing
from blackbox.recorder.storage.event_log import EventReader, EventWriter
from blackbox.sources.agents.budgets import FAILURE_BYTES_MAX
from tests import failures
from tests.failures import listed, refusal
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


# Failed allocations, which may have a hundred thousand blocks


def recorded(tmp_path: Path, *events: Event) -> EventReader:
    """A log of these events."""
    with closing(EventWriter(tmp_path)) as writer:
        for one in events:
            writer.append([one], one.timestamp)
    return EventReader(tmp_path)


def test_a_failure_comes_back_with_its_blocks(tmp_path: Path) -> None:
    failed = failures.with_blocks(listed(300), timestamp=START)
    reader = recorded(tmp_path, failed)
    ((found,), (after,), (each,)) = reader.between(START, START), reader.after(0), reader.each(START, START)
    assert found.event == after.event == each == failed
    assert not found.shortened


def test_its_blocks_are_read_for_nobody_who_is_told_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = failures.with_blocks(listed(300), timestamp=START, uid=1000)
    reader = recorded(tmp_path, failed)
    monkeypatch.setattr(event_log_module, "unpack_blocks", lambda blob: pytest.fail(f"{len(blob)} bytes are read"))
    found = [
        *reader.between(START, START, light=True),
        *reader.after(0, light=True),
        *reader.between(START, START, viewer_uid=1001),
    ]
    assert [one.event for one in found] == [light(failed)] * 3


def test_those_of_earlier_versions_are_read(tmp_path: Path) -> None:
    failed = failures.with_blocks(listed(300), timestamp=START)
    body = b"".join(json_pieces(failed))
    with closing(EventWriter(tmp_path)) as writer:
        writer.append([event()], START)
        assert writer.open_path is not None
        path = writer.open_path
    path.unlink()
    with closing(open_for_writing(path, EVENTS_SCHEMA)) as database:
        row = 7, START, "oom", body.decode(), zlib.crc32(body)
        database.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?)", row)
    reader = EventReader(tmp_path)
    assert [one.event for one in reader.between(START, START)] == [failed]
    assert [one.event for one in reader.between(START, START, light=True)] == [light(failed)]
    assert [one.event for one in recorded(tmp_path, failures.with_blocks(listed(3), timestamp=START)).after(0)] == [
        failed,
        failures.with_blocks(listed(3), timestamp=START),
    ], "and gone on with"


@pytest.mark.parametrize(
    "failed",
    [
        refusal(START, stacks=(("train.py:1 step",),)),
        refusal(START, trace=(TraceStep("oom", 0, 1, stack=0),), stacks=(("train.py:1 step",),)),
        failures.with_blocks(listed(3), timestamp=START),
        event("xid", START),
    ],
    ids=["light already", "only a history", "blocks", "no failure"],
)
def test_what_is_read_for_a_list_is_what_a_list_tells(tmp_path: Path, failed: Event) -> None:
    assert [one.event for one in recorded(tmp_path, failed).between(START, START, light=True)] == [light(failed)]


def test_the_newest_are_whole_as_far_as_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large they are: a server is asked for all of them by anybody."""
    monkeypatch.setattr(event_log_module, "WHOLE_BYTES_MAX", 170_000)
    told = [failures.with_blocks(listed(500), timestamp=START + place) for place in range(5)]
    reader = recorded(tmp_path, *told, event("xid", START + 5))
    found = reader.between(START, START + 9)
    assert [one.event for one in found] == [*map(light, told[:3]), *told[3:], event("xid", START + 5)]
    assert [one.shortened for one in found] == [True] * 3 + [False] * 3
    first = reader.after(0)
    assert [one.event for one in first] == told[:2]
    assert [one.event for one in reader.after(first[-1].id)] == told[2:4], "with the next look"
    assert list(reader.each(START, START + 9)) == [*told, event("xid", START + 5)]


def test_a_failure_as_large_as_may_be_told_is_whole_beside_small_ones(tmp_path: Path) -> None:
    rows = 100_000
    assert FAILURE_BYTES_MAX * 0.8 < json_bytes_of(listed(rows, "x" * 80)) < FAILURE_BYTES_MAX
    large = failures.with_blocks(listed(rows, "x" * 80), timestamp=START)
    told = [large, failures.with_blocks(listed(3), timestamp=START + 1), refusal(START + 2)]
    reader = recorded(tmp_path, *told)
    assert [one.shortened for one in reader.between(START, START + 9)] == [False] * 3
    assert [one.shortened for one in reader.after(0)] == [False] * 3


def test_none_is_left_out_where_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log_module, "WHOLE_BYTES_MAX", 50_000)
    told = [failures.with_blocks(listed(500), timestamp=START + place) for place in range(4)]
    with closing(EventWriter(tmp_path)) as writer:
        ids = [writer.append([one], START - place * 40 * DAY)[0].id for place, one in enumerate(told)]
    reader, seen = EventReader(tmp_path), list[int]()
    while found := reader.after(seen[-1] if seen else 0):
        seen += [one.id for one in found]
    assert seen == ids


@pytest.mark.parametrize("damage", ["row", "page"])
def test_damaged_blocks_cost_themselves(tmp_path: Path, damage: str) -> None:
    reader = recorded(tmp_path, failures.with_blocks(listed(300), timestamp=START))
    (path,) = tmp_path.glob("events-*.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'blocks'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
        if damage == "row":
            database.execute("UPDATE blocks SET body = substr(body, 1, 40)")
    if damage == "page":
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)
    (found,) = reader.after(0)
    assert found.event.oom is not None
    assert found.event.oom.allocator is not None
    assert (found.event.oom.allocator.blocks, reader.damaged) == (None, 1)
    assert "cannot be read" in found.event.oom.allocator.unknown["blocks"]


def test_blocks_that_the_disk_does_not_give_are_named_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite names that an operational error, as it does a table that an older log does not have."""
    reader = recorded(tmp_path, failures.with_blocks(listed(300), timestamp=START))

    def interrupted(path: Path) -> sqlite3.Connection:
        database, asked = open_for_reading(path), list[str]()
        database.set_trace_callback(lambda sql: asked.append(sql) if "FROM blocks" in sql else None)
        database.set_progress_handler(lambda: len(asked), 1)
        return database

    monkeypatch.setattr(event_log_module, "open_for_reading", interrupted)
    (found,) = reader.after(0)
    assert found.event.oom is not None
    assert found.event.oom.allocator is not None
    assert (found.event.oom.allocator.blocks, reader.damaged) == (None, 1)
    assert "cannot be read" in found.event.oom.allocator.unknown["blocks"]
