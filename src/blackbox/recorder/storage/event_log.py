"""The log of events: each is on the disk when `append` returns."""

import sqlite3
import zlib
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from blackbox.model.codec import event_fault
from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.event import Event
from blackbox.model.event_list import light as in_a_list
from blackbox.model.times import TIME_SECONDS_MAX
from blackbox.recorder.storage.compression import DamageError
from blackbox.recorder.storage.database import EVENTS_SCHEMA, READ_ERRORS, open_for_reading, open_for_writing
from blackbox.recorder.storage.directory import ChunkFile, chunk_file, chunk_files
from blackbox.recorder.storage.tiers import DAY_SECONDS, EVENTS_NAME, period_start

CHUNK_SECONDS = 30 * DAY_SECONDS
EVENTS_MAX = 10_000
"""Events in one answer."""
IDS_PER_SECOND = 1000
"""Ids follow the clock, so that they grow even past a damaged chunk, and stay exact in JavaScript."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


class RecordedEvent(Struct, frozen=True):
    """An event and its place in the recording."""

    id: int
    """Grows from event to event."""
    event: Event


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
                body = _encoder.encode(event)  # one at a time: with its blocks a failure takes tens of MB
                recorded.append(self._numbered(event, now))
                row = recorded[-1].id, event.timestamp, event.kind, body, zlib.crc32(body)
                database.execute("INSERT INTO event VALUES (?, ?, ?, CAST(? AS TEXT), ?)", row)
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
                database = open_for_writing(file.path, EVENTS_SCHEMA)
            except sqlite3.OperationalError:
                raise
            except READ_ERRORS:
                number += 1
            else:
                database.execute("PRAGMA synchronous = FULL")
                return file, database


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
    ) -> list[RecordedEvent]:
        """The newest `limit` events of these kinds and GPUs (UUIDs) that were noticed in the range, oldest first;
        `light`: as in a list, so that no more than one is ever whole in memory."""
        found: list[RecordedEvent] = []
        for chunk in reversed(chunk_files(self._directory, EVENTS_NAME)):
            wanted = (
                _light(recorded) if light else recorded
                for recorded in self._read(chunk, "time BETWEEN ? AND ?", (since, until), "DESC")
                if (kinds is None or recorded.event.kind in kinds) and (gpus is None or recorded.event.gpu_uuid in gpus)
            )
            found += islice(wanted, limit - len(found))
            if len(found) >= limit:
                break
        return sorted(found, key=lambda recorded: recorded.id)[-limit:]

    def each(self, since: float, until: float) -> Iterator[Event]:
        """All that were noticed in the range, oldest first; one is in memory at a time."""
        for chunk in chunk_files(self._directory, EVENTS_NAME):
            for recorded in self._read(chunk, "time BETWEEN ? AND ?", (since, until), "ASC"):
                yield recorded.event

    def after(self, number: int, limit: int = EVENTS_MAX) -> list[RecordedEvent]:
        """The oldest `limit` events with larger ids."""
        found: list[RecordedEvent] = []
        for chunk in chunk_files(self._directory, EVENTS_NAME):
            found += self._read(chunk, "id > ?", (number,), f"ASC LIMIT {limit}")
        return sorted(found, key=lambda recorded: recorded.id)[:limit]

    def _read(self, chunk: ChunkFile, where: str, arguments: tuple[float, ...], order: str) -> Iterator[RecordedEvent]:
        for number, body, checksum in self._rows(chunk, where, arguments, order):
            try:
                if type(number) is not int or type(body) is not bytes or zlib.crc32(body) != checksum:
                    raise DamageError("event: checksum")
                event = _decoder.decode(body)
                if not 0 <= event.timestamp <= TIME_SECONDS_MAX:
                    raise DamageError("event: its time is in no calendar")
                yield RecordedEvent(number, event)
            except (DamageError, *DECODE_ERRORS):
                self.damaged += 1

    def _rows(
        self, chunk: ChunkFile, where: str, arguments: tuple[float, ...], order: str
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Id, body and checksum; a damaged file may hold anything in their places."""
        wanted = "id, CAST(body AS BLOB), checksum"  # as bytes: damaged text need not be UTF-8
        question = f"SELECT {wanted} FROM event WHERE {where} ORDER BY id {order}"  # noqa: S608 - no input
        try:
            with closing(open_for_reading(chunk.path)) as database:
                yield from database.execute(question, arguments)
        except READ_ERRORS:
            self.damaged += 1


def _light(recorded: RecordedEvent) -> RecordedEvent:
    return RecordedEvent(recorded.id, in_a_list(recorded.event))


def _last_id(directory: Path) -> int:
    newest = EventReader(directory).between(float("-inf"), float("inf"), limit=1)
    return newest[-1].id if newest else 0
