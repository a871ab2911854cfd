"""Writing one tier: the right chunk for every time, packed and finished when its time has come."""

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from blackbox.recorder.storage.chunk_reader import ChunkReader
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.database import READ_ERRORS
from blackbox.recorder.storage.directory import ChunkFile, chunk_file, chunk_files
from blackbox.recorder.storage.frames import Frame
from blackbox.recorder.storage.layout import STATISTICS, Layout
from blackbox.recorder.storage.tiers import Tier, period_start

log = logging.getLogger(__name__)


class TierWriter:
    """The one writer of a tier. Raises `sqlite3.Error` where the disk does not play along."""

    def __init__(self, directory: Path, tier: Tier, chunk_bytes_max: int) -> None:
        self.tier = tier
        self.damaged = 0
        """Chunks that could not be gone on with."""
        self._directory = directory
        self._chunk_bytes_max = chunk_bytes_max
        self._chunk: tuple[ChunkFile, ChunkWriter] | None = None
        """The one being written."""
        self._block: float | None = None
        """Start of the period that the last row lies in."""

    @property
    def open_path(self) -> Path | None:
        """The file being written."""
        return self._chunk[0].path if self._chunk else None

    def append(self, time: float, layout: Layout, values: Sequence[float], frame: Frame, *, synced: bool) -> None:
        """Commits one row and its moment."""
        try:
            self._writer(time).append(time, layout, values, frame, synced=synced)
        except sqlite3.Error:
            self.close()
            raise

    def is_due(self, time: float) -> bool:
        """Whether the open chunk's rows should be packed, or it be finished, before a row of that time comes."""
        if self._chunk is None:
            return False
        file, writer = self._chunk
        is_over = file.start != period_start(time, self.tier.chunk_seconds)
        return is_over or self._is_block_due(period_start(time, self.tier.block_seconds), writer)

    def pack(self, time: float) -> None:
        """Packs all rows of the chunk that `time` lies in, where there are any."""
        start = period_start(time, self.tier.chunk_seconds)
        if any(chunk.start == start for chunk in chunk_files(self._directory, self.tier.name)):
            self._chunk = self._opened(start)
            self._pack()

    def finish_older(self, time: float) -> None:
        """Finishes what a killed process left behind, but the chunk that `time` lies in."""
        current = period_start(time, self.tier.chunk_seconds)
        for chunk in chunk_files(self._directory, self.tier.name):
            if chunk.start != current and _is_unfinished(chunk):
                self._finish(chunk)

    def close(self) -> None:
        """Lets go of the file, to go on with it later."""
        if self._chunk is not None:
            self._chunk[1].close()
        self._chunk = self._block = None

    def _writer(self, time: float) -> ChunkWriter:
        start = period_start(time, self.tier.chunk_seconds)
        if self._chunk is not None and self._chunk[0].start != start:
            self._leave()
        if self._chunk is None:
            self._chunk = self._opened(start)
            oldest = self._chunk[1].oldest_in_tail()
            self._block = None if oldest is None else period_start(oldest, self.tier.block_seconds)
        block = period_start(time, self.tier.block_seconds)
        if self._is_block_due(block, self._chunk[1]):
            self._pack()
        self._block = block
        return self._chunk[1]

    def _is_block_due(self, block: float, writer: ChunkWriter) -> bool:
        return (self._block is not None and self._block != block) or writer.is_full_block

    def _pack(self) -> None:
        assert self._chunk is not None
        file, writer = self._chunk
        writer.pack_tail()
        if file.bytes() > self._chunk_bytes_max:
            self._leave()
            self._chunk = self._opened(file.start, file.number + 1)

    def _leave(self) -> None:
        """Finishes the open chunk; one that cannot be now is finished at the next start."""
        assert self._chunk is not None
        file, writer = self._chunk
        self._chunk = self._block = None
        try:
            writer.finish()
        except (sqlite3.Error, OSError) as error:
            log.warning("%s stays as it is: %s", file.path.name, error)

    def _opened(self, start: float, number: int = 0) -> tuple[ChunkFile, ChunkWriter]:
        existing = [chunk.number for chunk in chunk_files(self._directory, self.tier.name) if chunk.start == start]
        number = max((number, *existing))
        while True:
            file = chunk_file(self._directory, self.tier.name, start, number)
            try:
                return file, ChunkWriter(file.path, self._statistics)
            except sqlite3.OperationalError:
                raise
            except READ_ERRORS as error:
                log.warning("%s is kept, and recording goes on in another: %s", file.path.name, error)
                self.damaged += 1
                number += 1

    def _finish(self, chunk: ChunkFile) -> None:
        try:
            ChunkWriter(chunk.path, self._statistics).finish()
        except (*READ_ERRORS, OSError) as error:
            log.warning("%s stays as it is: %s", chunk.path.name, error)

    @property
    def _statistics(self) -> int:
        return len(STATISTICS) if self.tier.step_seconds else 1


def _is_unfinished(chunk: ChunkFile) -> bool:
    if chunk.has_companions():
        return True
    with ChunkReader(chunk.path) as reader:
        return reader.has_tail()
