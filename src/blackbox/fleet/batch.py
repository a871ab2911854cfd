"""Batches: rows as the bytes that are sent, with a hash of them. The same rows are the same bytes."""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from blackbox.fleet.rows import Rows, TableRow, distinct
from blackbox.fleet.schema import LIFE, TABLES, Table

BATCH = "batch"
BY_NAME = {table.name: table for table in TABLES}


class Part(Struct, frozen=True):
    """What one INSERT brings into one table."""

    table: Table
    columns: tuple[str, ...]
    lines: tuple[bytes, ...]
    """JSON arrays, in the order of the columns."""
    rows: tuple[TableRow, ...]
    token: str
    """Names these bytes and no others: an engine that saw it takes them once."""

    @property
    def body(self) -> bytes:
        return b"\n".join(self.lines)

    @property
    def expected(self) -> int:
        """Rows with different keys."""
        return distinct(self.table, self.rows)

    def slice(self, start: int, end: int) -> "Part":
        """Some of its rows, under a token of their own."""
        token = f"{self.token}/{start}-{end}"
        return msgspec.structs.replace(self, lines=self.lines[start:end], rows=self.rows[start:end], token=token)


class Batch(Struct, frozen=True):
    """A fixed run of whole minutes, or of events."""

    name: str
    digest: int
    """Hash of all its bytes; stands in the column `batch`."""
    parts: tuple[Part, ...]
    """Lives first: once the rest is there, they are."""

    @property
    def rows(self) -> int:
        return sum(len(part.lines) for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes, before compression."""
        return sum(len(line) + 1 for part in self.parts for line in part.lines)


def make_batch(name: str, rows: Rows) -> Batch:
    """`name` says which rows these are: machine, recording, and from where to where."""
    order = (LIFE.name, *(table for table in rows if table != LIFE.name))
    encoded = {table: _lines(BY_NAME[table], rows[table]) for table in order if rows.get(table)}
    hashed = hashlib.sha256()
    for table, lines in encoded.items():
        hashed.update(table.encode())
        hashed.update(b"\n".join(lines))
    digest = int.from_bytes(hashed.digest()[:8], "big")
    parts = [_part(BY_NAME[table], lines, rows[table], name, digest) for table, lines in encoded.items()]
    return Batch(name, digest, tuple(parts))


def _columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.shipped if column.name != BATCH)


def _lines(table: Table, rows: Sequence[TableRow]) -> list[bytes]:
    names = _columns(table)
    return [msgspec.json.encode([row.get(name) for name in names]) for row in rows]


def _part(table: Table, lines: Sequence[bytes], rows: Sequence[TableRow], name: str, digest: int) -> Part:
    columns = _columns(table)
    if any(column.name == BATCH for column in table.columns):
        columns += (BATCH,)
        lines = [line[:-1] + b",%d]" % digest for line in lines]
    return Part(table, columns, tuple(lines), tuple(rows), f"{name}/{table.name}/{digest:016x}")
