"""The row count of a chunk, in its table `mark`: how many rows it has, beside them and with a checksum.

SQLite's pages count their rows in two bytes without one: where these are damaged, the last row of a table is not there
and nothing tells. The count is committed with every row.
"""

import sqlite3
from contextlib import suppress
from typing import NamedTuple, Self

import msgspec

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.recorder.storage.compression import DamageError, signed, unsigned
from blackbox.recorder.storage.database import (
    COUNTED_VERSION,
    FORMAT_VERSION,
    JOINED_SCHEMA,
    JOINED_VERSION,
    MARK_SCHEMA,
    READ_ERRORS,
    version_of,
)


class RowCount(NamedTuple):
    """Rows are numbered from 1 on."""

    blocks: int
    """Rows of `block`."""
    tail: int
    """Rows of `tail`."""
    joined: int = 0
    """Rows of `joined`."""

    def write(self, database: sqlite3.Connection) -> None:
        """Part of the transaction under way. Raises `sqlite3.Error`."""
        database.execute("INSERT OR REPLACE INTO mark VALUES (1, ?)", (signed(_encoder.encode(self)),))

    @classmethod
    def counted(cls, database: sqlite3.Connection) -> Self:
        """As the tables are now. Raises `sqlite3.Error`."""
        return cls(
            *(
                database.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0]  # noqa: S608 - from here
                for table in counted_tables(version_of(database))
            )
        )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(RowCount)


def counted_tables(version: int) -> tuple[str, ...]:
    """The tables of a file of that version whose rows are counted, in the order of `RowCount`."""
    return ("block", "tail", "joined") if version >= JOINED_VERSION else ("block", "tail")


def read_row_count(database: sqlite3.Connection) -> RowCount:
    """The count. Raises `DamageError` where there is none, or none to be believed."""
    with suppress(*READ_ERRORS):
        found = database.execute("SELECT body FROM mark WHERE id = 1").fetchone()
        if found is not None:
            return row_count_in(found[0])
    raise DamageError("row count: missing")


def row_count_in(blob: object) -> RowCount:
    """The count, as it is stored. Raises `DamageError`."""
    try:
        return _decoder.decode(unsigned(blob))
    except DECODE_ERRORS as error:
        raise DamageError(f"row count: {error}") from error


def ensured_row_count(database: sqlite3.Connection) -> RowCount:
    """The count of a chunk that is to be written, made where it has none yet; one of an older version becomes one of
    this. Raises `sqlite3.Error`."""
    version = version_of(database)
    try:
        row_count = read_row_count(database)
        if version == FORMAT_VERSION:
            return row_count
    except DamageError:
        row_count = RowCount.counted(database)
    database.execute("BEGIN IMMEDIATE")
    if version < COUNTED_VERSION:
        database.execute(MARK_SCHEMA)
    if version < JOINED_VERSION:
        database.execute(JOINED_SCHEMA)
    database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    row_count.write(database)
    database.execute("COMMIT")
    return row_count
