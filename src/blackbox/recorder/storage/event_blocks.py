"""The blocks of a failed allocation as they are recorded beside its event: the arrays they are held as, packed. As JSON
they would take twenty times as much, and as rows in memory ten times."""

from __future__ import annotations  # arrays take no parameter at run time before Python 3.12

import sys
from array import array

import msgspec
from msgspec import Struct

from blackbox.model.block_arrays import STATES, TYPES, BlockArrays, ListedBlocks
from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.lanes import IntArray
from blackbox.recorder.storage.compression import DamageError, pack, unpack

CODES = {
    "address": "Q",
    "size": "Q",
    "state": "B",
    "type": "B",
    "label": "B",
    "requested": "Q",
    "thread": "I",
    "stream": "Q",
    "stack": "I",
    "segment": "Q",
    "pool": "B",
    "allocated_ms": "Q",
}
"""Arrays of `BlockArrays` -> their type codes."""
REQUIRED = ("address", "size", "state", "type", "label")


class _Stored(Struct, frozen=True, array_like=True):
    labels: tuple[tuple[str | None, str | None], ...]
    columns: dict[str, bytes]
    """By name, little-endian; those that blocks tell."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def pack_blocks(blocks: ListedBlocks) -> bytes:
    """The blocks as one blob."""
    told = {name: getattr(blocks.arrays, name) for name in CODES}
    columns = {name: _swapped(column).tobytes() for name, column in told.items() if column is not None}
    return pack(_encoder.encode(_Stored(blocks.arrays.labels, columns)))


def unpack_blocks(blob: object) -> ListedBlocks:
    """The blocks in a blob. Raises `DamageError`."""
    try:
        stored = _decoder.decode(unpack(blob))
    except DECODE_ERRORS as error:
        raise DamageError(f"blocks: {error}") from error
    columns = {name: _column(CODES[name], body) for name, body in stored.columns.items() if name in CODES}
    if not columns.keys() >= set(REQUIRED) or len({len(column) for column in columns.values()}) != 1:
        raise DamageError("blocks: columns that do not belong together")
    for name, codes in (("state", len(STATES)), ("type", len(TYPES)), ("label", len(stored.labels))):
        if max(columns[name], default=-1) >= codes:
            raise DamageError(f"blocks: a {name} that is none")
    return ListedBlocks(BlockArrays(**columns, labels=stored.labels))


def _column(code: str, body: bytes) -> IntArray:
    column: IntArray = array(code)
    try:
        column.frombytes(body)
    except ValueError:
        raise DamageError("blocks: a column is cut") from None
    return _swapped(column)


def _swapped(column: IntArray) -> IntArray:
    """Little-endian out of this machine's order, or back."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column
