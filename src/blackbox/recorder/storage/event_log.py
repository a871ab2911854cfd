"""The log of events: each is on the disk when `append` returns."""

import sqlite3
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from blackbox.model.codec import event_fault
from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.event import Event
from blackbox.model.event_blocks import json_bytes_of, split, with_blocks, without_blocks
from blackbox.model.event_list import EventSketch, light, light_of
from blackbox.model.times import TIME_SECONDS_MAX
from blackbox.model.visibility import sees_inside
from blackbox.recorder.storage.compression import DamageError
from blackbox.recorder.storage.database import (
    EVENT_BLOCKS_SCHEMA,
    EVENTS_SCHEMA,
    READ_ERRORS,
    open_for_reading,
    open_for_writing,
)
from blackbox.recorder.storage.directory import ChunkFile, chunk_file, chunk_files
from blackbox.recorder.storage.event_blocks import pack_blocks, unpack_blocks
from blackbox.recorder.storage.tiers import DAY_SECONDS, EVENTS_NAME, period_start

CHUNK_SECONDS = 30 * DAY_SECONDS
EVENTS_MAX = 10_000
"""Events in one answer."""
IDS_PER_SECOND = 1000
"""Ids follow the clock, so that they grow even past a damaged chunk, and stay exact in JavaScript."""

WHOLE_BYTES_MAX = 20 * 1024 * 1024
"""JSON of refusals that are read whole at once: one as large as an agent may tell (18 MiB) beside small ones, or four
with 30,000 blocks."""


class _Refusal(Struct, frozen=True):
    source: str


class _Told(Struct, frozen=True):
    """Of an event what decides how much of it is read."""

    uid: int | None = None
    oom: _Refusal | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)
_told_decoder = msgspec.json.Decoder(_Told)
_sketch_decoder = msgspec.json.Decoder(EventSketch)


class RecordedEvent(Struct, frozen=True):
    """An event and its place in the recording."""

    id: int
    """Grows from event to event."""
    event: Event
    shortened: bool = False
    """It is told as in a list, though more was asked for: too much was, or the viewer does not see it."""


class EventWriter:
    """The one writer. Raises `sqlite3.Error` where the disk does not play along."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: tuple[ChunkFile, sqlite3.Connection] | None = None
        self._last_id = 0
        self.damaged = 0
        """Events left out since they cannot be recorded."""

    @property
    def open_path(self) -> Path | None:
        """The file being written."""
        return self._open[0].path if self._open else None

    def append(self, events: Collection[Event], now: float) -> list[RecordedEvent]:
        """Stores events; on the disk when it returns. One that cannot be encoded is left out, and counted."""
        recorded: list[RecordedEvent] = []
        try:
            database = self._database(now)
            database.execute("BEGIN IMMEDIATE")
            for event in events:
                if event_fault(event) is not None:
                    self.damaged += 1
                    continue
                recorded.append(self._numbered(event, now))
                _insert(database, recorded[-1])
            database.execute("COMMIT")
        except sqlite3.Error:
            self.close()
            raise
        return recorded

    def close(self) -> None:
        """Lets go of the file."""
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def _numbered(self, event: Event, now: float) -> RecordedEvent:
        self._last_id = max(self._last_id + 1, int(now * IDS_PER_SECOND))
        return RecordedEvent(self._last_id, event)

    def _database(self, now: float) -> sqlite3.Connection:
        start = period_start(now, CHUNK_SECONDS)
        if self._open is not None and self._open[0].start != start:
            self.close()
        if self._open is None:
            self._open = self._opened(start)
            self._last_id = max(self._last_id, _last_id(self._directory))
        return self._open[1]

    def _opened(self, start: float) -> tuple[ChunkFile, sqlite3.Connection]:
        number = max(
            (chunk.number for chunk in chunk_files(self._directory, EVENTS_NAME) if chunk.start == start), default=0
        )
        while True:
            file = chunk_file(self._directory, EVENTS_NAME, start, number)
            try:
                database = open_for_writing(file.path, EVENTS_SCHEMA, statements_kept=0)
                database.execute(EVENT_BLOCKS_SCHEMA)
            except sqlite3.OperationalError:
                raise
            except READ_ERRORS:
                number += 1
            else:
                database.execute("PRAGMA synchronous = FULL")
                return file, database


class Reading:
    """What one look into the log is for."""

    def __init__(
        self,
        *,
        light: bool = False,
        viewer_uid: int | None = None,
        kinds: Collection[str] | None = None,
        gpus: Collection[str] | None = None,
        room: int | None = None,
    ) -> None:
        """`room`: not `WHOLE_BYTES_MAX`."""
        self.light = light
        self.room = WHOLE_BYTES_MAX if room is None else room
        """Bytes of JSON that may still be read whole."""
        self._has_whole = False
        self._viewer_uid = viewer_uid
        self._kinds = kinds
        self._gpus = gpus

    def is_whole(self, uid: int | None, source: str) -> bool:
        """Whether a refusal is read whole, of a process of that user, that was told by `source`."""
        return not self.light and self.room > 0 and sees_inside(self._viewer_uid, uid, source)

    def takes(self, size: int) -> bool:
        """Whether there is room for one more whole refusal, which then is taken; there is for the first."""
        fits = size <= self.room or not self._has_whole
        self._has_whole = True
        self.room = self.room - size if fits else 0
        return fits

    def wants(self, event: Event) -> bool:
        """Whether the event is asked for."""
        is_kind = self._kinds is None or event.kind in self._kinds
        return is_kind and (self._gpus is None or event.gpu_uuid in self._gpus)


class EventReader:
    """The events in a directory. Never raises over their content."""

    def __init__(self, directory: Path) -> None:
        self.damaged = 0
        """Records skipped so far."""
        self._directory = directory

    def between(
        self,
        since: float,
        until: float,
        kinds: Collection[str] | None = None,
        limit: int = EVENTS_MAX,
        *,
        gpus: Collection[str] | None = None,
        light: bool = False,
        viewer_uid: int | None = None,
    ) -> list[RecordedEvent]:
        """The newest `limit` events of these kinds and GPUs (UUIDs) that were noticed in the range, oldest first; as in
        a list where they are to be `light`, beyond `WHOLE_BYTES_MAX`, and of refusals that the viewer does not see."""
        reading = Reading(light=light, viewer_uid=viewer_uid, kinds=kinds, gpus=gpus)
        found: list[RecordedEvent] = []
        for chunk in reversed(chunk_files(self._directory, EVENTS_NAME)):
            wanted = self._read(chunk, "time BETWEEN ? AND ?", (since, until), "DESC", reading)
            found += islice(wanted, limit - len(found))
            if len(found) >= limit:
                break
        return sorted(found, key=lambda recorded: recorded.id)[-limit:]

    def each(self, since: float, until: float) -> Iterator[Event]:
        """All that were noticed in the range, whole, oldest first; one is in memory at a time."""
        for chunk in chunk_files(self._directory, EVENTS_NAME):
            whole = Reading(room=sys.maxsize)
            for recorded in self._read(chunk, "time BETWEEN ? AND ?", (since, until), "ASC", whole):
                yield recorded.event

    def after(self, number: int, limit: int = EVENTS_MAX, *, light: bool = False) -> list[RecordedEvent]:
        """The oldest `limit` events with larger ids, or fewer: beyond `WHOLE_BYTES_MAX` there are no more."""
        reading = Reading(light=light)
        found: list[RecordedEvent] = []
        for chunk in chunk_files(self._directory, EVENTS_NAME):
            for recorded in self._read(chunk, "id > ?", (number,), f"ASC LIMIT {limit}", reading):
                found.append(recorded)
                if recorded.shortened:
                    break
        found.sort(key=lambda recorded: recorded.id)
        whole = [*takewhile(lambda recorded: not recorded.shortened, found)]
        return (whole or found[:1])[:limit]

    def _read(
        self, chunk: ChunkFile, where: str, arguments: tuple[float, ...], order: str, reading: Reading
    ) -> Iterator[RecordedEvent]:
        for row, database in self._rows(chunk, where, arguments, order):
            try:
                recorded = self._recorded(*row, database, reading)
            except (DamageError, *DECODE_ERRORS):
                self.damaged += 1
            else:
                if recorded is not None:
                    yield recorded

    def _recorded(
        self, number: Any, body: Any, checksum: Any, database: sqlite3.Connection, reading: Reading
    ) -> RecordedEvent | None:
        """An event; None where it is not asked for. Raises `DamageError`, `DECODE_ERRORS`."""
        if type(number) is not int or type(body) is not bytes or zlib.crc32(body) != checksum:
            raise DamageError("event: checksum")
        told = _told_decoder.decode(body)
        is_whole = told.oom is None or reading.is_whole(told.uid, told.oom.source)
        event = _decoder.decode(body) if is_whole else _light(body)
        if not 0 <= event.timestamp <= TIME_SECONDS_MAX:
            raise DamageError("event: its time is in no calendar")
        if not reading.wants(event):
            return None
        if event.oom is None or not is_whole:
            return RecordedEvent(number, event, shortened=not is_whole and not reading.light)
        event = self._with_blocks(number, event, database)
        _, blocks = split(event)
        if not reading.takes(len(body) + (0 if blocks is None else json_bytes_of(blocks))):
            return RecordedEvent(number, light(event), shortened=True)
        return RecordedEvent(number, event)

    def _with_blocks(self, number: int, event: Event, database: sqlite3.Connection) -> Event:
        """The event with the blocks that are recorded beside it, if any are."""
        if event.oom is None or event.oom.allocator is None or event.oom.allocator.blocks is not None:
            return event
        try:
            found = database.execute("SELECT body FROM blocks WHERE event = ?", (number,)).fetchone()
            return event if found is None else with_blocks(event, unpack_blocks(found[0]))
        except (DamageError, *READ_ERRORS) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                return event  # no such table, in a log of an earlier version
            self.damaged += 1
            return without_blocks(event, "they cannot be read from the recording")

    def _rows(
        self, chunk: ChunkFile, where: str, arguments: tuple[float, ...], order: str
    ) -> Iterator[tuple[tuple[Any, Any, Any], sqlite3.Connection]]:
        """Id, body and checksum, and where they are from; a damaged file may hold anything in their places."""
        wanted = "id, CAST(body AS BLOB), checksum"  # as bytes: damaged text need not be UTF-8
        question = f"SELECT {wanted} FROM event WHERE {where} ORDER BY id {order}"  # noqa: S608 - no input
        try:
            with closing(open_for_reading(chunk.path)) as database:
                for row in database.execute(question, arguments):
                    yield row, database
        except READ_ERRORS:
            self.damaged += 1


def _light(body: bytes) -> Event:
    """The event as in a list. Raises `DECODE_ERRORS`."""
    sketch = _sketch_decoder.decode(body)
    return _decoder.decode(body) if sketch.oom is None or sketch.oom.is_light else light_of(sketch)


def _last_id(directory: Path) -> int:
    newest = EventReader(directory).between(float("-inf"), float("inf"), limit=1)
    return newest[-1].id if newest else 0


def _insert(database: sqlite3.Connection, recorded: RecordedEvent) -> None:
    event, blocks = split(recorded.event)
    body = _encoder.encode(event)
    row = recorded.id, event.timestamp, event.kind, body, zlib.crc32(body)
    database.execute("INSERT INTO event VALUES (?, ?, ?, CAST(? AS TEXT), ?)", row)
    if blocks is not None:
        database.execute("INSERT INTO blocks VALUES (?, ?)", (recorded.id, pack_blocks(blocks)))
