"""Entries read into columns by compiled code: the bytes are looked at there, what they stand for is made here."""

import ctypes
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from blackbox.analysis.trace.entries import OOM
from blackbox.analysis.trace.passes import Passes
from blackbox.sources.memory_snapshot.compiled.library import (
    DONE,
    NO_MEMORY,
    CallResult,
    Key,
    Library,
    Shape,
    installed_library,
)
from blackbox.sources.memory_snapshot.compiled.passes import CompiledPasses
from blackbox.sources.memory_snapshot.entry_columns import ANNOTATE, NO_FRAMES, EntryColumns, code_of, pool_of
from blackbox.sources.memory_snapshot.entry_reader import EntryReaderOf
from blackbox.sources.memory_snapshot.entry_shape import EntryShape
from blackbox.sources.memory_snapshot.entry_values import IGNORED, EntryValues, MadeOf, typed
from blackbox.sources.memory_snapshot.pickle_stream import UnexpectedError

ROWS_MAX = 8192
"""Entries read in one call: a chunk of a file has four thousand with stacks."""
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
NUMBER_BYTES, CODE_BYTES = 8, 4
ABSENT = 0
"""The number of no value."""


class CompiledEntryReader:
    """By a library of `entries.c`."""

    reads_all_shapes = True

    def __init__(self, library: Library, values: EntryValues, with_traces: bool) -> None:
        """Raises `MemoryError`."""
        self._library, self._with_traces = library, with_traces
        self.passes: Passes = CompiledPasses(library)
        self._reader: int | None = library.new()
        if self._reader is None:
            raise MemoryError
        self._shapes: list[EntryShape] = []
        self._written = _Written(values)
        self._rows = (ctypes.c_int64 * (ROWS_MAX * len(COLUMNS)))()
        self._columns = memoryview(self._rows).cast("B").cast("q")
        value = self._written.value
        self._codes = MadeOf(lambda reference: code_of(value(reference)))
        self._pools = MadeOf(lambda reference: pool_of(value(reference)))
        self._numbers: dict[int, _TableNumbers] = {}
        """By the identity of a table."""

    def __del__(self) -> None:
        reader, self._reader = getattr(self, "_reader", None), None
        if reader is not None:
            self._library.free(reader)

    def read(self, shape: EntryShape, table: EntryColumns, data: bytes, pos: int, limit: int) -> int:
        """Also entries of other shapes that were met before."""
        if shape not in self._shapes:
            self._learn(shape)
        outcome = CallResult()
        known, remembered = len(self._written.made), len(self._written.values.memo)
        self._library.read(
            self._reader, data, len(data), pos, limit, remembered, self._rows, ROWS_MAX, ctypes.byref(outcome)
        )
        if outcome.status == NO_MEMORY:
            raise MemoryError
        if outcome.status != DONE or not outcome.rows:
            raise UnexpectedError
        self._remember(range(known, outcome.value_count), remembered, outcome.memo_count)
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

    def _remember(self, new: range, first: int, after: int) -> None:
        """Makes the new values, each when all is remembered that was before it."""
        memo, made = self._written.values.memo, self._written.made
        codes = array("i")
        if after > first:
            codes.frombytes(ctypes.string_at(self._library.memo(self._reader, first), (after - first) * CODE_BYTES))
        length, before = ctypes.c_int64(), ctypes.c_int64()
        for number in new:
            at = self._library.value(self._reader, number, ctypes.byref(length), ctypes.byref(before))
            memo.extend(map(made.__getitem__, codes[len(memo) - first : before.value - first]))
            self._written.make(ctypes.string_at(at, length.value))
        memo.extend(map(made.__getitem__, codes[len(memo) - first :]))

    def _append(self, table: EntryColumns, rows: int) -> None:
        skipped = 0 if self._with_traces else rows - 1

        def column(number: int) -> "array[int]":
            found = array("q")
            found.frombytes(self._columns[number * ROWS_MAX + skipped : number * ROWS_MAX + rows].cast("B"))
            return found

        codes, first = bytes(map(self._codes.__getitem__, column(ACTION))), len(table.action)
        for place in _places(codes, OOM):
            free = column(DEVICE_FREE)[place]
            if free < NOT_TOLD:
                raise UnexpectedError
            if free != NOT_TOLD:
                table.device_free[first + place] = free
        table.action += codes
        for number, numbers in ((ADDRESS, table.address), (SIZE, table.size), (STREAM, table.stream)):
            numbers.extend(column(number))
        for place in _places(codes, ANNOTATE):
            table.size[first + place] = 0
        numbers = self._numbers.get(id(table))
        if numbers is None:
            numbers = self._numbers[id(table)] = _TableNumbers(table, self._written.value)
        table.frames.extend(map(numbers.frames.__getitem__, column(FRAMES)))
        if table.time_us is not None:
            table.time_us.extend(column(TIME))
        notes = column(TAG)
        if notes.count(notes[0]) == len(notes):
            table.tag.extend(repeat(numbers.tags[notes[0]], len(notes)))
        else:
            table.tag.extend(map(numbers.tags.__getitem__, notes))
        if table.pool is not None:
            table.pool.extend(map(self._pools.__getitem__, column(POOL)))
        if table.category is not None:
            table.category.extend(str(self._written.value(word)) for word in column(CATEGORY))


def compiled_reader() -> EntryReaderOf | None:
    """Makes readers of entries; None where Python has to do it alone."""
    library = installed_library()
    return None if library is None else partial(CompiledEntryReader, library)


class _Written:
    """What values stand for that are written out, by their numbers."""

    def __init__(self, values: EntryValues) -> None:
        self.values = values
        self.made: list[Any] = [IGNORED]

    def make(self, written: bytes) -> None:
        """Appends the next one."""
        known = self.values.written.get(written)
        self.made.append(self.values.write(written) if known is None else known)

    def value(self, reference: int) -> Any:
        """What a number in a column stands for: one of these, or a place in what was remembered."""
        return self.made[reference] if reference > 0 else self.values.remembered(-1 - reference)


class _TableNumbers:
    """Of the frames and the notes of one table."""

    def __init__(self, table: EntryColumns, value: Callable[[int], Any]) -> None:
        self.table = table
        """Kept, so that no other is taken for it."""
        self.frames = MadeOf(
            lambda reference: NO_FRAMES if reference == ABSENT else table.list_number(typed(value(reference), list))
        )
        self.tags = MadeOf(lambda reference: table.tag_number("" if reference == ABSENT else value(reference)))


def _places(codes: bytes, code: int) -> Sequence[int]:
    return [place for place, one in enumerate(codes) if one == code] if code in codes else ()
