"""Long columns in groups, so that one is unpacked without most of the others.

Behind a checksum, msgpack of [columns, columns of the first group, columns of each other group, [group, ...]], where a
group is a blob of columns.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.recorder.storage.columns import COLUMNS_MAX, Columns, EncodedColumn, StoredColumn, pack_columns
from blackbox.recorder.storage.compression import DamageError, is_packed, signed, unsigned_view

GROUP_COLUMNS = 32
"""In a group: those of ten processes. Fewer are unpacked sooner, and pack no better than minutes do."""


class _Groups(NamedTuple):
    columns: Annotated[int, Meta(ge=1, le=COLUMNS_MAX)]
    first: Annotated[int, Meta(ge=1)]
    each: Annotated[int, Meta(ge=1)]
    packed: Annotated[list[msgspec.Raw], Meta(max_length=COLUMNS_MAX)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Groups)
_bytes_decoder = msgspec.msgpack.Decoder(bytes)


class GroupedColumns:
    """Columns in groups: one is unpacked when a column of it is asked for."""

    def __init__(self, blob: object) -> None:
        """Raises `DamageError`."""
        try:
            self._told = _decoder.decode(unsigned_view(blob))
        except DECODE_ERRORS as error:
            raise DamageError(f"groups of columns: {error}") from error
        columns, first, each, packed = self._told
        if columns < first or len(packed) != 1 - (first - columns) // each:
            raise DamageError("groups of columns: of another count")
        self._groups: dict[int, Columns] = {}
        self.rows = self._group(0).rows

    def __len__(self) -> int:
        return self._told.columns

    def __getitem__(self, index: int) -> list[float]:
        """The numbers of one column; NaN where there was none. Raises `DamageError`."""
        return self.stored(index).numbers()

    def stored(self, index: int) -> StoredColumn:
        """One column. Raises `DamageError`."""
        _, first, each, _ = self._told
        number, place = divmod(index - first + each, each) if index >= first else (0, index)
        group = self._groups.get(number) or self._group(number)
        if group.rows != self.rows:
            raise DamageError("groups of columns: one of other rows")
        return group.stored(place)

    def _group(self, number: int) -> Columns:
        columns, first, each, packed = self._told
        try:
            group = self._groups[number] = Columns(_bytes_decoder.decode(packed[number]))
        except DECODE_ERRORS as error:
            raise DamageError(f"groups of columns: {error}") from error
        if len(group) != (min(each, columns - first - (number - 1) * each) if number else first):
            raise DamageError("groups of columns: one of another length")
        return group


def columns_in(blob: object) -> Columns | GroupedColumns:
    """Those of a blob of either kind. Raises `DamageError`."""
    return Columns(blob) if is_packed(blob) else GroupedColumns(blob)


def pack_groups(rows: int, columns: Iterable[EncodedColumn], first: int) -> bytes:
    """Columns of so many rows in groups, of which the first has so many: those that everybody asks for."""
    rest = iter(columns)
    count = 0
    groups: list[bytes] = []
    while group := list(islice(rest, GROUP_COLUMNS if groups else first)):
        count += len(group)
        groups.append(pack_columns(rows, group))
    return signed(_encoder.encode((count, first, GROUP_COLUMNS, groups)))
