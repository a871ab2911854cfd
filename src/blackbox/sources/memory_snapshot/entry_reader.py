"""Entries read into columns by regular expressions, those of one kind after the other: the way that is always there."""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Protocol

from blackbox.analysis.trace.entries import OOM
from blackbox.analysis.trace.passes import PLAIN, Passes
from blackbox.sources.memory_snapshot.entry_columns import ANNOTATE, NO_FRAMES, EntryColumns, code_of, pool_of
from blackbox.sources.memory_snapshot.entry_shape import EntryShape, index_of, number_of, times_of
from blackbox.sources.memory_snapshot.entry_values import CACHED_MAX, IGNORED, REFERRING, EntryValues, MadeOf, typed
from blackbox.sources.memory_snapshot.pickle_stream import Upgrade


class EntryReader(Protocol):
    """Reads the entries of a file."""

    passes: Passes
    """By which the columns are gone through afterwards."""
    upgrade: Upgrade | None
    """For pickles of protocol 2 and 3; None: they are not read."""

    def known(self, data: bytes, pos: int) -> EntryShape | None:
        """The shape of the entry at `pos`, where it is one that was read before."""
        ...

    def read(self, shape: EntryShape, table: EntryColumns, data: bytes, pos: int, limit: int) -> int:
        """Appends entries that follow each other from `pos` on, the first of which has that shape, and each of which
        begins at `limit` at the latest; returns where they end. Raises `UnexpectedError` or the like."""
        ...


EntryReaderOf = Callable[[EntryValues, bool], EntryReader]
"""Makes one; False: what the traces hold but their last entries is not wanted."""


class PlainEntryReader:
    """In Python alone."""

    passes: Passes = PLAIN
    upgrade: Upgrade | None = None

    def __init__(self, values: EntryValues, with_traces: bool) -> None:
        self._values = values
        self._with_traces = with_traces
        self._shapes: list[EntryShape] = []
        self._numbers = _Numbers()
        self._codes = MadeOf(lambda value: code_of(values.value(value)))

    def known(self, data: bytes, pos: int) -> EntryShape | None:
        """See `EntryReader`."""
        return next((shape for shape in self._shapes if shape.match(data, pos) is not None), None)

    def read(self, shape: EntryShape, table: EntryColumns, data: bytes, pos: int, limit: int) -> int:
        """Only entries of that shape."""
        if shape not in self._shapes:
            self._shapes.append(shape)
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
        table.require(shape.keys)
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
        value_of = self._values.value
        tags = MadeOf(lambda value: table.tag_number(value_of(value)))
        notes = values.get("user_metadata")
        table.tag.extend(repeat(table.tag_number(""), len(rows)) if notes is None else map(tags.__getitem__, notes))
        if table.pool is not None:
            pools = MadeOf(lambda value: pool_of(value_of(value)))
            table.pool.extend(map(pools.__getitem__, values["pool_id"]))
        if table.category is not None:
            table.category.extend(str(value_of(value)) for value in values["category"])
        return pos

    def _remember(self, count: int, columns: list[tuple[bytes, ...]]) -> None:
        """Remembers what so many entries wrote out, each entry before its values."""
        memo, written = self._values.memo, self._values.written
        for row in zip(*columns, strict=True) if columns else repeat((), count):
            memo.append(IGNORED)
            for value in row:
                first = value[0]
                if first not in REFERRING:
                    known = written.get(value)
                    memo.append(self._values.write(value) if known is None else known)

    def _listed(self, table: EntryColumns, lists: Sequence[bytes]) -> list[int]:
        """The numbers of lists of frames."""
        numbers, memo, known = table.list_numbers, self._values.memo, self._values.written
        found: list[int] = []
        for value in lists:
            listed = known.get(value)
            if listed is None:
                listed = typed(memo[index_of(value)], list)
            number = numbers.get(id(listed))
            found.append(table.list_number(listed) if number is None else number)
        return found


class _Numbers(dict[bytes, int]):
    """By their bytes."""

    def __missing__(self, value: bytes) -> int:
        number = number_of(value)
        if len(self) < CACHED_MAX:
            self[value] = number
        return number


def _places(codes: bytes, code: int) -> Iterator[int]:
    return (place for place, one in enumerate(codes) if one == code) if code in codes else iter(())
