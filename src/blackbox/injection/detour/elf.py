"""Where functions of a library lie in a running program, read from the program's memory: no file is opened.

What is read is the program's own and not trusted: every number that leads on is bounded.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""Address and number of bytes; raises `OSError` where they cannot be read, and may return fewer."""

HEADERS_MAX = 64
"""Of a library; it has about a dozen."""
BUCKETS_MAX = 1 << 20
CHAIN_MAX = 4096
"""Symbols of one hash; a handful are usual."""
NAME_BYTES_MAX = 64
_PAGE = 4096
_PROGRAM_END = 1 << 63
"""Above lies the kernel."""
_WORD = struct.Struct("<Q")
_SYMBOL = struct.Struct("<IBBHQQ")
_LOAD, _DYNAMIC = 1, 2
_EXECUTABLE = 1
_STRINGS, _SYMBOLS, _GNU_HASH = 5, 6, 0x6FFFFEF5


class ElfError(ValueError):
    """No library of x86-64, or none whose exported names can be looked up; says why in one line."""


class Function(NamedTuple):
    """A function of the library, in the program's memory."""

    address: int
    size: int


class LoadedSegment(NamedTuple):
    """Of a library, as its program headers tell it, in the program's memory."""

    start: int
    end: int
    """Where its bytes end: the rest of the page belongs to nobody."""
    executable: bool


class Library(NamedTuple):
    """An ELF file that the program has mapped."""

    read: Read
    bias: int
    segments: tuple[LoadedSegment, ...]
    dynamic: tuple[int, int]
    """Address and bytes of its dynamic section."""


def library(read: Read, base: int) -> Library:
    """The one whose first byte is mapped at `base`. Raises `ElfError`, `OSError`."""
    head = _exactly(read, base, 64)
    if head[:6] != b"\x7fELF\x02\x01" or head[18:20] != b"\x3e\0":
        raise ElfError("no ELF file of x86-64")
    offset, size, count = _word(head, 32), *struct.unpack_from("<HH", head, 54)
    if size != 56 or not 0 < count <= HEADERS_MAX:
        raise ElfError("its program headers are of another layout")
    rows = [struct.unpack_from("<IIQQQQQQ", _exactly(read, base + offset + 56 * i, 56)) for i in range(count)]
    loads = [row for row in rows if row[0] == _LOAD]
    if not loads:
        raise ElfError("it loads nothing")
    bias = (base - (min(row[3] for row in loads) & -_PAGE)) % 2**64
    segments = tuple(
        LoadedSegment(start := (bias + row[3]) % 2**64, start + max(row[5:7]), bool(row[1] & _EXECUTABLE))
        for row in loads
    )
    if any(one.end >= _PROGRAM_END for one in segments):
        raise ElfError("it says that it lies where no program has memory")
    dynamic = next((((bias + row[3]) % 2**64, row[6]) for row in rows if row[0] == _DYNAMIC), (0, 0))
    return Library(read, bias, segments, dynamic)


def functions(of: Library, names: tuple[str, ...]) -> dict[str, Function]:
    """Those of the names that it exports. Raises `ElfError`, `OSError`."""
    tags = _dynamic(of)
    try:
        strings, symbols, table = (_absolute(of, tags[tag]) for tag in (_STRINGS, _SYMBOLS, _GNU_HASH))
    except KeyError:
        raise ElfError("it has no table of its names") from None
    buckets, first, blooms, _ = struct.unpack("<IIII", _exactly(of.read, table, 16))
    if not 0 < buckets <= BUCKETS_MAX or blooms > BUCKETS_MAX:
        raise ElfError("the table of its names is damaged")
    heads = table + 16 + 8 * blooms
    chains = heads + 4 * buckets
    found: dict[str, Function] = {}
    for name in names:
        wanted = _gnu_hash(name)
        index = int.from_bytes(_exactly(of.read, heads + 4 * (wanted % buckets), 4), "little")
        for place in range(index, index + CHAIN_MAX) if index >= first else ():
            chained = int.from_bytes(_exactly(of.read, chains + 4 * (place - first), 4), "little")
            if chained | 1 == wanted | 1:
                at, _, _, section, value, size = _SYMBOL.unpack(_exactly(of.read, symbols + 24 * place, 24))
                text = of.read(strings + at, NAME_BYTES_MAX).partition(b"\0")[0]
                if section and text == name.encode():
                    found[name] = Function((of.bias + value) % 2**64, size)
                    break
            if chained & 1:
                break
    return found


def _dynamic(of: Library) -> dict[int, int]:
    start, size = of.dynamic
    data = of.read(start, min(size, _PAGE)) if start else b""
    words = [_word(data, at) for at in range(0, len(data) - 15, 8)]
    return dict(zip(words[::2], words[1::2], strict=False))


def _absolute(of: Library, address: int) -> int:
    """The loader has made most of them absolute; some are left relative."""
    return address if any(one.start <= address < one.end for one in of.segments) else address + of.bias


def _gnu_hash(name: str) -> int:
    value = 5381
    for letter in name.encode():
        value = (value * 33 + letter) & 0xFFFFFFFF
    return value


def _word(data: bytes, at: int) -> int:
    return _WORD.unpack_from(data, at)[0]


def _exactly(read: Read, address: int, size: int) -> bytes:
    data = read(address, size)
    if len(data) < size:
        raise ElfError("it ends in the middle of a table")
    return data
