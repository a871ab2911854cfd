"""Rows as they are read: runs of one layout, whose columns are decoded when they are asked for."""

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from blackbox.recorder.storage.column_groups import GroupedColumns, columns_in
from blackbox.recorder.storage.columns import Columns, StoredColumn
from blackbox.recorder.storage.compression import DamageError, Packer, unpack
from blackbox.recorder.storage.layout import ID_BITS, STATISTICS, Layout

TIME, LAYOUT, VALUES = 0, 1, 2
"""Places in a row: when, the layout's id, and from there its numbers."""

FindLayout = Callable[[int], Layout]


class Run:
    """Rows with one layout."""

    def __init__(
        self,
        layout: Layout,
        times: Sequence[float],
        column: Callable[[int], Sequence[float]],
        stored: bytes | None = None,
        columns: Columns | GroupedColumns | None = None,
    ) -> None:
        self.layout = layout
        self.times = times
        self.stored = stored
        """The block it is read from; None of rows that are in none yet."""
        self._column = column
        self._columns = columns

    @cached_property
    def in_order(self) -> bool:
        """Whether no row is older than the one before it: only a clock that was set back makes one."""
        return self.times == sorted(self.times)

    def column(self, index: int) -> Sequence[float]:
        """The numbers of one column, one per time; NaN where there was none, or none that can be read."""
        try:
            return self._column(index)
        except DamageError:
            return [math.nan] * len(self.times)

    def stored_columns(self, indices: Sequence[int]) -> Sequence[StoredColumn | None]:
        """Columns as they are stored; None for those that are in no block, or cannot be read."""
        columns = self._columns
        if columns is None:
            return [None] * len(indices)
        try:
            return [columns.stored(VALUES + index) for index in indices]
        except DamageError:
            return [_readable(columns, VALUES + index) for index in indices]


def _readable(columns: Columns | GroupedColumns, index: int) -> StoredColumn | None:
    try:
        return columns.stored(index)
    except DamageError:
        return None


def pack_row(time: float, layout_id: int, values: Sequence[float], packer: Packer) -> bytes:
    """One row on its own."""
    return packer.pack(array("d", (time, layout_id, *values)).tobytes())


def unpack_row(blob: object) -> "array[float]":
    """The row, as `[time, layout id, *values]`. Raises `DamageError`."""
    body = unpack(blob)
    if len(body) % 8 or len(body) < VALUES * 8:
        raise DamageError("a row of impossible length")
    row = array("d", body)
    if not math.isfinite(row[TIME]):
        raise DamageError("a row of no time")
    return row


def layout_id(stored: float) -> int:
    """The id of a row's layout. Raises `DamageError`."""
    if not (0 <= stored < 1 << ID_BITS and stored.is_integer()):
        raise DamageError("a row without layout")
    return int(stored)


def _layout_id(stored: StoredColumn) -> int:
    """The same of a block. Raises `DamageError`."""
    return layout_id(stored.numbers()[0] if stored.steady is None else stored.steady)


def check_row(row: "array[float]", layout: Layout) -> None:
    """Raises `DamageError` where the row has not the numbers of its layout."""
    _check_width(len(row) - VALUES, layout)


def _check_width(numbers: int, layout: Layout) -> None:
    if numbers not in (layout.width, len(STATISTICS) * layout.width):
        raise DamageError("numbers of another layout")


def packed_run(
    blob: object, find_layout: FindLayout, unpacked: Callable[[object], Columns | GroupedColumns] = columns_in
) -> Run:
    """The rows of a block. Raises `DamageError`."""
    columns = unpacked(blob)
    if len(columns) < VALUES:
        raise DamageError("a block without times")
    layout = find_layout(_layout_id(columns.stored(LAYOUT)))
    times = columns[TIME]
    if not math.isfinite(sum(times)):
        raise DamageError("a block of no time")
    _check_width(len(columns) - VALUES, layout)
    stored = blob if isinstance(blob, bytes) else None
    return Run(layout, times, lambda index: columns[VALUES + index], stored, columns)


def tail_runs(rows: Iterable["array[float]"], find_layout: FindLayout) -> list[Run]:
    """Rows that are not in a block yet. Raises `DamageError`."""
    by_layout: dict[float, list[array[float]]] = {}
    for row in rows:
        by_layout.setdefault(row[LAYOUT], []).append(row)
    return [_tail_run(alike, find_layout(layout_id(number))) for number, alike in by_layout.items()]


def _tail_run(rows: list["array[float]"], layout: Layout) -> Run:
    return Run(layout, [row[TIME] for row in rows], lambda index: [row[VALUES + index] for row in rows])
