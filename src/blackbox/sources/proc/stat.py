"""The stat file of a process or a thread, and the few ways in which files of /proc are read."""

import os
import re
from pathlib import Path
from typing import NamedTuple

FILE_BYTES_MAX = 65_536
"""No file read here is longer; the kernel writes at most a few KiB."""
STAT_BYTES_MAX = 4096
"""A stat file of a process or thread is shorter."""
EXITING_FLAG = 0x4
"""PF_EXITING, the kernel's flag of a task on its way out: set before the first of its files is closed."""
DEAD_STATES = (b"Z", b"X")
_STATE, _PARENT, _SESSION, _FLAGS, _USER_TICKS, _SYSTEM_TICKS = 0, 1, 3, 6, 11, 12
_THREADS, _START_TICKS, _ARGUMENTS, _WAIT_STATUS = 17, 19, 45, 49
"""Fields of a stat file, counted from behind the name."""


class Stat(NamedTuple):
    """What a stat file says."""

    name: bytes
    """The kernel's comm, at most 15 bytes."""
    state: bytes
    """One letter: R runs or wants to, Z and X are dead, the others wait."""
    parent: int
    session: int
    flags: int
    cpu_ticks: int
    """CPU time so far, of user and kernel together."""
    threads: int
    start_ticks: int
    """Since boot; with the pid, the identity of the process."""
    arguments_at: int
    """Address of its command line, which every exec moves; 0 where we may not know it."""
    wait_status: int | None
    """As `os.waitpid` returns it; 0 where we may not know it, None where the kernel is too old to say."""


def parse(data: bytes | None) -> Stat | None:
    """The stat file in `data`; None where that is none, or not whole."""
    # the name may hold blanks and parentheses; nothing behind it does
    head, _, tail = (data or b"").rpartition(b") ")
    fields = tail.split()
    try:
        return Stat(
            name=head.partition(b"(")[2],
            state=fields[_STATE],
            parent=int(fields[_PARENT]),
            session=int(fields[_SESSION]),
            flags=int(fields[_FLAGS]),
            cpu_ticks=int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS]),
            threads=int(fields[_THREADS]),
            start_ticks=int(fields[_START_TICKS]),
            arguments_at=int(fields[_ARGUMENTS]) if len(fields) > _ARGUMENTS else 0,
            wait_status=int(fields[_WAIT_STATUS]) if len(fields) > _WAIT_STATUS else None,
        )
    except (IndexError, ValueError):
        return None


def boot_time(root: str | Path) -> float | None:
    """When the machine started, in whole Unix seconds; None where /proc does not tell. The kernel moves it when the
    clock is set."""
    try:
        data = Path(root, "stat").read_bytes()  # whole: it has a line per CPU, and a long one of interrupts
    except OSError:
        return None
    match = re.search(rb"^btime (\d+)", data, re.MULTILINE)
    return float(match[1]) if match else None


def read(path: str | Path, directory: int | None = None, bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """The first `bytes_max` bytes of a file, whose path is relative to the open `directory` where there is one; None
    when it, or its process, is not there or not to be read."""
    file = open_file(path, directory)
    if file is None:
        return None
    try:
        return read_open(file, bytes_max)
    finally:
        os.close(file)


def open_file(path: str | Path, directory: int | None = None) -> int | None:
    """A handle for `read_open`, which the caller closes; None when the file cannot be opened."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return None


def read_open(file: int, bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """The content of an open file from its start; None when its process has ended."""
    try:
        return os.pread(file, bytes_max, 0)
    except OSError:
        return None
