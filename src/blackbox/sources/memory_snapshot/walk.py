"""A snapshot read opcode by opcode: objects are made of everything but the entries of its traces, which become columns.

Only what Python's pickler writes of plain data is understood (`UnexpectedError` otherwise): nothing that names a class
or a function is among it, and no opcode calls anything.
"""

import io
import struct
from typing import Any, NoReturn, cast

from blackbox.sources.memory_snapshot.entry_columns import EntryColumns
from blackbox.sources.memory_snapshot.entry_reader import EntryReaderOf, PlainEntryReader
from blackbox.sources.memory_snapshot.entry_shape import (
    BEGIN,
    FIRST_KEY,
    REFERENCES,
    SHAPES_MAX,
    EntryShape,
    learn,
    references,
)
from blackbox.sources.memory_snapshot.entry_values import EntryValues, typed
from blackbox.sources.memory_snapshot.nested import Nested, snapshots_in
from blackbox.sources.memory_snapshot.pickle_stream import LOOK_AHEAD_BYTES, PickleStream, UnexpectedError

_DOUBLE = struct.Struct(">d")
_COUNT = struct.Struct("<I")
SHORT_BEGIN = BEGIN + b"h"
"""A dict whose first key is one of the first 256 things that are remembered."""
SHORT_BEGIN_BYTES = len(SHORT_BEGIN) + 1


def walk(
    file: io.BufferedIOBase, with_traces: bool = True, reader_of: EntryReaderOf = PlainEntryReader
) -> list[Nested]:
    """The snapshots, their traces `EntryColumns` where they are longer than one entry; without them, what these hold is
    the last entry, and some before it.

    Raises `UnexpectedError`, or whatever a broken pickle provokes.
    """
    return _Walk(file, with_traces, reader_of).whole()


class _Walk:
    """One file."""

    def __init__(self, file: io.BufferedIOBase, with_traces: bool, reader_of: EntryReaderOf) -> None:
        self._values = EntryValues()
        self._reader = reader_of(self._values, with_traces)
        self._stream = PickleStream(file, self._reader.upgrade)
        self._stack: list[Any] = []
        self._marks: list[int] = []
        """Where in the stack the items of what is open begin."""
        self._shapes: dict[tuple[bytes, ...], EntryShape] = {}
        """By the references to their keys."""
        self._others: set[bytes] = set()
        """How dicts begin that are no entries, as those of frames."""
        self._tables: dict[int, EntryColumns] = {}
        """By the identity of the list that they are the items of."""

    def whole(self) -> list[Nested]:
        """The snapshots in the file. Raises `UnexpectedError`, too, where there is none."""
        found = [one for one in snapshots_in(self._run(), _not_in_a_pickle) if isinstance(one.snapshot, dict)]
        used = sum(self._fill(cast(dict[str, Any], one.snapshot)) for one in found)
        if not found or used < len(self._tables) or any(table.has_negative() for table in self._tables.values()):
            raise UnexpectedError
        return found

    def _fill(self, snapshot: dict[str, Any]) -> int:
        """Puts the columns into their places, and tells how many there were."""
        used = 0
        lists = snapshot.get("device_traces")
        if isinstance(lists, list):
            snapshot["device_traces"] = [self._tables.get(id(one), one) for one in lists]  # pyright: ignore
            used = sum(id(one) in self._tables for one in lists)  # pyright: ignore
        host = self._tables.get(id(snapshot.get("host_traces")))
        if host is not None:
            snapshot["host_traces"] = host
            used += 1
        return used

    def _run(self) -> Any:
        stream, memo, stack, marks = self._stream, self._values.memo, self._stack, self._marks
        remembered, all_referred = self._values.remembered, self._values.all_referred
        data, pos = stream.data, 0
        limit = len(data) - LOOK_AHEAD_BYTES
        while True:
            if pos > limit and not stream.at_end:
                stream.fill(pos)
                data, pos = stream.data, 0
                limit = len(data) - LOOK_AHEAD_BYTES
            op = data[pos]
            pos += 1
            if op == 0x68:  # BINGET
                stack.append(remembered(data[pos]))
                pos += 1
            elif op == 0x6A:  # LONG_BINGET
                stack.append(remembered(int.from_bytes(data[pos : pos + 4], "little")))
                pos += 4
            elif op == 0x94:  # MEMOIZE
                memo.append(stack[-1])
            elif op == 0x28:  # MARK
                marks.append(len(stack))
                run = REFERENCES.match(data, pos)
                if run is not None and stack and _is_list(stack[-1]):
                    stack.extend(all_referred(references(run[0])))
                    pos = run.end()
            elif op == 0x7D:  # EMPTY_DICT
                data, pos, limit = self._entries(data, pos - 1, limit)
            elif op == 0x75:  # SETITEMS
                items = self._items()
                target = typed(stack[-1], dict)
                target.update(zip(items[::2], items[1::2], strict=True))
            elif op == 0x4B:  # BININT1
                stack.append(data[pos])
                pos += 1
            elif op == 0x4A:  # BININT
                stack.append(int.from_bytes(data[pos : pos + 4], "little", signed=True))
                pos += 4
            elif op == 0x4D:  # BININT2
                stack.append(data[pos] | data[pos + 1] << 8)
                pos += 2
            elif op == 0x8A:  # LONG1
                end = pos + 1 + data[pos]
                stack.append(int.from_bytes(data[pos + 1 : end], "little", signed=True))
                pos = end
            elif op == 0x8C:  # SHORT_BINUNICODE
                end = pos + 1 + data[pos]
                stack.append(str(data[pos + 1 : end], "utf-8", "surrogatepass"))
                pos = end
            elif op == 0x5D:  # EMPTY_LIST
                stack.append([])
            elif op == 0x65:  # APPENDS
                self._append(self._items())
            elif op == 0x61:  # APPEND
                self._append([stack.pop()])
            elif op == 0x73:  # SETITEM
                value, key = stack.pop(), stack.pop()
                typed(stack[-1], dict)[key] = value
            elif op in (0x85, 0x86, 0x87):  # TUPLE1, TUPLE2, TUPLE3
                count = op - 0x84
                stack[-count:] = [tuple(stack[-count:])]
            elif op == 0x29:  # EMPTY_TUPLE
                stack.append(())
            elif op == 0x74:  # TUPLE
                stack.append(tuple(self._items()))
            elif op in (0x88, 0x89):  # NEWTRUE, NEWFALSE
                stack.append(op == 0x88)
            elif op == 0x4E:  # NONE
                stack.append(None)
            elif op == 0x47:  # BINFLOAT
                stack.append(_DOUBLE.unpack_from(data, pos)[0])
                pos += 8
            elif op == 0x58:  # BINUNICODE
                (count,) = _COUNT.unpack_from(data, pos)
                while len(data) < pos + 4 + count and not stream.at_end:
                    stream.fill(pos)
                    data, pos = stream.data, 0
                    limit = len(data) - LOOK_AHEAD_BYTES
                stack.append(str(data[pos + 4 : pos + 4 + count], "utf-8", "surrogatepass"))
                pos += 4 + count
            elif op == 0x2E:  # STOP
                (found,) = stack
                return found
            else:
                raise UnexpectedError

    def _items(self) -> list[Any]:
        """What was put upon the stack since the last mark."""
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _append(self, items: list[Any]) -> None:
        target = typed(self._stack[-1], list)
        table = self._tables.get(id(target))
        if table is None:
            target.extend(items)
        else:
            for item in items:
                table.add(item)

    def _entries(self, data: bytes, pos: int, limit: int) -> tuple[bytes, int, int]:
        """Reads as many entries as there are from `pos` on, where a dict begins; else that beginning alone. Returns
        what is at hand then, where to go on in it, and up to where there is enough of it."""
        stream = self._stream
        shape = self._shape(data, pos)
        table = None if shape is None else self._table()
        if table is None:
            self._stack.append({})
            return data, pos + 1, limit
        while shape is not None:
            pos = self._reader.read(shape, table, data, pos, len(data) if stream.at_end else limit)
            if pos > limit and not stream.at_end:
                stream.fill(pos)
                data, pos = stream.data, 0
                limit = len(data) - LOOK_AHEAD_BYTES
            shape = self._shape(data, pos)
        return data, pos, limit

    def _shape(self, data: bytes, pos: int) -> EntryShape | None:
        """The kind of the entry there; None where none begins, or not one that is known or can be learnt."""
        begins = data[pos : pos + SHORT_BEGIN_BYTES]
        if begins in self._others:
            return None
        read_before = self._reader.known(data, pos)
        if read_before is not None:
            return read_before
        learnt = learn(data, pos, self._values.referred)
        if learnt is None:
            if begins.startswith(SHORT_BEGIN) and self._values.referred(begins[-2:]) != FIRST_KEY:
                self._others.add(begins)
            return None
        known = self._shapes.get(learnt.references)
        if known is None and len(self._shapes) < SHAPES_MAX:
            known = self._shapes[learnt.references] = learnt
        return known

    def _table(self) -> EntryColumns | None:
        """The columns of the list whose items are being read; None where that is no list, or has a single one."""
        if not self._marks or self._marks[-1] == 0:
            return None
        mark = self._marks[-1]
        target, before = self._stack[mark - 1], self._stack[mark:]
        if type(target) is not list or any(type(item) is not dict for item in before):
            return None
        table = self._tables.get(id(target))  # pyright: ignore[reportUnknownArgumentType]
        if table is None:
            table = self._tables[id(target)] = EntryColumns(self._reader.passes)  # pyright: ignore[reportUnknownArgumentType]
        for item in (*target, *before):  # pyright: ignore[reportUnknownVariableType]
            table.add(item)  # pyright: ignore[reportUnknownArgumentType]
        target.clear()
        del self._stack[mark:]
        return table


def _not_in_a_pickle(_: io.BytesIO) -> NoReturn:
    """Bytes are none of the opcodes that are understood."""
    raise UnexpectedError


def _is_list(value: Any) -> bool:
    return type(value) is list
