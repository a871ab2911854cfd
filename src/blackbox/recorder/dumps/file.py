"""A dump: some minutes of recording in one file that explains itself elsewhere.

    MAGIC     16 bytes, the last of which is the version of the format
    records   u8 kind, u32 length (little-endian), then as many bytes: a zstd frame with a checksum
      HEAD    JSON of `DumpHead`; the first record
      EVENTS  JSON of `[Event, ...]`
      MOMENTS moments as in `blackbox.recorder.storage.frames`, some MiB together, oldest first
      END     JSON of `DumpEnd`; a dump without it was cut off

What is damaged costs its own record; what is cut off costs what comes after.
"""

import os
import struct
import time
from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from blackbox.errors import FailureError
from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.event import Event
from blackbox.model.event_blocks import json_pieces
from blackbox.model.moment import Moment
from blackbox.recorder.dumps.redaction import redact, redact_event, redact_text
from blackbox.recorder.storage.compression import UNPACKED_BYTES_MAX, DamageError, pack, pack_parts, unpack
from blackbox.recorder.storage.dump_files import DUMP_SUFFIX, PARTIAL_SUFFIX
from blackbox.recorder.storage.frames import Frame, pack_frames, to_bytes, to_moment, unpack_frames
from blackbox.recorder.storage.privacy import make_file
from blackbox.sources.isolation.reader import require_file

VERSION = 1
NAME = b"BLACKBOX DUMP\r\n"
"""The line end shows a transfer that took the file for text."""
MAGIC = NAME + bytes((VERSION,))
BATCH_BYTES = 2 * 1024 * 1024
"""Of events, or moments, packed together: alike stands beside alike, and damage costs no more than this."""

_RECORD = struct.Struct("<BI")


class RecordKind(IntEnum):
    HEAD = 1
    EVENTS = 2
    MOMENTS = 3
    END = 4


class DumpHead(Struct, frozen=True, kw_only=True):
    """What a dump is."""

    made_at: float
    """Unix seconds."""
    reason: str
    """Why it was made, for people."""
    since: float
    """Unix seconds; the time it was asked to hold."""
    until: float


class DumpEnd(Struct, frozen=True, kw_only=True):
    """What a whole dump holds."""

    moments: int
    events: int


_events_decoder = msgspec.json.Decoder(tuple[Event, ...])


def write_dump(path: Path, head: DumpHead, moments: Iterable[Moment], events: Iterable[Event]) -> DumpEnd:
    """Writes a dump beside `path`, then moves it there, with few moments and events in memory at a time. Arguments and
    secrets are left out. Raises `FailureError`."""
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        make_file(partial)
        try:
            with partial.open("wb") as file:
                end = _write(file, head, moments, events)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror or error}") from None
    return end


def partial_paths(directory: Path, pid: int) -> Iterator[Path]:
    """What a process that is gone was writing there."""
    return directory.glob(f".*{DUMP_SUFFIX}.{pid}{PARTIAL_SUFFIX}")


class Dump:
    """A dump in a file. Damage is skipped and counted; only what is no dump at all raises."""

    def __init__(self, path: Path) -> None:
        """Raises `FailureError`."""
        self.path = path
        self.damaged = 0
        """Records that were skipped by the last reading."""
        self.is_cut = False
        """The last reading ended before the end."""
        self.head = self._head()

    def events(self) -> list[Event]:
        """All, oldest first."""
        return list(self.each_event())

    def each_event(self) -> Iterator[Event]:
        """The same, with a few of them in memory at a time."""
        for kind, body in self._records():
            if kind == RecordKind.EVENTS:
                try:
                    yield from _events_decoder.decode(unpack(body))
                except (DamageError, *DECODE_ERRORS):
                    self.damaged += 1

    def moments(self, since: float = float("-inf"), until: float = float("inf")) -> Iterator[Moment]:
        """Those of a range of Unix seconds, oldest first."""
        for frame in self._frames(since, until):
            yield from self._moment(frame)

    def moments_apart(self, seconds: float, until: float) -> Iterator[Moment]:
        """The first, then those at least `seconds` after the one before, and the last one not after `until`."""
        due = float("-inf")
        skipped: Frame | None = None
        for frame in self._frames(float("-inf"), until):
            if frame.time >= due:
                due = frame.time + seconds
                skipped = None
                yield from self._moment(frame)
            else:
                skipped = frame
        if skipped is not None:
            yield from self._moment(skipped)

    def span(self) -> tuple[float, float]:
        """The time it was made to hold."""
        return self.head.since, self.head.until

    def _frames(self, since: float, until: float) -> Iterator[Frame]:
        for kind, body in self._records():
            if kind == RecordKind.MOMENTS:
                try:
                    frames = unpack_frames(body)
                except DamageError:
                    self.damaged += 1
                else:
                    yield from (frame for frame in frames if since <= frame.time <= until)

    def _moment(self, frame: Frame) -> Iterator[Moment]:
        try:
            yield to_moment(frame.body)
        except DamageError:
            self.damaged += 1

    def _head(self) -> DumpHead:
        for kind, body in self._records():
            try:
                if kind == RecordKind.HEAD:
                    return msgspec.json.decode(unpack(body), type=DumpHead)
            except (DamageError, *DECODE_ERRORS):
                pass
            break
        raise FailureError(f"{self.path}: the beginning of this dump is damaged")

    def _records(self) -> Iterator[tuple[int, bytes]]:
        self.damaged, self.is_cut = 0, True
        try:
            with self.path.open("rb") as file:
                self._check(file.read(len(MAGIC)))
                while len(head := file.read(_RECORD.size)) == _RECORD.size:
                    kind, length = _RECORD.unpack(head)
                    if length > UNPACKED_BYTES_MAX:
                        return
                    body = file.read(length)
                    if len(body) < length:
                        return
                    if kind == RecordKind.END:
                        self.is_cut = False
                    yield kind, body
        except OSError as error:
            raise FailureError(f"{self.path}: {error.strerror or error}") from None

    def _check(self, magic: bytes) -> None:
        if not magic.startswith(NAME):
            raise FailureError(f"{self.path}: not a dump of Blackbox")
        if magic != MAGIC:
            raise FailureError(f"{self.path}: a dump in a format that this version does not know")


def is_dump(path: Path) -> bool:
    """Whether a file begins like a dump. Raises `FailureError` where it cannot be read."""
    require_file(path)
    try:
        with path.open("rb") as file:
            return file.read(len(NAME)) == NAME
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror or error}") from None


def new_head(reason: str, since: float, until: float) -> DumpHead:
    """The head of a dump made now."""
    return DumpHead(made_at=time.time(), reason=redact_text(reason), since=since, until=until)


def _write(file: BinaryIO, head: DumpHead, moments: Iterable[Moment], events: Iterable[Event]) -> DumpEnd:
    file.write(MAGIC)
    _put(file, RecordKind.HEAD, pack(msgspec.json.encode(head)))
    told = 0
    for batch in _event_batches(events):
        _put(file, RecordKind.EVENTS, pack_parts(batch.drain(), batch.bytes, min(batch.bytes, BATCH_BYTES)))
        told += batch.events
    count = 0
    for batch in _batches(moments):
        _put(file, RecordKind.MOMENTS, pack_frames(batch))
        count += len(batch)
    end = DumpEnd(moments=count, events=told)
    _put(file, RecordKind.END, pack(msgspec.json.encode(end)))
    return end


def _put(file: BinaryIO, kind: RecordKind, body: bytes) -> None:
    file.write(_RECORD.pack(kind, len(body)))
    file.write(body)


class _EventBatch:
    """JSON of some events, in pieces, so that there is no second copy of what takes tens of MB."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = len(b"[]")
        self._pieces: deque[bytes] = deque()

    def add(self, event: Event) -> None:
        pieces = [b",", *json_pieces(event)] if self.events else json_pieces(event)
        self.events += 1
        self.bytes += sum(map(len, pieces))
        self._pieces += pieces

    def drain(self) -> Iterator[bytes]:
        """All of it, piece by piece: none is left here."""
        yield b"["
        while self._pieces:
            yield self._pieces.popleft()
        yield b"]"


def _event_batches(events: Iterable[Event]) -> Iterator[_EventBatch]:
    """The events, some MiB together; one batch at least."""
    batch = _EventBatch()
    for event in events:
        batch.add(redact_event(event))
        if batch.bytes >= BATCH_BYTES:
            yield batch
            batch = _EventBatch()
    yield batch


def _batches(moments: Iterable[Moment]) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    weight = 0
    for moment in moments:
        frame = Frame(moment.timestamp, to_bytes(redact(moment)))
        batch.append(frame)
        weight += len(frame.body)
        if weight >= BATCH_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch
