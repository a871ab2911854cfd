"""A chunk of the recording: the bytes of the SQLite file."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path

from blackbox.recorder.storage import chunk_reader
from blackbox.recorder.storage.chunk_reader import NEVER, ChunkReader
from tests.fuzz.files import folder
from tests.recorded_moments import record, series

ALLOWED: tuple[type[Exception], ...] = ()
START = 1_799_996_400.0
SALVAGED_IDS_MAX = 16
"""The seeds have some rows. With 2,000 of every damaged table asked for, one input took 20 ms, nearly all of it for
questions that SQLite answers alike."""


@cache
def seeds() -> Sequence[bytes]:
    directory = folder() / "recording"
    directory.mkdir()
    record(directory, *series(START + 58, 4))
    return [_alone(path) for path in directory.glob("full-*.db")]


def run(data: bytes) -> None:
    chunk_reader.SALVAGED_IDS_MAX = SALVAGED_IDS_MAX
    path = folder() / "chunk"
    path.write_bytes(data)
    with ChunkReader(path) as reader:
        for run in reader.runs(*NEVER):
            for place in range(len(run.layout.keys)):
                run.column(place)
        for _ in reader.frames(*NEVER):
            pass
        reader.newest_frame(START + 30)
        reader.first_and_last()
        reader.has_tail()


def _alone(path: Path) -> bytes:
    """The file without a log beside it."""
    copy = folder() / "copy"
    with closing(sqlite3.connect(path)) as database:
        database.execute("VACUUM INTO ?", (str(copy),))
    try:
        return copy.read_bytes()
    finally:
        copy.unlink()
