"""Writing a chunk: each row is committed at once beside the moment it was made from; blocks are packed from them."""

import contextlib
import sqlite3
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

from blackbox.model.times import TIME_SECONDS_MAX
from blackbox.recorder.storage.chunk_reader import NEVER, ChunkReader
from blackbox.recorder.storage.columns import encode
from blackbox.recorder.storage.compression import DamageError, DeltaCodec, Packer, pack, unpack
from blackbox.recorder.storage.database import CHUNK_SCHEMA, open_for_writing, shrunk, sync
from blackbox.recorder.storage.frames import Frame, pack_pieces
from blackbox.recorder.storage.joining import JOINED, groups, join_rows, union_of
from blackbox.recorder.storage.layout import CHECKSUM_BITS, ID_BITS, Layout
from blackbox.recorder.storage.row_count import ensured_row_count
from blackbox.recorder.storage.rows import Run, pack_row
from blackbox.recorder.storage.slices import in_slices
from blackbox.recorder.storage.subjects import MISSING

BLOCK_BYTES_MAX = 8 * 1024 * 1024
"""Of moments before compression: 120 of 8 GPUs × 32 processes, unpacked in 4 ms. Machines with many blocks of memory
get shorter blocks."""
BLOCK_SUBJECTS_MAX = 4096
"""Different ones in a block, or twice those of its last row where these are more. Where processes come and go, a block
of an hour would name tens of thousands: packing takes memory for each, and each stands in every row, mostly as a
gap."""


class DistinctCount:
    """How many different things were told, as far as their hashes fall on different bits: a few in a hundred less. Of
    an hour's subjects a set would keep their hashes, 100 bytes each, and the memory around them."""

    BITS = 1 << 17

    def __init__(self) -> None:
        self._seen = bytearray()
        self._distinct = 0

    def count(self, things: Iterable[object]) -> int:
        """All of those so far, these among them."""
        seen = self._seen = self._seen or bytearray(self.BITS // 8)
        for place in {hash(thing) % self.BITS for thing in things}:
            bit = 1 << place % 8
            if not seen[place // 8] & bit:
                seen[place // 8] |= bit
                self._distinct += 1
        return self._distinct


class ChunkWriter:
    """The one writer of a chunk. Every method raises `sqlite3.Error` where the disk does not play along; what was
    committed before stays."""

    def __init__(self, path: Path, statistics: int) -> None:
        """Goes on with the chunk at `path`, or makes it. `statistics` is how many columns a series has."""
        self.path = path
        self._statistics = statistics
        self._database = open_for_writing(path, CHUNK_SCHEMA)
        try:
            self._row_count = ensured_row_count(self._database)
        except BaseException:
            self._database.close()
            raise
        self._layout: weakref.ref[Layout] | None = None
        """The layout of the last row, which is stored, while somebody else needs it: that of an hour in which processes
        came and went takes megabytes."""
        self._layout_id = 0
        """Its id."""
        self._key: tuple[int, DeltaCodec] | None = None
        """The key frame of the tail."""
        self._row_packer = Packer()
        self._is_synced: bool | None = None
        """Whether commits are synced, as the database was told last."""
        self._tail_bytes = 0
        """Of the moments in the tail, since this process writes it."""
        self._tail_subjects = DistinctCount()
        """Of the subjects of these rows."""
        self._has_many_subjects = False

    @property
    def is_full_block(self) -> bool:
        """The tail should be packed, however young it is."""
        return self._tail_bytes >= BLOCK_BYTES_MAX or self._has_many_subjects

    def append(self, time: float, layout: Layout, values: Sequence[float], frame: Frame, *, synced: bool) -> None:
        """Commits one row and its moment; on the disk too, with everything before it, when `synced`."""
        stored = frame.alone()
        key = None if self._key is None else self._key[0]
        blob = pack(stored) if self._key is None else self._key[1].pack(stored)
        is_new = not self._is_stored(layout)
        with self._transaction(synced):
            layout_id = self._stored_id(layout)
            done = self._database.execute(
                "INSERT INTO tail (since, until, key, frame, row) VALUES (?, ?, ?, ?, ?)",
                (time, frame.time, key, blob, pack_row(time, layout_id, values, self._row_packer)),
            )
            row_count = self._row_count._replace(tail=self._row_count.tail + 1)
            row_count.write(self._database)
        self._row_count = row_count
        self._layout, self._layout_id = weakref.ref(layout), layout_id
        self._tail_bytes += len(frame.body)
        if is_new:
            self._count_subjects(layout)
        if self._key is None and done.lastrowid is not None:
            self._key = done.lastrowid, DeltaCodec(stored)

    def oldest_in_tail(self) -> float | None:
        """Time of the first row that is in no block; None where there is none, or its time is damaged."""
        (oldest,) = self._database.execute("SELECT min(since) FROM tail").fetchone()
        return oldest if isinstance(oldest, float) and 0 <= oldest <= TIME_SECONDS_MAX else None

    def pack_tail(self) -> None:
        """Packs the tail into a block."""
        with ChunkReader(self.path) as reader:
            runs = reader.tail_runs(*NEVER)
            if runs:
                self._pack_tail(reader, runs)
        self._key = None
        self._tail_bytes = 0
        self._tail_subjects, self._has_many_subjects = DistinctCount(), False

    def close(self) -> None:
        """Lets go of the file, to go on with it later."""
        self._database.close()

    def finish(self) -> None:
        """Packs the tail, and leaves one small file that is not written again; a reader may keep it a little larger."""
        beside: Path | None = None
        try:
            self.pack_tail()
            if self._statistics == 1:
                self._join_rows()
            beside = shrunk(self._database, self.path)
        finally:
            self._database.close()
        if beside is not None:
            beside.rename(self.path)
            sync(self.path.parent)

    def _pack_tail(self, reader: ChunkReader, runs: Sequence[Run]) -> None:
        kept = [(frame.time, len(frame.body)) for frame in reader.tail_frames(*NEVER)]
        moments, sizes = [time for time, _ in kept], [size for _, size in kept]
        frames = pack_pieces(moments, sizes, (frame.body for frame in reader.tail_frames(*NEVER)))
        layout = runs[0].layout if len(runs) == 1 else Layout.union(run.layout for run in runs)
        times = [time for run in runs for time in run.times]
        with self._transaction(synced=False):
            layout_ids = [float(self._stored_id(layout))] * len(times)
            columns = chain((times, layout_ids), _columns(layout, runs, self._statistics))
            self._database.execute(
                "INSERT INTO block (since, until, frames, rows) VALUES (?, ?, ?, ?)",
                (min(times), max((*times, *moments)), frames, encode(in_slices(columns))),
            )
            self._database.execute("DELETE FROM tail")
            row_count = self._row_count._replace(blocks=self._row_count.blocks + 1, tail=0)
            row_count.write(self._database)
        self._row_count = row_count

    def _join_rows(self) -> None:
        """Joins the rows of neighbouring blocks. What is damaged stays where it is."""
        with ChunkReader(self.path) as reader:
            for group in groups(reader.block_runs()):
                with contextlib.suppress(DamageError):
                    self._join(group)

    def _join(self, group: Sequence[tuple[int, Run]]) -> None:
        """Raises `DamageError`."""
        runs = [run for _, run in group]
        layout = union_of(runs)
        times = [time for run in runs for time in run.times]
        with self._transaction(synced=False):
            rows = join_rows(runs, layout, self._stored_id(layout))
            self._database.execute(
                "INSERT INTO joined (since, until, rows) VALUES (?, ?, ?)", (min(times), max(times), rows)
            )
            for number, _ in group:
                self._database.execute("UPDATE block SET rows = ? WHERE id = ?", (JOINED, number))
            row_count = self._row_count._replace(joined=self._row_count.joined + 1)
            row_count.write(self._database)
        self._row_count = row_count

    def _stored_id(self, layout: Layout) -> int:
        """What rows name the layout by; it is stored where it is not yet, and anew where another has its id."""
        if self._is_stored(layout):
            return self._layout_id
        found = self._database.execute("SELECT body FROM layout WHERE id = ?", (layout.checksum,)).fetchone()
        if found is not None and _is_body(found[0], layout):
            return layout.checksum
        number = layout.checksum
        if found is not None:
            (newest,) = self._database.execute("SELECT max(id) FROM layout WHERE id < ?", (1 << ID_BITS,)).fetchone()
            number += (newest >> CHECKSUM_BITS) + 1 << CHECKSUM_BITS
        self._database.execute("INSERT INTO layout VALUES (?, ?)", (number, layout.packed()))
        return number

    def _count_subjects(self, layout: Layout) -> None:
        """Of a row with another layout than the one before."""
        subjects = layout.subjects
        if self._tail_subjects.count(subjects) > max(BLOCK_SUBJECTS_MAX, 2 * len(subjects)):
            self._has_many_subjects = True

    def _is_stored(self, layout: Layout) -> bool:
        return self._layout is not None and self._layout() is layout

    @contextlib.contextmanager
    def _transaction(self, synced: bool) -> Generator[None, None, None]:
        if synced is not self._is_synced:
            self._database.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._is_synced = synced
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise


def _is_body(stored: object, layout: Layout) -> bool:
    try:
        return unpack(stored) == layout.body
    except DamageError:
        return False


def _columns(layout: Layout, runs: Sequence[Run], statistics: int) -> Iterator[Sequence[float]]:
    """The columns of the runs, one below the other, in the order of `layout`."""
    for statistic in range(statistics):
        for subject in layout.subjects:
            for metric in layout.metrics_of(subject):
                places = [run.layout.place(subject, metric) for run in runs]
                yield list(chain.from_iterable(map(_part, runs, places, repeat(statistic))))


def _part(run: Run, place: int | None, statistic: int) -> Sequence[float]:
    if place is None:
        return [MISSING] * len(run.times)
    return run.column(statistic * run.layout.width + place)
