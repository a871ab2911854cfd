"""Damaged copies of good bytes, as faults and attackers make them: the fuzzer of this house, seeded and repeatable."""

import random
from collections.abc import Iterator, Sequence

TELLING = (0, 1, 2, 0x7F, 0x80, 0xFF, ord("["), ord("]"), ord('"'), ord(","), ord("-"), ord("9"), ord("e"), ord("{"))
"""Bytes that mean something to a parser."""


def mutated(chance: random.Random, seeds: Sequence[bytes], count: int) -> Iterator[bytes]:
    """So many damaged copies, each with one to four faults."""
    for _ in range(count):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            chance.choice(FAULTS)(chance, data, seeds)
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


FAULTS = (flip, put, put_number, insert, cut, splice)
