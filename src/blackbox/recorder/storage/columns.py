"""Columns of numbers in few bytes: the format of every series on disk.

Memory moves in steps (a page, 2 MiB), and most of it stands still. So a column is its first number and the differences
from row to row, divided by their greatest common divisor, in the narrowest integers that hold them; a column that does
not change takes no room. Decimal fractions (61.5 °C) become integers first, where that is exact. Numbers come back as
they went in, to the bit. All columns together are one zstd frame with a checksum:

    u32 length of the head, then the head: msgpack of [count of rows, bytes of each column, [how each is stored, ...]]
    the differences of one column after the other

Little-endian, as every machine with a GPU is.
"""

import math
import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, compress, groupby
from operator import sub
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.recorder.storage.compression import DamageError, pack, unpack

Decimals = Literal[-1, 0, 1, 2, 3, 4, 6]
"""`UNSCALED`, or a power of ten that numbers are stored by."""
Width = Literal["", "b", "h", "i", "q", "d"]
"""How a number is stored, as `array` names it; empty where all are the same."""
DECIMALS: tuple[Decimals, ...] = (0, 1, 2, 3, 4, 6)
"""Fractions that sources print. What fits none is stored as it is."""
UNSCALED: Final = -1
"""`decimals` of a column of floats."""
INTEGER_MAX = float(1 << 52)
"""Beyond it a float64 does not tell neighbouring integers apart."""
WIDTHS: tuple[Width, ...] = ("b", "h", "i", "q")
"""Codes of `array`: 1, 2, 4 and 8 bytes."""
ROWS_MAX = 1 << 16
"""In one blob: a minute at the shortest interval has 600. A column that stands still claims its rows for nothing."""
COLUMNS_ADDED_UP_MAX = 8
"""Columns whose place is found by adding up the sizes before it; for more, all places are made."""
HEADS_APART_MAX = 4096
"""Of more columns, as of an hour in which thousands of processes came and went, the heads are kept in one piece: each
by itself takes 64 bytes more, in an object of its own among all others. So they are where blocks are joined."""
COLUMNS_MAX = 1 << 20
"""Five statistics of the numbers of 8 GPUs x 1,000 processes are a quarter of it."""
Count = Annotated[int, Meta(ge=0)]
ITEM_BYTES = {width: array(width).itemsize for width in (*WIDTHS, "d")}
_LENGTH = struct.Struct("<I")
_FLOAT_BYTES = 8


class Head(Struct, frozen=True, array_like=True, gc=False):
    """How one column is stored."""

    gaps: Annotated[tuple[Count, ...], Meta(max_length=ROWS_MAX + 1)]
    """Lengths of the runs of rows with and without a number, in turn; empty when every row has one."""
    decimals: Decimals
    first: int
    step: Count
    """0 when all numbers are the same."""
    width: Width


class Contents(NamedTuple):
    """Where the columns are."""

    rows: Annotated[int, Meta(ge=1, le=ROWS_MAX)]
    sizes: Annotated[list[Count], Meta(max_length=COLUMNS_MAX)]
    heads: Annotated[list[msgspec.Raw], Meta(max_length=COLUMNS_MAX)]


_encoder = msgspec.msgpack.Encoder()
_contents_decoder = msgspec.msgpack.Decoder(Contents)
_head_decoder = msgspec.msgpack.Decoder(Head)


class JoinedHeads(Sequence[bytes]):
    """Stored heads, one behind the other."""

    def __init__(self, heads: Sequence[msgspec.Raw]) -> None:
        self._ends = array("L", accumulate((len(memoryview(head)) for head in heads), initial=0))
        self._joined = b"".join(heads)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride] - nobody slices
        return self._joined[self._ends[index] : self._ends[index + 1]]


class StoredColumn(Struct, frozen=True, gc=False):
    """One column as it is stored, of the length that it should have: its numbers are made when they are asked for."""

    head: Head
    rows: int
    steps: "array[int] | bytes"
    """How many times `head.step` it is from each number to the next; the numbers themselves where they are unscaled.
    Empty where all are the same."""
    is_whole: bool
    """It has a whole number in every row, so that sums of them are exact."""

    @property
    def steady(self) -> float | None:
        """The number that it has in every row, where it stands still; None of any other."""
        head = self.head
        return None if head.gaps or head.step or head.decimals == UNSCALED else head.first / 10**head.decimals

    def moves(self) -> list[int]:
        """Of a whole column that does not stand still: how many times `head.step` each number is beyond the first."""
        return list(accumulate(self.steps, initial=0))

    def numbers(self) -> list[float]:
        """One per row; NaN where there was none."""
        steady = self.steady
        if steady is not None:
            return [steady] * self.rows
        head = self.head
        numbers = _decode(head, self.steps, _present(head, self.rows))
        return _with_gaps(head.gaps, numbers) if head.gaps else numbers


class Columns:
    """Stored columns, each looked at when it is asked for."""

    def __init__(self, blob: object, heads_apart_max: int = HEADS_APART_MAX) -> None:
        """Raises `DamageError`."""
        self._body = unpack(blob)
        try:
            (length,) = _LENGTH.unpack_from(self._body)
            contents = self._body[_LENGTH.size : _LENGTH.size + length]
            self.rows, self._sizes, heads = _contents_decoder.decode(contents)
        except (struct.error, *DECODE_ERRORS) as error:
            raise DamageError(f"columns: {error}") from error
        self._heads: Sequence[bytes | msgspec.Raw] = heads if len(heads) <= heads_apart_max else JoinedHeads(heads)
        self._asked = 0
        self._starts: array[int] | None = None
        """Where each column is, once many are asked for."""
        self._start = _LENGTH.size + length
        if len(self._sizes) != len(self._heads) or self._start + sum(self._sizes) != len(self._body):
            raise DamageError("columns: the head belongs to others")

    def __len__(self) -> int:
        return len(self._heads)

    def __getitem__(self, index: int) -> list[float]:
        """The numbers of one column; NaN where there was none. Raises `DamageError`."""
        return self.stored(index).numbers()

    def stored(self, index: int) -> StoredColumn:
        """One column. Raises `DamageError`."""
        try:
            head = _head_decoder.decode(self._heads[index])
        except DECODE_ERRORS as error:
            raise DamageError(f"column: {error}") from error
        size = self._sizes[index]
        is_whole = not (head.gaps or head.decimals)
        if is_whole and not (size or head.step):
            return StoredColumn(head, self.rows, b"", is_whole)
        if head.gaps and sum(head.gaps) != self.rows:
            raise DamageError("column: gaps of other rows")
        if size != _stored_bytes(head, self.rows):
            raise DamageError("column: of another length")
        start = self._start_of(index) if self._starts is None else self._starts[index]
        stored = self._body[start : start + size]
        is_plain = head.decimals == UNSCALED or not size
        return StoredColumn(head, self.rows, stored if is_plain else array(head.width, stored), is_whole)

    def _start_of(self, index: int) -> int:
        """Most queries want a few of hundreds of columns; who wants many has their places added up once."""
        self._asked += 1
        if self._asked > COLUMNS_ADDED_UP_MAX:
            self._starts = array("L", accumulate(self._sizes, initial=self._start))
        return self._start + sum(self._sizes[:index])


class EncodedColumn(NamedTuple):
    """One column as it will be stored."""

    head: Head
    stored: bytes


def encode(columns: Iterable[Sequence[float]]) -> bytes:
    """Columns, at least one, of equal length, in one blob. One of them is in memory at a time."""
    found = iter(columns)
    first = next(found)
    return pack_columns(len(first), map(encode_column, chain((first,), found)))


def pack_columns(rows: int, columns: Iterable[EncodedColumn]) -> bytes:
    """Columns of so many rows in one blob."""
    heads: list[Head] = []
    alike: dict[Head, Head] = {}
    sizes: list[int] = []
    body = bytearray()
    for head, stored in columns:
        heads.append(alike.setdefault(head, head))
        sizes.append(len(stored))
        body += stored
    contents = _encoder.encode((rows, sizes, heads))
    return pack(_LENGTH.pack(len(contents)) + contents + bytes(body))


def encode_column(column: Sequence[float]) -> EncodedColumn:
    """Numbers, NaN where there is none."""
    gaps: tuple[int, ...] = ()
    total = sum(column)
    if total != total:
        present = [number == number for number in column]
        gaps = _run_lengths(present)
        column = list(compress(column, present))
    if not column:
        return EncodedColumn(Head(gaps, 0, 0, 0, ""), b"")
    decimals, integers = _as_integers(column)
    if decimals == UNSCALED:
        return EncodedColumn(Head(gaps, UNSCALED, 0, 1, "d"), _shuffle(array("d", column).tobytes()))
    differences = list(map(sub, integers[1:], integers))
    step = math.gcd(*differences)
    if step == 0:
        return EncodedColumn(Head(gaps, decimals, integers[0], 0, ""), b"")
    width, stored = _narrowest([difference // step for difference in differences])
    return EncodedColumn(Head(gaps, decimals, integers[0], step, width), stored)


def join_columns(parts: Sequence[StoredColumn]) -> EncodedColumn:
    """Columns, at least one, one below the other: what `encode_column` makes of all their numbers, mostly without these
    being made. Raises `DamageError` where a difference between two of them is of no number that is recorded."""
    heads = [part.head for part in parts]
    if all(head.gaps == (0, part.rows) for head, part in zip(heads, parts, strict=True)):
        return EncodedColumn(Head((0, sum(part.rows for part in parts)), 0, 0, 0, ""), b"")
    decimals = heads[0].decimals
    if decimals == UNSCALED or any(head.gaps or head.decimals != decimals for head in heads):
        return encode_column(list(chain.from_iterable(part.numbers() for part in parts)))
    lasts = [part.head.first + part.head.step * sum(part.steps) for part in parts]
    between = [0, *(later.first - last for later, last in zip(heads[1:], lasts, strict=False))]
    step = math.gcd(*between, *(head.step for head in heads))
    if step == 0:
        return EncodedColumn(Head((), decimals, heads[0].first, 0, ""), b"")
    differences: list[int] = []
    for part, difference in zip(parts, between, strict=True):
        differences.append(difference // step)
        factor = part.head.step // step
        differences += [0] * (part.rows - 1) if factor == 0 else map(factor.__mul__, part.steps)
    try:
        width, stored = _narrowest(differences[1:])
    except OverflowError as error:
        raise DamageError("columns that do not belong together") from error
    return EncodedColumn(Head((), decimals, heads[0].first, step, width), stored)


def _decode(head: Head, steps: "array[int] | bytes", count: int) -> list[float]:
    if head.decimals == UNSCALED:
        return list(array("d", _unshuffle(bytes(steps))))
    if count == 0:
        return []
    scale = 10**head.decimals
    if head.step == 0:
        return [head.first / scale] * count
    if head.decimals == 0:  # integers below `INTEGER_MAX`: adding them up as floats is exact, and ends in floats
        return list(accumulate(map(float(head.step).__mul__, steps), initial=float(head.first)))
    return list(map(int(scale).__rtruediv__, accumulate(map(head.step.__mul__, steps), initial=head.first)))


def _as_integers(column: Sequence[float]) -> tuple[Decimals, list[int]]:
    """Decimals and integers such that each number is `integer / 10**decimals`, exactly; else `UNSCALED`."""
    largest = max(max(column), -min(column))
    if largest < INTEGER_MAX:
        for decimals in DECIMALS:
            scale = 10**decimals
            if decimals and largest * scale >= INTEGER_MAX:
                break
            integers = [round(number * scale) for number in column] if decimals else list(map(int, column))
            if all(integer / scale == number for integer, number in zip(integers, column, strict=True)):
                return decimals, integers
    return UNSCALED, []


def _narrowest(integers: list[int]) -> tuple[Width, bytes]:
    for width in WIDTHS:
        try:
            return width, array(width, integers).tobytes()
        except OverflowError:
            continue
    raise OverflowError("differences beyond 64 bits")  # excluded by INTEGER_MAX


def _shuffle(floats: bytes) -> bytes:
    """The first bytes of all numbers, then the second ones...: alike stands beside alike."""
    return b"".join(floats[place::_FLOAT_BYTES] for place in range(_FLOAT_BYTES))


def _unshuffle(stored: bytes) -> bytes:
    count = len(stored) // _FLOAT_BYTES
    floats = bytearray(len(stored))
    for place in range(_FLOAT_BYTES):
        floats[place::_FLOAT_BYTES] = stored[place * count : (place + 1) * count]
    return bytes(floats)


def _run_lengths(present: list[bool]) -> tuple[int, ...]:
    lengths = [len(list(run)) for _, run in groupby(present)]
    return tuple(lengths if present[0] else [0, *lengths])


def _with_gaps(gaps: tuple[int, ...], numbers: list[float]) -> list[float]:
    filled: list[float] = []
    taken = 0
    for place, length in enumerate(gaps):
        if place % 2:
            filled += [math.nan] * length
        else:
            filled += numbers[taken : taken + length]
            taken += length
    return filled


def _stored_bytes(head: Head, rows: int) -> int:
    """How many bytes a column of so many rows takes."""
    count = _present(head, rows) if head.gaps else rows
    if head.decimals == UNSCALED:
        return count * _FLOAT_BYTES
    if head.step == 0 or count == 0:
        return 0
    if head.width not in WIDTHS:
        raise DamageError("column: differences without a width")
    return (count - 1) * ITEM_BYTES[head.width]


def _present(head: Head, rows: int) -> int:
    return sum(head.gaps[::2]) if head.gaps else rows
