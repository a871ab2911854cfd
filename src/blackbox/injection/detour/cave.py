"""Bytes of a program that nobody uses, and that may be executed: the rest of the last page of a library's code.

A cave, once written, stays: a call that is still queued in Python may point at its text, so the next one who attaches
finds it and writes another text into the same place.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from blackbox.injection.detour.code import CODE, THREAD
from blackbox.injection.detour.elf import ElfError, Function, Read, library

TEXT_BYTES = 512
"""At the start, in every version of Blackbox, with the zero that ends it: a queued call points there."""
PAGE = 4096
CAVES_MAX = 4096
"""Libraries that are looked at; PyTorch brings some hundred."""
_TABLE = struct.Struct("<5Q")


class Cave(NamedTuple):
    """Where text, code and the table of the thread's functions go."""

    address: int
    contents: bytes
    """What has to lie behind the text."""

    @property
    def code(self) -> int:
        return self.address + TEXT_BYTES

    @property
    def thread(self) -> int:
        return self.code + THREAD

    @property
    def table(self) -> int:
        return self.code + len(CODE)

    @property
    def end(self) -> int:
        return self.code + len(self.contents)


class Names(NamedTuple):
    """The functions of Python that are called."""

    add_pending_call: Function
    run_string: Function
    start_thread: Function
    ensure_gil: Function
    release_gil: Function
    is_initialized: Function


NAMES = (
    "Py_AddPendingCall",
    "PyRun_SimpleString",
    "PyThread_start_new_thread",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "Py_IsInitialized",
)


def find(read: Read, bases: Sequence[int], names: Names) -> Cave | None:
    """A cave that we used before, or else one of zeros; None where there is none. `bases`: of the mapped libraries."""
    unused: Cave | None = None
    for base in bases[:CAVES_MAX]:
        try:
            segments = library(read, base).segments
        except (ElfError, OSError):
            continue
        for segment in segments:
            start = -(-segment.end // 16) * 16
            cave = _cave(start, names)
            if not segment.executable or cave.end > -(-segment.end // PAGE) * PAGE:
                continue
            try:
                there = read(start, cave.end - start)
            except OSError:
                continue
            if is_ours(cave, there):
                return cave
            if unused is None and is_free(cave, there):
                unused = cave
    return unused


def is_ours(cave: Cave, there: bytes) -> bool:
    """Whether this lies behind the text already."""
    return there[TEXT_BYTES:] == cave.contents


def is_free(cave: Cave, there: bytes) -> bool:
    """Whether nobody has written anything there."""
    return there == bytes(cave.end - cave.address)


def _cave(address: int, names: Names) -> Cave:
    functions = (names.ensure_gil, names.run_string, names.release_gil)
    table = _TABLE.pack(*(one.address for one in functions), address, names.is_initialized.address)
    return Cave(address, CODE + table)
