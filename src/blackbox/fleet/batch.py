"""Batches: rows as the bytes that are sent, with a hash of them. The same rows are the same bytes."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import zstandard
from msgspec import Struct

from blackbox.fleet.rows import Rows, TableRow, distinct, key_columns
from blackbox.fleet.schema import LIFE, TABLES
from blackbox.fleet.table import Table

BATCH = "batch"
PACKED_LEVEL = 1
"""Of what waits to be sent; it is packed once more on its way."""
BY_NAME = {table.name: table for table in TABLES}


class Part(Struct, frozen=True):
    """What one INSERT brings into one table. Kept packed: a batch may wait for its engine for long."""

    table: Table
    columns: tuple[str, ...]
    packed: tuple[bytes, ...]
    """JSON arrays in the order of the columns but for `batch`, a line each; compressed in pieces."""
    rows: int
    expected: int
    """Rows with different keys."""
    since: str
    until: str
    """Of its rows the first and the last time: of a minute, of an event, of being seen."""
    digest: int
    token: str
    """Names these bytes and no others: an engine that saw it takes them once."""

    @property
    def pieces(self) -> Iterator[bytes]:
        """What is sent, a piece at a time."""
        end = b",%d]\n" % self.digest if BATCH in self.columns else b"]\n"
        for piece in self.packed:
            yield zstandard.decompress(piece).replace(b"]\n", end)  # in JSON no text holds the end of a line

    @property
    def size(self) -> int:
        """Bytes, before compression."""
        return sum(map(zstandard.frame_content_size, self.packed))

    def slice(self, start: int, end: int) -> "Part":
        """Some of its rows, under a token of their own."""
        lines = b"".join(map(zstandard.decompress, self.packed)).splitlines(keepends=True)[start:end]
        keys = [self.columns.index(key) for key in key_columns(self.table)]
        rows: list[list[object]] = [msgspec.json.decode(line) for line in lines]
        return msgspec.structs.replace(
            self,
            packed=(_packed(b"".join(lines)),),
            rows=len(lines),
            expected=len({tuple(row[key] for key in keys) for row in rows}),
            token=f"{self.token}/{start}-{end}",
        )


class Batch(Struct, frozen=True):
    """A fixed run of whole minutes, or of events."""

    name: str
    digest: int
    """Hash of all its bytes; stands in the column `batch`."""
    parts: tuple[Part, ...]
    """Lives first: once the rest is there, they are."""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes, before compression."""
        return sum(part.size for part in self.parts)


class _Growing:
    """A part while rows come."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.hash = hashlib.sha256(table.name.encode())
        self._packed: list[bytes] = []
        self._rows = self._expected = 0
        self._times: tuple[str, str] | None = None
        self._names = [column.name for column in table.shipped if column.name != BATCH]

    def add(self, rows: Sequence[TableRow]) -> None:
        """`rows`: all that there are of their minute, so that none before has one of their keys."""
        lines = b"".join(msgspec.json.encode([row.get(name) for name in self._names]) + b"\n" for row in rows)
        self.hash.update(lines)
        self._packed.append(_packed(lines))
        self._rows += len(rows)
        self._expected += distinct(self.table, rows)
        times = [row[self.table.time] for row in rows] + list(self._times or ())
        self._times = min(times), max(times)

    def done(self, name: str, digest: int) -> Part:
        """The part of the batch of that name."""
        columns = (*self._names, BATCH) if any(one.name == BATCH for one in self.table.columns) else (*self._names,)
        since, until = self._times or ("", "")
        token = f"{name}/{self.table.name}/{digest:016x}"
        return Part(self.table, columns, tuple(self._packed), self._rows, self._expected, since, until, digest, token)


def make_batch(name: str, slices: Iterable[Rows]) -> Batch:
    """`name` says which rows these are: machine, recording, and from where to where. Of `slices`, one is in memory at a
    time, and none has a key of another."""
    growing: dict[str, _Growing] = {}
    for rows in slices:
        _grow(growing, rows)
        del rows  # before the next are made
    hashes = b"".join(growing[table].hash.digest() for table in sorted(growing))
    digest = int.from_bytes(hashlib.sha256(hashes).digest()[:8], "big")
    ordered = sorted(growing.values(), key=lambda one: (one.table is not LIFE, TABLES.index(one.table)))
    return Batch(name, digest, tuple(one.done(name, digest) for one in ordered))


def _grow(growing: dict[str, _Growing], rows: Rows) -> None:
    for table, some in rows.items():
        if some:
            growing.setdefault(table, _Growing(BY_NAME[table])).add(some)


def _packed(lines: bytes) -> bytes:
    return zstandard.compress(lines, PACKED_LEVEL)
