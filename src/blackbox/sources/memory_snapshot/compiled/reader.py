"""Entries read into columns by compiled code: the bytes are looked at there, what they stand for is made here."""

import ctypes
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from blackbox.analysis.trace.entries import OOM, places_of
from blackbox.analysis.trace.passes import Passes
from blackbox.sources.memory_snapshot.compiled.address_map import address_of
from blackbox.sources.memory_snapshot.compiled.library import (
    DONE,
    NO_MEMORY,
    UNTOLD,
    CallResult,
    Key,
    Library,
    Shape,
    installed_library,
)
from blackbox.sources.memory_snapshot.compiled.passes import CompiledPasses
from blackbox.sources.memory_snapshot.compiled.upgrade import CompiledUpgrade
from blackbox.sources.memory_snapshot.entry_columns import ANNOTATE, NO_FRAMES, EntryColumns, code_of, pool_of
from blackbox.sources.memory_snapshot.entry_reader import EntryReaderOf
from blackbox.sources.memory_snapshot.entry_shape import EntryShape
from blackbox.sources.memory_snapshot.entry_values import (
    HELD_ELSEWHERE,
    IGNORED,
    EntryValues,
    MadeOf,
    typed,
)
from blackbox.sources.memory_snapshot.pickle_stream import UnexpectedError, Upgrade

ROWS_MAX = 8200
"""Entries read in one call: a chunk of a file has four thousand with stacks. No multiple of a page, since the columns
of one entry would then be in each other's way in the processor's cache."""
COLUMNS = (
    "addr",
    "size",
    "stream",
    "time_us",
    "device_free",
    "action",
    "frames",
    "user_metadata",
    "pool_id",
    "category",
)
"""Keys, in the order of the columns of `entries.c`."""
ADDRESS, SIZE, STREAM, TIME, DEVICE_FREE, ACTION, FRAMES, TAG, POOL, CATEGORY = range(len(COLUMNS))
NO_COLUMN = 255
SCALAR, LIST, TEXT, PAIR = range(4)
KINDS = {"frames": LIST, "user_metadata": TEXT, "compile_context": TEXT, "category": TEXT, "pool_id": PAIR}
"""What may stand at a key, as `entry_shape.KINDS` has it; at any other: a scalar."""
NOT_TOLD = -1
"""In the column of what the driver said was free."""
NUMBER_BYTES = 8
ABSENT = 0
"""The number of no value."""


class CompiledEntryReader:
    """By a library of `entries.c`."""

    def __init__(self, library: Library, values: EntryValues, with_traces: bool) -> None:
        """Raises `MemoryError`."""
        self._library, self._with_traces = library, with_traces
        self.passes: Passes = CompiledPasses(library)
        self.upgrade: Upgrade | None = CompiledUpgrade(library)
        self._reader: int | None = library.new()
        if self._reader is None:
            raise MemoryError
        self._shapes: list[EntryShape] = []
        self._values = values
        values.elsewhere = self._remembered
        self._made: list[Any] = [IGNORED]
        """What values stand for, by their numbers."""
        self._rows = (ctypes.c_int64 * (ROWS_MAX * len(COLUMNS)))()
        self._columns = memoryview(self._rows).cast("B").cast("q")
        made = self._made
        self._codes = _Told(library, lambda number: code_of(made[number]))
        self._pools = MadeOf(lambda number: pool_of(made[number]))
        self._numbers: dict[int, tuple[EntryColumns, _Told, _Told]] = {}
        """By the identity of a table, which is kept so that no other is taken for it: what its frames and its notes
        stand for."""

    def __del__(self) -> None:
        reader, self._reader = getattr(self, "_reader", None), None
        if reader is not None:
            self._library.free(reader)

    def known(self, data: bytes, pos: int) -> EntryShape | None:
        """See `EntryReader`."""
        number: int = self._library.kind(self._reader, data, len(data), pos)
        return None if number < 0 else self._shapes[number]

    def read(self, shape: EntryShape, table: EntryColumns, data: bytes, pos: int, limit: int) -> int:
        """Also entries of other shapes that were met before."""
        if shape not in self._shapes:
            self._learn(shape)
        outcome = CallResult()
        known, remembered = len(self._made), len(self._values.memo)
        self._library.read(
            self._reader, data, len(data), pos, limit, remembered, self._rows, ROWS_MAX, ctypes.byref(outcome)
        )
        if outcome.status == NO_MEMORY:
            raise MemoryError
        if outcome.status != DONE or not outcome.rows:
            raise UnexpectedError
        self._make(range(known, outcome.value_count))
        self._remember(outcome.memo_count)
        for number, met in enumerate(self._shapes):
            if outcome.shapes >> number & 1:
                table.require(met.keys)
        self._append(table, outcome.rows)
        return outcome.position

    def _learn(self, shape: EntryShape) -> None:
        described = Shape(keys=len(shape.keys))
        for place, (name, reference) in enumerate(zip(shape.keys, shape.references, strict=True)):
            column = COLUMNS.index(name) if name in COLUMNS else NO_COLUMN
            padded = (ctypes.c_uint8 * 5)(*reference)
            described.key[place] = Key(column, KINDS.get(name, SCALAR), len(reference), padded)
        if not self._library.learn(self._reader, ctypes.byref(described)):
            raise UnexpectedError
        self._shapes.append(shape)

    def _make(self, new: range) -> None:
        """What the new values stand for, each when all is remembered that was before it."""
        length, before = ctypes.c_int64(), ctypes.c_int64()
        values, made = self._values, self._made
        for number in new:
            at = self._library.value(self._reader, number, ctypes.byref(length), ctypes.byref(before))
            if at is None:
                made.append(values.remembered(before.value))
                continue
            self._remember(before.value)
            written = ctypes.string_at(at, length.value)
            known = values.written.get(written)
            made.append(values.write(written) if known is None else known)

    def _remember(self, count: int) -> None:
        """That what comes before so many things is held there."""
        memo = self._values.memo
        memo += [HELD_ELSEWHERE] * (count - len(memo))

    def _remembered(self, place: int) -> Any:
        return self._made[self._library.memo(self._reader, place)]

    def _append(self, table: EntryColumns, rows: int) -> None:
        skipped = 0 if self._with_traces else rows - 1
        count, first = rows - skipped, len(table.action)

        def column(number: int) -> "memoryview[int]":
            begin = number * ROWS_MAX
            return self._columns[begin + skipped : begin + rows]

        def told(by: _Told, number: int, code: str = "i") -> "array[int]":
            at = ctypes.addressof(self._rows) + (number * ROWS_MAX + skipped) * NUMBER_BYTES
            return by.set(array(code, [0]) * count, at, column(number))

        codes = told(self._codes, ACTION, "B").tobytes()
        for place in places_of(codes, (OOM,)):
            free = column(DEVICE_FREE)[place]
            if free < NOT_TOLD:
                raise UnexpectedError
            if free != NOT_TOLD:
                table.device_free[first + place] = free
        table.action += codes
        for number, numbers in ((ADDRESS, table.address), (SIZE, table.size), (STREAM, table.stream)):
            numbers.frombytes(column(number).cast("B"))
        for place in places_of(codes, (ANNOTATE,)):
            table.size[first + place] = 0
        frames, tags = self._numbers_of(table)
        table.frames.extend(told(frames, FRAMES))
        if table.time_us is not None:
            table.time_us.frombytes(column(TIME).cast("B"))
        table.tag.extend(told(tags, TAG))
        if table.pool is not None:
            table.pool.extend(map(self._pools.__getitem__, column(POOL)))
        if table.category is not None:
            table.category.extend(str(self._made[word]) for word in column(CATEGORY))

    def _numbers_of(self, table: EntryColumns) -> "tuple[_Told, _Told]":
        known = self._numbers.get(id(table))
        if known is None:
            made = self._made

            def frames(number: int) -> int:
                return NO_FRAMES if number == ABSENT else table.list_number(typed(made[number], list))

            def tag(number: int) -> int:
                return table.tag_number("" if number == ABSENT else made[number])

            known = self._numbers[id(table)] = table, _Told(self._library, frames), _Told(self._library, tag)
        return known[1:]


def compiled_reader() -> EntryReaderOf | None:
    """Makes readers of entries; None where Python has to do it alone."""
    library = installed_library()
    return None if library is None else partial(CompiledEntryReader, library)


class _Told:
    """What values stand for, by their numbers, in whole numbers. Each is asked for once, in the order they are met."""

    def __init__(self, library: Library, tell: Callable[[int], int]) -> None:
        self._library, self._tell = library, tell
        self._table = array("i")
        """By number of a value."""

    def set(self, found: "array[int]", at: int, column: Sequence[int]) -> "array[int]":
        """Sets those of a column, which lies at that address, and returns them."""
        place, into = 0, address_of(found)
        while True:
            table = address_of(self._table), len(self._table)
            place: int = self._library.told(at, place, len(column), *table, found.itemsize, into)
            if place == len(column):
                return found
            number = column[place]
            self._table.extend(repeat(UNTOLD, number + 1 - len(self._table)))
            self._table[number] = self._tell(number)
