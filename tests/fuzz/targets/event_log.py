"""The log of events: the bytes of the SQLite file, or the JSON of one event."""

import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from functools import cache

import msgspec

from blackbox.model.event_blocks import as_json
from blackbox.recorder.storage.database import EVENTS_SCHEMA, open_for_writing
from blackbox.recorder.storage.directory import chunk_file
from blackbox.recorder.storage.event_log import EventReader, EventWriter
from tests import failures
from tests.failures import listed
from tests.fuzz.files import folder
from tests.recorded_moments import event

ALLOWED: tuple[type[Exception], ...] = ()
START = 1_799_996_400.0
FILE = chunk_file(folder(), "events", START, 0).path


@cache
def seeds() -> Sequence[bytes]:
    directory = folder() / "log"
    directory.mkdir()
    writer = EventWriter(directory)
    events = [event("xid", START + 1, code=79), event("oom", START + 2, pid=4711), event("source_lost", START + 3)]
    writer.append([*events, failures.with_blocks(listed(40), timestamp=START + 3)], START + 3)
    writer.close()
    (path,) = (path for path in directory.iterdir() if not path.name.endswith(("-wal", "-shm")))
    return [path.read_bytes(), *map(msgspec.json.encode, events)]


def run(data: bytes) -> None:
    FILE.unlink(missing_ok=True)
    if data.startswith(b"{"):
        with closing(_empty()) as database:
            database.execute("INSERT INTO event VALUES (1, 1.0, 'x', ?, ?)", (data, zlib.crc32(data)))
    else:
        FILE.write_bytes(data)
    reader = EventReader(folder())
    for found in reader.between(float("-inf"), float("inf")):
        msgspec.json.encode(found, enc_hook=as_json)
    reader.after(0)


def _empty() -> sqlite3.Connection:
    database = open_for_writing(FILE, EVENTS_SCHEMA)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    return database
