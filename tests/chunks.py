"""Chunks as tests write and read them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from blackbox.model.series import RECORDED
from blackbox.recorder.storage.chunk_reader import NEVER, ChunkReader
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.frames import Frame, to_bytes
from blackbox.recorder.storage.layout import Layout, keys_of
from blackbox.recorder.storage.subjects import numbers_of
from tests.recorded_moments import series

START = 1_800_000_000.0


LEAF_OF_A_TABLE = 13
"""First byte of such a page in SQLite's format; bytes 3 and 4 count its rows."""


BRANCH_OF_A_TABLE = 5
"""Likewise; bytes 8 to 11 are its last child, 12 and 13 say where in the page its first child is named."""


METRICS_EACH = len(RECORDED["process"])


@contextlib.contextmanager
def writer_of(path: Path) -> Iterator[ChunkWriter]:
    with contextlib.closing(ChunkWriter(path, 1)) as writer:
        yield writer


def append(writer: ChunkWriter, seconds: float, *, since: float = START, **more: bool) -> list[Frame]:
    """Moments from `since` on, and what was stored of them."""
    frames: list[Frame] = []
    for one in series(since, seconds, **more):
        subjects, values, metrics = numbers_of(one)
        frames.append(Frame(one.timestamp, to_bytes(one)))
        writer.append(one.timestamp, Layout(subjects, keys_of(metrics)), values, frames[-1], synced=False)
    return frames


def frames_in(path: Path) -> list[Frame]:
    with ChunkReader(path) as reader:
        return sorted(reader.frames(*NEVER))


def used(path: Path) -> dict[float, float]:
    """Time -> bytes the process used."""
    found: dict[float, float] = {}
    with ChunkReader(path) as reader:
        for run in reader.runs(*NEVER):
            place = [(key.subject.kind, key.metric.key) for key in run.layout.keys].index(("process", "used_bytes"))
            found |= dict(zip(run.times, run.column(place), strict=True))
    return found


SMALL_SECONDS = 5


def small_chunk(path: Path, seconds: int = SMALL_SECONDS) -> list[Frame]:
    """Six blocks and a tail of so many seconds each, in one file."""
    with writer_of(path) as writer:
        frames: list[Frame] = []
        for number in range(7):
            frames += append(writer, seconds, since=START + seconds * number)
            if number < 6:
                writer.pack_tail()
    return frames
