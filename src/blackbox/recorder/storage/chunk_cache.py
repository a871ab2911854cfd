"""Rows of chunks, kept between questions: all but the newest minutes of a recording stand still."""

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from blackbox.recorder.storage.columns import StoredColumn
from blackbox.recorder.storage.layout import STATISTICS
from blackbox.recorder.storage.rows import VALUES, Run, packed_run

BYTES_MAX = 8 * 1024 * 1024
"""The last hour of 8 GPUs x 32 processes takes 3 MB."""
UNUSED_SECONDS_MAX = 300.0
"""What nobody asked for in five minutes is forgotten when something else is kept. Screens ask every minute, and ten
minutes in which a thousand processes came and went take a MiB."""
SETTLED_SECONDS = 2.0
"""A file that changed less long ago may change again without another time: file systems tell it in ticks of 10 ms, and
some in whole seconds."""
COLUMNS_KEPT = 32
"""Columns kept of a run: a screen shows some tens of series; an answer about everybody asks for all once."""
COLUMN_BYTES = 350
"""What a kept column takes beside its numbers, as measured."""
NUMBER_BYTES = 8
SERIES_BYTES = 240
"""What a layout takes for each of its series once it was asked for some, as measured. Where thousands of processes came
and went, more than numbers."""
LOG_SUFFIX = "-wal"
"""Of the file beside a chunk that is being written."""

Version = tuple[tuple[int, ...] | None, ...]
"""Of a chunk's file and of its log: device, inode, size, times of change. None where there is none, or an empty log."""


class KeptRun(Run):
    """A run whose first columns that are asked for are kept as they are stored. The others are read from the bytes of
    the block, which are unpacked until `pack`. Nothing of it is ever out of date: a block that is written stays."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.layout, run.times, run.column, run.stored)
        self._kept: dict[int, StoredColumn] = {}
        self._unpacked: Run | None = run

    def column(self, index: int) -> Sequence[float]:
        """The numbers of one column."""
        (kept,) = self.stored_columns([index])
        return self._run().column(index) if kept is None else kept.numbers()

    def stored_columns(self, indices: Sequence[int]) -> Sequence[StoredColumn | None]:
        """Columns as they are stored; None for those that are in no block, or cannot be read."""
        known = [self._kept.get(index) for index in indices]
        if None not in known:
            return known
        found = self._run().stored_columns(indices)
        for index, column in zip(indices, found, strict=True):
            if len(self._kept) >= COLUMNS_KEPT:
                break
            if column is not None:
                self._kept[index] = column
        return found

    def pack(self) -> None:
        """Lets go of what can be unpacked again."""
        if self.stored is not None:
            self._unpacked = None

    def _run(self) -> Run:
        run = self._unpacked
        if run is None:
            run = self._unpacked = packed_run(self.stored, lambda _: self.layout)
        return run

    @property
    def bytes_max(self) -> int:
        """What it may come to hold, packed."""
        rows = NUMBER_BYTES * len(self.times)
        if self.stored is None:
            return (VALUES + len(STATISTICS) * self.layout.width) * rows
        return len(self.stored) + rows + COLUMNS_KEPT * (COLUMN_BYTES + rows)


class KeptChunk(NamedTuple):
    """What was read of a chunk."""

    version: Version | None
    """As of before it was read; None where it may change without another one."""
    edges: tuple[float, ...] | None
    """Times of its first row and its last moment; empty where it has none, None where nobody asked."""
    since: float
    until: float
    runs: Sequence[KeptRun] = ()
    """All whose rows may lie between these two times."""

    @property
    def bytes_max(self) -> int:
        """What it may come to hold."""
        layouts = {id(run.layout): run.layout.width for run in self.runs}
        return sum(run.bytes_max for run in self.runs) + SERIES_BYTES * sum(layouts.values())

    def covers(self, since: float, until: float) -> bool:
        """Whether it has every row of that range."""
        return self.since <= since and until <= self.until


NO_RANGE = math.inf, -math.inf
"""`since` and `until` of a chunk of which no rows were read."""


class _Used(NamedTuple):
    chunk: KeptChunk
    at: float
    """When it was last asked for, by the clock of the cache."""
    bytes_max: int
    """Of the chunk, which stays what it is."""


class ChunkCache:
    """Chunks by their paths. One holds as long as neither its file nor its log is another one, or has changed: size and
    times of change are the same. A file that changed a moment ago may do so again without another time, so it is not
    kept, and neither is one with damage, which every question counts.

    Bounded in bytes: those unused for the longest time go first. Safe to use from several threads.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._chunks: dict[Path, _Used] = {}
        """The one used last stands last."""
        self._lock = threading.Lock()
        self._clock = clock
        self._wall_clock = wall_clock

    @property
    def bytes_max(self) -> int:
        """What all may come to hold."""
        with self._lock:
            return sum(used.bytes_max for used in self._chunks.values())

    def version(self, path: Path) -> Version | None:
        """The chunk's version; None where it may change without another one."""
        name = os.fspath(path)
        found = _version(name), _version(name + LOG_SUFFIX)
        changed = max((max(one[-2:]) for one in found if one is not None), default=None)
        settled = changed is not None and 0 <= changed <= (self._wall_clock() - SETTLED_SECONDS) * 1e9
        return found if settled and found[0] is not None else None

    def find(self, path: Path) -> KeptChunk | None:
        """The chunk as it is now; None where it is not known."""
        with self._lock:
            used = self._chunks.pop(path, None)
        if used is None or used.chunk.version != self.version(path):
            return None
        with self._lock:
            self._chunks[path] = used._replace(at=self._clock())
        return used.chunk

    def keep(self, path: Path, chunk: KeptChunk) -> None:
        """Keeps what was read, unless the chunk has changed meanwhile."""
        if chunk.version is None:
            return
        bytes_max = chunk.bytes_max
        if bytes_max > BYTES_MAX or chunk.version != self.version(path):
            return
        now = self._clock()
        with self._lock:
            self._chunks.pop(path, None)
            self._chunks[path] = _Used(chunk, now, bytes_max)
            total = sum(used.bytes_max for used in self._chunks.values())
            for oldest, used in list(self._chunks.items()):
                if total <= BYTES_MAX and now - used.at <= UNUSED_SECONDS_MAX:
                    break
                del self._chunks[oldest]
                total -= used.bytes_max


def _version(name: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - each question asks it of all files, several times
    except OSError:
        return None
    if not found.st_size and name.endswith(LOG_SUFFIX):
        return None  # a reader makes it where there is none
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
