"""CUPTI as this process has loaded it: one window of kernel records at a time.

CUPTI asks for buffers, and hands them back, on whatever thread it likes, the program's among them. What runs there is
as little as possible: a free buffer is handed out, a full one queued (docs/decisions/0004-cupti.md).
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator
from typing import Any

from blackbox.agent.libraries import path_of
from blackbox.agent.probes.cupti.records import BYTES, KIND, VERSIONS, Launch, read_launch

NAME = "libcupti.so"
BUFFER_BYTES = 1024 * 1024
BUFFERS = 2
"""Ten thousand kernels, decoded in 30 ms; what comes beyond is dropped, and not counted."""
BUSY = 39
"""CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED: another profiler is there."""
FORCED = 1
"""CUPTI_ACTIVITY_FLAG_FLUSH_FORCED: buffers that are not full, too."""
_POINTER = ctypes.POINTER(ctypes.c_void_p)
_SIZE = ctypes.POINTER(ctypes.c_size_t)
_REQUESTED = ctypes.CFUNCTYPE(None, _POINTER, _SIZE, _SIZE)
_COMPLETED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_CALLED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p)


class CuptiError(Exception):
    """There are no records; the message is the reason that users read."""


class BusyError(CuptiError):
    """Another profiler of the program uses CUPTI."""


class Cupti:
    """The library, and two buffers. Every method raises `CuptiError`."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_path())
        self.version: int = self._version()
        if not any(self.version in known for known in VERSIONS):
            raise CuptiError(f"CUPTI {self.version} may lay out its records differently")
        self._memory = [ctypes.create_string_buffer(BUFFER_BYTES) for _ in range(BUFFERS)]
        self._ready = deque(ctypes.addressof(buffer) for buffer in self._memory)
        self._filled: deque[tuple[int, int]] = deque()
        """(address, bytes in use) of buffers that CUPTI has handed back."""
        self._subscriber = ctypes.c_void_p()
        self._requested = _REQUESTED(self._hand_out)
        self._completed = _COMPLETED(self._queue_filled)
        self._called = _CALLED(_nothing)
        """All three are kept as long as CUPTI may call them: to the end of the process."""

    def open(self) -> None:
        """Begins a window. Raises `BusyError` where another profiler is subscribed."""
        code = self._library.cuptiSubscribe(ctypes.byref(self._subscriber), self._called, None)
        if code == BUSY:
            raise BusyError("another profiler of this program has CUPTI to itself")
        self._check("cuptiSubscribe", code)
        try:
            self._call("cuptiActivityRegisterCallbacks", self._requested, self._completed)
            self._call("cuptiActivityEnable", KIND)
        except CuptiError:
            self._library.cuptiUnsubscribe(self._subscriber)
            raise

    def close(self) -> list[Launch]:
        """Ends the window; the kernels that ended within it."""
        try:
            self._call("cuptiActivityDisable", KIND)
            self._call("cuptiActivityFlushAll", FORCED)
        finally:
            self._library.cuptiUnsubscribe(self._subscriber)
        launches: list[Launch] = []
        while self._filled:
            address, size = self._filled.popleft()
            try:
                launches += self._launches(address, size)
            finally:
                self._ready.append(address)
        return launches

    def _launches(self, address: int, size: int) -> Iterator[Launch]:
        record = ctypes.c_void_p()
        following = self._library.cuptiActivityGetNextRecord
        buffer, valid, place = ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.byref(record)
        while following(buffer, valid, place) == 0 and record.value is not None:
            try:
                yield read_launch(ctypes.string_at(record.value, BYTES))
            except ValueError as error:
                raise CuptiError(str(error)) from None

    def _hand_out(self, buffer: Any, size: Any, records_max: Any) -> None:
        """Without a free buffer CUPTI gets none, and drops its records."""
        try:
            buffer[0], size[0] = self._ready.popleft(), BUFFER_BYTES
        except IndexError:
            buffer[0], size[0] = None, 0
        records_max[0] = 0

    def _queue_filled(self, _context: Any, _stream: int, buffer: int, _size: int, valid: int) -> None:
        self._filled.append((buffer, valid))

    def _version(self) -> int:
        version = ctypes.c_uint32()
        self._call("cuptiGetVersion", ctypes.byref(version))
        return version.value

    def _call(self, name: str, *arguments: object) -> None:
        self._check(name, getattr(self._library, name)(*arguments))

    def _check(self, name: str, code: int) -> None:
        if code != 0:
            raise CuptiError(f"{name} failed with {code}")


def _nothing(_data: object, _domain: int, _function: int, _parameters: object) -> None:
    """A subscriber must have a callback; none is ever enabled."""


def _path() -> str:
    """The library that this process has loaded already. Raises `CuptiError` without one."""
    path = path_of(NAME)
    if path is None:
        raise CuptiError("this program has loaded no CUPTI; PyTorch's builds for CUDA bring one")
    return path
