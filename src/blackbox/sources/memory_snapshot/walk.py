"""A snapshot read opcode by opcode: objects are made of everything but the entries of its traces, which become columns.

Only what Python's pickler writes of plain data is understood (`UnexpectedError` otherwise): nothing that names a class
or a function is among it, and no opcode calls anything.
"""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

from blackbox.analysis.trace.entries import OOM
from blackbox.sources.memory_snapshot.entry_columns import ANNOTATE, NO_FRAMES, EntryColumns, code_of, pool_of
from blackbox.sources.memory_snapshot.entry_shape import (
    REFERENCES,
    EntryShape,
    index_of,
    learn,
    number_of,
    references,
    times_of,
)
from blackbox.sources.memory_snapshot.pickle_stream import LOOK_AHEAD_BYTES, PickleStream, UnexpectedError

SHAPES_MAX = 16
"""Kinds of entries: with and without stacks, refusals, and what of their values is written in another way."""
CACHED_MAX = 1 << 16
"""Values whose bytes are remembered."""
IGNORED = object()
"""Stands for an entry among what was remembered: nothing refers to one."""
REFERRING = (0x68, 0x6A)
EMPTY_LIST, SHORT_TEXT = 0x5D, 0x8C
CONSTANTS = {0x4E: None, 0x88: True, 0x89: False}
NUMBER_BYTES = {0x4B: 2, 0x4D: 3, 0x4A: 5}
LIST_BYTES, POOL_END_BYTES = 2, 2
"""Of the opcodes that begin a list, and that end a tuple of two."""
_DOUBLE = struct.Struct(">d")
_COUNT = struct.Struct("<I")


def walk(file: io.BufferedIOBase, with_traces: bool = True) -> dict[str, Any]:
    """The snapshot, its traces `EntryColumns` where they are longer than one entry; without them, what these hold is
    the last entry, and some before it.

    Raises `UnexpectedError`, or whatever a broken pickle provokes.
    """
    return _Walk(file, with_traces).whole()


class _Walk:
    """One file."""

    def __init__(self, file: io.BufferedIOBase, with_traces: bool) -> None:
        self._with_traces = with_traces
        self._stream = PickleStream(file)
        self._memo: list[Any] = []
        self._stack: list[Any] = []
        self._marks: list[int] = []
        """Where in the stack the items of what is open begin."""
        self._shapes: list[EntryShape] = []
        self._tables: dict[int, EntryColumns] = {}
        """By the identity of the list that they are the items of."""
        self._numbers = _Numbers()
        self._codes = _Made(lambda value: code_of(self.value(value)))
        self._written: dict[bytes, Any] = {}
        """What values stand for that are written out: entries with the same stack share one list."""

    def whole(self) -> dict[str, Any]:
        """The snapshot in the file."""
        snapshot: dict[str, Any] = dict(_typed(self._run(), dict))
        used = 0
        lists = snapshot.get("device_traces")
        if isinstance(lists, list):
            snapshot["device_traces"] = [self._tables.get(id(one), one) for one in lists]  # pyright: ignore
            used = sum(id(one) in self._tables for one in lists)  # pyright: ignore
        host = self._tables.get(id(snapshot.get("host_traces")))
        if host is not None:
            snapshot["host_traces"] = host
            used += 1
        if used < len(self._tables) or any(table.has_negative() for table in self._tables.values()):
            raise UnexpectedError
        return snapshot

    def _run(self) -> Any:
        stream, memo, stack, marks = self._stream, self._memo, self._stack, self._marks
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
                stack.append(_remembered(memo, data[pos]))
                pos += 1
            elif op == 0x6A:  # LONG_BINGET
                stack.append(_remembered(memo, int.from_bytes(data[pos : pos + 4], "little")))
                pos += 4
            elif op == 0x94:  # MEMOIZE
                memo.append(stack[-1])
            elif op == 0x28:  # MARK
                marks.append(len(stack))
                run = REFERENCES.match(data, pos)
                if run is not None and stack and _is_list(stack[-1]):
                    stack.extend(map(self._referred, references(run[0])))
                    pos = run.end()
            elif op == 0x7D:  # EMPTY_DICT
                data, pos, limit = self._entries(data, pos - 1, limit)
            elif op == 0x75:  # SETITEMS
                items = self._items()
                target = _typed(stack[-1], dict)
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
                _typed(stack[-1], dict)[key] = value
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
        target = _typed(self._stack[-1], list)
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
            pos = self._read(shape, table, data, pos, len(data) if stream.at_end else limit)
            if pos > limit and not stream.at_end:
                stream.fill(pos)
                data, pos = stream.data, 0
                limit = len(data) - LOOK_AHEAD_BYTES
            shape = self._shape(data, pos)
        return data, pos, limit

    def _shape(self, data: bytes, pos: int) -> EntryShape | None:
        """The kind of the entry there; None where none begins, or not one that is known or can be learnt."""
        for shape in self._shapes:
            if shape.match(data, pos) is not None:
                return shape
        if len(self._shapes) >= SHAPES_MAX:
            return None
        learnt = learn(data, pos, self._referred)
        if learnt is None or learnt.match(data, pos) is None:
            return None
        self._shapes.append(learnt)
        return learnt

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
            table = self._tables[id(target)] = EntryColumns()  # pyright: ignore[reportUnknownArgumentType]
        for item in (*target, *before):  # pyright: ignore[reportUnknownVariableType]
            table.add(item)  # pyright: ignore[reportUnknownArgumentType]
        target.clear()
        del self._stack[mark:]
        return table

    def _read(self, shape: EntryShape, table: EntryColumns, data: bytes, pos: int, limit: int) -> int:
        """Appends the entries of a kind that follow each other; returns where they end."""
        match = shape.match
        rows: list[tuple[bytes, ...]] = []
        while pos <= limit and (found := match(data, pos)) is not None:
            rows.append(found.groups())
            pos = found.end()
        values = dict(zip(shape.keys, zip(*rows, strict=True), strict=True))
        self._remember(len(rows), [values[key] for key in shape.remembered])
        if not self._with_traces:
            rows = rows[-1:]
            values = {key: column[-1:] for key, column in values.items()}
        _begin(table, values)
        codes = bytes(map(self._codes.__getitem__, values["action"]))
        free, first = values.get("device_free", values.get("addr", ())), len(table.action)
        table.device_free.update((first + place, number_of(free[place])) for place in _places(codes, OOM) if free)
        table.action += codes
        for key, column in (("addr", table.address), ("size", table.size), ("stream", table.stream)):
            numbers = values.get(key)
            column.extend([0] * len(rows) if numbers is None else map(self._numbers.__getitem__, numbers))
        for place in _places(codes, ANNOTATE):
            table.size[place - len(rows)] = 0
        lists = values.get("frames")
        table.frames.extend([NO_FRAMES] * len(rows) if lists is None else self._listed(table, lists))
        if table.time_us is not None:
            table.time_us.extend(times_of(values["time_us"]))
        tags = _Made(lambda value: table.tag_number(self.value(value)))
        notes = values.get("user_metadata")
        table.tag.extend(repeat(table.tag_number(""), len(rows)) if notes is None else map(tags.__getitem__, notes))
        if table.pool is not None:
            pools = _Made(lambda value: pool_of(self.value(value)))
            table.pool.extend(map(pools.__getitem__, values["pool_id"]))
        if table.category is not None:
            table.category.extend(str(self.value(value)) for value in values["category"])
        return pos

    def _remember(self, count: int, columns: list[tuple[bytes, ...]]) -> None:
        """Remembers what so many entries wrote out, each entry before its values."""
        memo, written = self._memo, self._written
        for row in zip(*columns, strict=True) if columns else repeat((), count):
            memo.append(IGNORED)
            for value in row:
                first = value[0]
                if first not in REFERRING:
                    known = written.get(value)
                    memo.append(self._write(value) if known is None else known)

    def _listed(self, table: EntryColumns, lists: Sequence[bytes]) -> list[int]:
        """The numbers of lists of frames."""
        numbers, memo, known = table.list_numbers, self._memo, self._written
        found: list[int] = []
        for value in lists:
            listed = known.get(value)
            if listed is None:
                listed = _typed(memo[index_of(value)], list)
            number = numbers.get(id(listed))
            found.append(table.list_number(listed) if number is None else number)
        return found

    def value(self, value: bytes) -> Any:
        """Any value of an entry that is written out, or referred to."""
        kind = value[0]
        if kind in REFERRING:
            return self._referred(value)
        found = self._written.get(value)
        if found is not None:
            return found
        return CONSTANTS[kind] if kind in CONSTANTS else number_of(value)

    def _write(self, value: bytes) -> Any:
        """Frames, a text or a pool that are written out, made once."""
        if value[0] == EMPTY_LIST:
            made: Any = list(map(self._referred, references(value[LIST_BYTES:])))
        elif value[0] == SHORT_TEXT:
            made = str(value[2:-1], "utf-8", "surrogatepass")
        else:
            first = value[: NUMBER_BYTES[value[0]]]
            made = number_of(first), number_of(value[len(first) : -POOL_END_BYTES])
        if value[0] == EMPTY_LIST or len(self._written) < CACHED_MAX:
            self._written[value] = made
        return made

    def _referred(self, reference: bytes) -> Any:
        return _remembered(self._memo, index_of(reference))


class _Made(dict[bytes, Any]):
    """What is made of values, by their bytes."""

    def __init__(self, make: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: bytes) -> Any:
        made = self[value] = self._make(value)
        return made


class _Numbers(dict[bytes, int]):
    """By their bytes."""

    def __missing__(self, value: bytes) -> int:
        number = number_of(value)
        if len(self) < CACHED_MAX:
            self[value] = number
        return number


def _begin(table: EntryColumns, values: dict[str, Any]) -> None:
    """Raises `UnexpectedError` where the entries have other columns than those before them."""
    if not table.action:
        table.begin(values)
    has = [column is not None for column in (table.time_us, table.pool, table.category)]
    if has != [key in values for key in ("time_us", "pool_id", "category")]:
        raise UnexpectedError


def _places(codes: bytes, code: int) -> Iterator[int]:
    return (place for place, one in enumerate(codes) if one == code) if code in codes else iter(())


def _remembered(memo: list[Any], place: int) -> Any:
    found = memo[place]
    if found is IGNORED:
        raise UnexpectedError
    return found


def _is_list(value: Any) -> bool:
    return type(value) is list


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise UnexpectedError
    return value
