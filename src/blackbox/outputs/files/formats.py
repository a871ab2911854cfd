"""File formats for rows: rows go in one after the other, so no range is too long."""

import csv
import importlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, Protocol

import msgspec

from blackbox.errors import FailureError
from blackbox.outputs.files.rows import Column, Row

BATCH_ROWS = 50_000
"""Rows of Parquet packed together, some MiB."""


class Writer(Protocol):
    """Writes rows into a file."""

    def __call__(self, file: BinaryIO, columns: Sequence[Column], rows: Iterable[Row]) -> int:
        """All rows; returns how many. Raises `FailureError` where a library is missing."""
        ...


def write_csv(file: BinaryIO, columns: Sequence[Column], rows: Iterable[Row]) -> int:
    """RFC 4180, a header first; what is not known is empty."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    table = csv.writer(text)
    table.writerow([column.name for column in columns])
    count = 0
    for row in rows:
        table.writerow(row)
        count += 1
    text.detach()
    return count


def write_json_lines(file: BinaryIO, columns: Sequence[Column], rows: Iterable[Row]) -> int:
    """One object per line; what is not known is null."""
    names = [column.name for column in columns]
    encode = msgspec.json.Encoder().encode
    count = 0
    for row in rows:
        file.write(encode(dict(zip(names, row, strict=True))) + b"\n")
        count += 1
    return count


def write_parquet(file: BinaryIO, columns: Sequence[Column], rows: Iterable[Row]) -> int:
    """Through pyarrow, which is the user's to install."""
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise FailureError("Parquet needs pyarrow: pip install pyarrow, or --format csv") from None
    types: dict[str, Callable[[], Any]] = {"float": arrow.float64, "int": arrow.int64, "text": arrow.string}
    schema = arrow.schema([(column.name, types[column.type]()) for column in columns])
    count = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as table:
        for batch in _batches(rows):
            table.write_table(arrow.table(list(map(list, zip(*batch, strict=True))), schema=schema))
            count += len(batch)
    return count


FORMATS: dict[str, Writer] = {"csv": write_csv, "jsonl": write_json_lines, "parquet": write_parquet}


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH_ROWS)):
        yield batch
