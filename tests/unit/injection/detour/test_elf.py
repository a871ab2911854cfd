"""Functions of a library are found in a program's memory, and damaged memory is no trouble."""

import contextlib
import ctypes
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.injection.detour import elf
from blackbox.injection.detour.cave import NAMES
from blackbox.injection.detour.child import _maps

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="reads libraries of x86-64")


def read(address: int, size: int) -> bytes:
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        return os.pread(memory, size, address)
    except (OverflowError, ValueError) as error:
        raise OSError(str(error)) from None
    finally:
        os.close(memory)


def own_python() -> elf.Library:
    for base in _maps(os.getpid())[1]:
        library = elf.library(read, base)
        if len(elf.functions(library, NAMES)) == len(NAMES):
            return library
    pytest.skip("this Python exports no names")


def test_functions_lie_where_the_loader_finds_them() -> None:
    library = own_python()
    for name, function in elf.functions(library, NAMES).items():
        assert function.address == ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
        assert 0 < function.size < 1 << 16
        (segment,) = (one for one in library.segments if one.start <= function.address < one.end)
        assert segment.executable


def test_a_name_that_is_not_there() -> None:
    assert elf.functions(own_python(), ("no_such_function", "Py_AddPendingCal")) == {}


@pytest.mark.parametrize("data", [b"", b"\x7fELF", bytes(64), b"\x7fELF\x02\x01" + bytes(58), b"\x7fELF\x01\x01" * 20])
def test_what_is_no_library(data: bytes) -> None:
    with pytest.raises(elf.ElfError):
        elf.library(lambda at, size: data[at : at + size], 0)


IMAGE = Path("/proc/self/exe").resolve().read_bytes()[: 1 << 16]


@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=20))
def test_damaged_memory_is_refused_or_read_within_bounds(changes: list[tuple[int, int]]) -> None:
    image = bytearray(IMAGE)
    for at, value in changes:
        image[at] = value
    reads = 0

    def damaged(address: int, size: int) -> bytes:
        nonlocal reads
        reads += 1
        assert size <= 4096
        return bytes(image[address : address + size])

    with contextlib.suppress(elf.ElfError, struct.error):
        elf.functions(elf.library(damaged, 0), NAMES)
    assert reads < len(NAMES) * (elf.CHAIN_MAX * 3) + elf.HEADERS_MAX + 10
