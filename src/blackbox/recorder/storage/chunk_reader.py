"""Reading a chunk, whatever has happened to it: what is damaged is skipped and counted, the rest is read."""

import sqlite3
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blackbox.recorder.storage.columns import Columns
from blackbox.recorder.storage.compression import DamageError, DeltaCodec, unpack
from blackbox.recorder.storage.database import (
    COUNTED_VERSION,
    READ_ERRORS,
    open_for_reading,
    version_of,
)
from blackbox.recorder.storage.frames import Frame, newest_packed, unpack_frames
from blackbox.recorder.storage.joining import JOINED
from blackbox.recorder.storage.layout import CHECKSUM_BITS, Layout, LayoutCache
from blackbox.recorder.storage.row_count import RowCount, counted_tables, read_row_count, row_count_in
from blackbox.recorder.storage.rows import LAYOUT, Run, check_row, layout_id, packed_run, tail_runs, unpack_row
from blackbox.recorder.storage.slices import in_slices

SALVAGED_IDS_MAX = 2000
"""Rows of a damaged table are asked for one by one: a chunk has few blocks, and a tail of some hundred rows."""
NEVER = -1e300, 1e300
TOUCHING = """(until >= ? AND since <= ?) OR typeof(since) <> 'real' OR typeof(until) <> 'real'
OR since NOT BETWEEN 0 AND 1e11 OR until NOT BETWEEN 0 AND 1e11"""
"""Rows of a range. Those whose times make no sense are looked at, too: what is damaged must not hide."""
_layouts = LayoutCache()
"""Chunks of a tier mostly have the same."""

SqlRow = tuple[Any, ...]
_TIME = attrgetter("time")
_TAIL = object()


class ChunkReader:
    """One chunk as it was when it was opened. Never raises over its content."""

    def __init__(self, path: Path) -> None:
        self.damaged = 0
        """Records that could not be read so far."""
        self._layouts: dict[int, Layout] = {}
        self._delta_codecs: dict[int, DeltaCodec] = {}
        self._tables: Collection[str] = ()
        """Those in which there may be rows."""
        self._database: sqlite3.Connection | None = None
        try:
            self._database = open_for_reading(path)
            self._database.execute("BEGIN")
            self.damaged += self._missing()
        except READ_ERRORS:
            if path.exists():  # otherwise its time had come
                self.damaged += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        if self._database is not None:
            self._database.close()

    def runs(self, since: float, until: float) -> Iterator[Run]:
        """The rows of every block that touches the range, and those not yet in a block."""
        for blob in self._row_blobs(since, until):
            try:
                yield packed_run(blob, self.layout)
            except DamageError:
                self.damaged += 1
        yield from self.tail_runs(since, until)

    def block_runs(self) -> Iterator[tuple[int, Run]]:
        """The id and the rows of every block that has its rows itself; of those that can be read."""
        for number, blob in self._select("block", "id, rows", *NEVER):
            with suppress(DamageError):
                if blob != JOINED:
                    yield number, packed_run(blob, self.layout, partial(Columns, heads_apart_max=0))

    def _row_blobs(self, since: float, until: float) -> list[object]:
        """The rows of blocks that touch the range, packed, oldest first; of several that are joined once."""
        found = [row for table in ("block", "joined") for row in self._select(table, "since, rows", since, until)]
        blobs = [(_begin(start), blob) for start, blob in found if blob != JOINED]
        return [blob for _, blob in sorted(blobs, key=itemgetter(0))]

    def frames(self, since: float, until: float) -> Iterator[Frame]:
        """The moments in the range, oldest first. One block of them is in memory at a time, more only where a clock was
        set back and blocks overlap.
        """
        held: list[Frame] = []
        for frames in self._blocks(since, until):
            start = min((frame.time for frame in frames), default=since)
            yield from (frame for frame in held if frame.time < start)
            held = sorted([*(frame for frame in held if frame.time >= start), *frames], key=_TIME)
        yield from held

    def _blocks(self, since: float, until: float) -> Iterator[list[Frame]]:
        """The moments of each block in the range, and those of the tail; whichever begins first before the others."""
        for blob in self._frame_blobs(since, until):
            try:
                frames = self.tail_frames(since, until) if blob is _TAIL else unpack_frames(blob, since, until)
                yield [frame for frame in frames if since <= frame.time <= until]
            except DamageError:
                self.damaged += 1

    def _frame_blobs(self, since: float, until: float) -> list[object]:
        """The moments of each block that touches the range, packed; `_TAIL` stands for those of the tail."""
        rows = self._select("block", "since, frames", since, until)
        blocks: list[tuple[float, object]] = [(_begin(start), blob) for start, blob in rows]
        tail = [_begin(start) for (start,) in self._select("tail", "since", since, until)]
        if tail:
            blocks.append((min(tail), _TAIL))
        return [blob for _, blob in sorted(blocks, key=itemgetter(0))]

    def tail_runs(self, since: float, until: float) -> list[Run]:
        """The rows that are in no block yet."""
        rows: list[array[float]] = []
        for (blob,) in in_slices(self._select("tail", "row", since, until)):
            try:
                row = unpack_row(blob)
                check_row(row, self.layout(layout_id(row[LAYOUT])))
                rows.append(row)
            except DamageError:
                self.damaged += 1
        return tail_runs(rows, self.layout)

    def tail_frames(self, since: float, until: float) -> Iterator[Frame]:
        """The moments that are in no block yet."""
        for key, number, blob in self._select("tail", "key, id, frame", since, until):
            frame = self._tail_frame(key, number, blob)
            if frame is not None:
                yield frame

    def newest_frame(self, until: float) -> Frame | None:
        """The last moment not after `until`."""
        newest: Frame | None = None
        for since, last in sorted(self._spans(until), key=lambda span: span[1], reverse=True):
            if newest is not None and last <= newest.time:
                break
            for found in self._newest_frames(since, min(last, until)):
                if newest is None or found.time > newest.time:
                    newest = found
        return newest

    def _newest_frames(self, since: float, until: float) -> Iterator[Frame]:
        """The last moment in the range of each block, and of the tail; whichever begins first before the others."""
        for blob in self._frame_blobs(since, until):
            try:
                if blob is _TAIL:
                    fitting = (frame for frame in self.tail_frames(since, until) if since <= frame.time <= until)
                    found = max(fitting, default=None, key=_TIME)
                else:
                    found = newest_packed(blob, since, until)
            except DamageError:
                self.damaged += 1
            else:
                if found is not None:
                    yield found

    def first_and_last(self) -> tuple[float, float] | None:
        """Times of the first row and of the last moment, as far as the index tells."""
        spans = self._spans(NEVER[1])
        return (min(since for since, _ in spans), max(until for _, until in spans)) if spans else None

    def has_tail(self) -> bool:
        """Some rows are in no block yet."""
        return any(True for _ in self._select("tail", "id", *NEVER))

    def layout(self, number: int) -> Layout:
        """The layout of that id. Raises `DamageError`."""
        if number not in self._layouts:
            found = self._ask("SELECT body FROM layout WHERE id = ?", number)
            if not found:
                raise DamageError("layout: missing")
            layout = _layouts.unpacked(found[0][0])
            if layout.checksum != number % (1 << CHECKSUM_BITS):
                raise DamageError("layout: another one")
            self._layouts[number] = layout
        return self._layouts[number]

    def _missing(self) -> int:
        """Rows that should be there and are not found: both tables are filled from 1 on, and the tail is emptied whole.

        Raises `READ_ERRORS`.
        """
        assert self._database is not None
        version = version_of(self._database)
        tables = self._tables = counted_tables(version)
        if version < COUNTED_VERSION:
            return sum(map(self._gaps, tables))
        counted = self._counted(tables)
        if counted is not None:
            return counted
        try:
            row_count = read_row_count(self._database)
        except DamageError:
            return 1 + sum(map(self._gaps, tables))
        return _fewer(row_count, map(self._count, tables))

    def _counted(self, tables: Sequence[str]) -> int | None:
        """The same in one query; None where the chunk is damaged."""
        assert self._database is not None
        counts = ", ".join(f"(SELECT count(*) FROM {table} WHERE id >= 1)" for table in tables)  # noqa: S608 - ours
        try:
            question = f"SELECT (SELECT body FROM mark WHERE id = 1), {counts}"  # noqa: S608 - likewise
            told, *found = self._database.execute(question).fetchone()
            row_count = row_count_in(told)
        except (DamageError, *READ_ERRORS):
            return None
        self._tables = [table for table, *counts in zip(tables, row_count, found, strict=False) if any(counts)]
        return _fewer(row_count, found)

    def _count(self, table: str) -> int:
        found = self._ask(f"SELECT count(*) FROM {table} WHERE id >= ?", 1)  # noqa: S608 - a name from this file
        return found[0][0] if found else 0

    def _gaps(self, table: str) -> int:
        """Rows that are not found though there are later ones."""
        found = self._ask(f"SELECT max(id) - count(*) FROM {table} WHERE id > ?", 0)  # noqa: S608 - likewise
        return max(0, found[0][0] or 0) if found else 0

    def _spans(self, until: float) -> list[tuple[float, float]]:
        found = [
            (since, last)
            for table in ("block", "tail")
            for since, last in self._select(table, "since, until", NEVER[0], until)
            if isinstance(since, float) and isinstance(last, float)
        ]
        return [(since, last) for since, last in found if since <= until]

    def _tail_frame(self, key: int | None, number: int, blob: bytes) -> Frame | None:
        try:
            stored = unpack(blob) if key is None else self._delta_codec(key).unpack(blob)
            if key is None:
                self._delta_codecs[number] = DeltaCodec(stored)
            return Frame.from_alone(stored)
        except DamageError:
            self.damaged += 1
            return None

    def _delta_codec(self, key: int) -> DeltaCodec:
        if key not in self._delta_codecs:
            found = self._ask("SELECT frame FROM tail WHERE id = ?", key)
            if not found:
                raise DamageError("key frame: missing")
            self._delta_codecs[key] = DeltaCodec(unpack(found[0][0]))
        return self._delta_codecs[key]

    def _select(self, table: str, columns: str, since: float, until: float) -> list[SqlRow]:
        """Columns of the rows that touch the range; of all that can be read, where the table is damaged."""
        if self._database is None or table not in self._tables:
            return []
        wanted = f"SELECT id, {columns} FROM {table}"  # noqa: S608 - names from this file
        try:
            return self._once(self._database.execute(f"{wanted} WHERE {TOUCHING}", (since, until)).fetchall())
        except READ_ERRORS:
            self.damaged += 1
        found: list[SqlRow] = []
        for number in range(1, SALVAGED_IDS_MAX + 1):
            found += self._ask(f"{wanted} WHERE id = ?", number)
        return self._once(found)

    def _once(self, rows: list[SqlRow]) -> list[SqlRow]:
        """Each without its id, and no id twice: a damaged page may lead SQLite to the same rows again."""
        found = {row[0]: row[1:] for row in rows}
        self.damaged += len(rows) - len(found)
        return list(found.values())

    def _ask(self, question: str, number: int) -> list[SqlRow]:
        if self._database is None:
            return []
        try:
            return self._database.execute(question, (number,)).fetchall()
        except READ_ERRORS:
            return []


def _fewer(told: RowCount, found: Iterable[int]) -> int:
    """Rows that are told and not found."""
    return sum(max(0, count - number) for count, number in zip(told, found, strict=False))


def _begin(stored: object) -> float:
    return stored if isinstance(stored, float) else NEVER[0]
