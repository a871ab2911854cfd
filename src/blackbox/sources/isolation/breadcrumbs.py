"""Breadcrumbs: which driver call a source's process is in, told through memory that outlives a crash or a hang.

The child writes the call it is about to make; the parent reads it when no answer comes. One record of 64 bytes:

    8 bytes  when the call began, seconds on the monotonic clock
    4 bytes  device index, -1 for none
    1 byte   0 no call, 1 a call, 2 a slow call, 3 a vital call
    51 bytes name of the function, NUL-padded
"""

import mmap
import os
import struct
import time
from collections.abc import Collection
from typing import NamedTuple, Self

NO_DEVICE = -1
_RECORD = struct.Struct("<diB51s")
_IDLE, _CALL, _SLOW, _VITAL = 0, 1, 2, 3
_NOTHING = bytes(_RECORD.size)


class Call(NamedTuple):
    """A function of a driver library, and the device it is asked about."""

    function: str
    device: int

    def __str__(self) -> str:
        return self.function if self.device == NO_DEVICE else f"{self.function} on GPU {self.device}"


class Breadcrumb(NamedTuple):
    """A call in progress."""

    call: Call
    slow: bool
    """It may take seconds."""
    vital: bool
    """Nothing works without it, so it cannot be left out; it may take seconds too."""
    began_at: float


class Breadcrumbs:
    """One record in memory shared by the two processes."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, _RECORD.size)
        self._slow: Collection[str] = ()
        self._vital: Collection[str] = ()

    @classmethod
    def create(cls) -> tuple[Self, int]:
        """Fresh memory, and the file descriptor by which another process maps it."""
        fd = os.memfd_create("blackbox-breadcrumbs")
        os.ftruncate(fd, _RECORD.size)
        return cls(fd), fd

    def classify(self, *, slow: Collection[str], vital: Collection[str]) -> None:
        """Names the functions that may take seconds, and those without which nothing works."""
        self._slow, self._vital = slow, vital

    def mark(self, function: str, device: int) -> None:
        """A call begins."""
        kind = _VITAL if function in self._vital else _SLOW if function in self._slow else _CALL
        self._memory[:] = _RECORD.pack(time.monotonic(), device, kind, function.encode())

    def clear(self) -> None:
        """No call is in progress."""
        self._memory[:] = _NOTHING

    def read(self) -> Breadcrumb | None:
        """The call in progress. Raises `ValueError` after `close`."""
        began_at, device, kind, name = _RECORD.unpack(self._memory[:])
        if kind == _IDLE:
            return None
        call = Call(name.rstrip(b"\0").decode(errors="replace"), device)
        return Breadcrumb(call, kind in (_SLOW, _VITAL), kind == _VITAL, began_at)

    def close(self) -> None:
        self._memory.close()
