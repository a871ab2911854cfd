"""Damaged copies of good bytes, as faults and attackers make them: the fuzzer of this house, seeded and repeatable."""

import random
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import msgspec

TELLING = (0, 1, 2, 0x7F, 0x80, 0xFF, ord("["), ord("]"), ord('"'), ord(","), ord("-"), ord("9"), ord("e"), ord("{"))
"""Bytes that mean something to a parser."""
NUMBERS = (
    b"0", b"-0", b"-1", b"1", b"0.5", b"1e308", b"-1e308", b"1e400", b"-1e18", b"1e-400", b"NaN", b"inf", b"-Infinity",
    b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551615", b"18446744073709551616", b"9" * 40, b"9" * 5000, b"1_0", b"0x10", b"253402300800",
)  # fmt: skip
"""Numbers at and beyond the ends of what programs count in."""
VALUES: tuple[Any, ...] = (
    None, True, "", "x", "\udc80\x00\n" , "A" * 5000, b"", 0, 1, -1, 0.5, -0.5, 1e308, -1e308, -1e18, 1e18,
    float("inf"), float("-inf"), float("nan"), 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, [], {}, [[]], [0, 0],
)  # fmt: skip
"""Values that a decoder of msgpack or JSON may not have thought of."""
REPEATED_MAX = 4096
"""Bytes that one fault may add by repeating others."""
DEPTH = 2000
"""Nesting that no honest writer makes."""

MUTANT_BYTES_MAX = 1 << 20
"""Faults may make a seed longer, a few times over."""

NOT_A_TREE = (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError, struct.error)
"""What taking bytes for a tree, or putting a mutated one together, may raise."""

_number = re.compile(rb"[0-9]+(?:\.[0-9]+)?")
Fault = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutated(chance: random.Random, seeds: Sequence[bytes], count: int) -> Iterator[bytes]:
    """So many damaged copies, each with one to four faults."""
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            chance.choice(FAULTS)(chance, data, seeds)
            del data[MUTANT_BYTES_MAX:]
        yield bytes(data)


def flip(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """One bit."""
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def put(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """A telling byte in another's place."""
    if data:
        data[chance.randrange(len(data))] = chance.choice(TELLING)


def put_number(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """A length or a count that lies."""
    if len(data) >= 4:
        place = chance.randrange(len(data) - 3)
        data[place : place + 4] = chance.choice((0, 1, 255, 4096, 1 << 23, 1 << 30, 0xFFFFFFFF)).to_bytes(4, "little")


def insert(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Bytes too many."""
    place = chance.randint(0, len(data))
    data[place:place] = bytes([chance.choice(TELLING)]) * chance.randint(1, 8)


def cut(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Bytes too few."""
    place = chance.randint(0, len(data))
    del data[place : place + chance.randint(1, 16)]


def splice(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """The end of another."""
    other = chance.choice(seeds)
    data[chance.randint(0, len(data)) :] = other[chance.randint(0, len(other)) :]


def repeat(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """A part again, once or many times."""
    if data:
        start = chance.randrange(len(data))
        part = data[start : start + chance.randint(1, 64)]
        data[start:start] = part * chance.randint(1, max(1, REPEATED_MAX // len(part)))


def write_number(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Another number where one stands as text."""
    found = list(_number.finditer(data[: 1 << 16]))
    if found:
        start, end = chance.choice(found).span()
        data[start:end] = chance.choice(NUMBERS)


def alter(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Another value in a tree of JSON or msgpack, or one more or less; nothing where the data is neither."""
    codec: Any = msgspec.json if data[:1] in (b"{", b"[") else msgspec.msgpack
    try:
        tree = codec.decode(bytes(data))
        data[:] = codec.encode(_altered(chance, tree))
    except NOT_A_TREE:
        return


def nest(chance: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Brackets without end."""
    place = chance.randint(0, len(data))
    data[place:place] = chance.choice((b"[", b"{", b'{"a":', b"\x91", b"(", b"- ")) * DEPTH


def _altered(chance: random.Random, tree: Any) -> Any:
    """The tree with one change, the deeper the likelier."""
    if isinstance(tree, dict) and tree and chance.random() < 0.9:
        fields = cast("dict[Any, Any]", tree)
        key = chance.choice(list(fields))
        if chance.random() < 0.1:
            return {other: value for other, value in fields.items() if other != key}
        return fields | {key: _altered(chance, fields[key])}
    if isinstance(tree, list) and tree and chance.random() < 0.9:
        items = cast("list[Any]", tree)
        place = chance.randrange(len(items))
        if chance.random() < 0.1:
            return items[:place] + items[place + 1 :]
        if chance.random() < 0.1:
            return items[:place] + [items[place]] * chance.randint(2, 50) + items[place + 1 :]
        return [*items[:place], _altered(chance, items[place]), *items[place + 1 :]]
    return chance.choice(VALUES)


OFTEN: tuple[Fault, ...] = (flip, put, put_number, insert, cut, splice, repeat)
FAULTS: tuple[Fault, ...] = (*OFTEN, *OFTEN, *[write_number] * 4, *[alter] * 8, nest)
"""What knows structure comes as often as what does not; nesting is rare, as it says the same each time."""
