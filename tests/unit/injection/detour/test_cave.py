"""A cave lies behind the code of a library, in bytes that nobody uses, and is found again."""

import os
from pathlib import Path

import pytest

from blackbox.injection.detour import cave as caves
from blackbox.injection.detour.child import _maps
from blackbox.injection.detour.code import CODE, THREAD
from blackbox.injection.detour.elf import Function
from tests.unit.injection.detour.test_elf import read

NAMES = caves.Names(*(Function(0x1000 * place, 16) for place in range(1, 7)))

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads libraries of x86-64")


def found() -> caves.Cave:
    cave = caves.find(read, _maps(os.getpid())[0], NAMES)
    if cave is None:
        pytest.skip("no library of this Python has room")
    return cave


def test_a_cave_is_executable_empty_and_within_one_page() -> None:
    cave = found()
    assert cave.address % 16 == 0
    assert cave.address // caves.PAGE == (cave.end - 1) // caves.PAGE
    assert read(cave.address, cave.end - cave.address) == bytes(cave.end - cave.address)
    maps = Path("/proc/self/maps").read_text().splitlines()
    (line,) = (text for text in maps if cave.address in range(*(int(one, 16) for one in text.split()[0].split("-"))))
    assert line.split()[1] == "r-xp"


def test_the_one_that_was_used_is_taken_again() -> None:
    free = found()
    written = bytes(caves.TEXT_BYTES) + free.contents

    def with_ours(address: int, size: int) -> bytes:
        return written if (address, size) == (free.address, len(written)) else read(address, size)

    bases = _maps(os.getpid())[0]
    assert caves.find(with_ours, bases, NAMES) == free
    others = NAMES._replace(ensure_gil=Function(0x9000, 1))
    other = caves.find(with_ours, bases, others)
    assert other is None or other.address != free.address, "one with other functions is not ours"


def test_its_parts_follow_each_other() -> None:
    cave = caves._cave(0x7000, NAMES)
    assert cave.code == 0x7000 + caves.TEXT_BYTES
    assert cave.contents[: len(CODE)] == CODE
    assert cave.thread == cave.code + THREAD
    table = cave.contents[len(CODE) :]
    words = [int.from_bytes(table[at : at + 8], "little") for at in range(0, len(table), 8)]
    assert words == [0x4000, 0x2000, 0x5000, 0x7000, 0x6000], "in the order that the code of the thread reads them"
    assert cave.end == cave.table + 40


def test_bytes_of_others_are_not_free() -> None:
    cave = caves._cave(0x7000, NAMES)
    size = cave.end - cave.address
    assert caves.is_free(cave, bytes(size))
    assert not caves.is_free(cave, bytes(size - 1)), "a program that is gone"
    assert not caves.is_free(cave, bytes(size - 1) + b"\1")
