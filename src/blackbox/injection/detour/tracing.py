"""One thread of another program is stopped while a `with` block lasts, and let go: `ptrace` of Linux, x86-64.

The kernel lets go of it, too, where this process ends in the middle. Signals that the program gets meanwhile are
passed on.
"""

import contextlib
import ctypes
import os
import signal
import struct
import time
from collections.abc import Callable, Generator

STOP_SECONDS_MAX = 1.0
"""A thread in a driver's call may not stop for long; then nothing is done."""
SIGNALS_MAX = 64
"""Passed on before a thread that gets one after the other is left alone."""
REGISTERS = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
_REGISTERS = struct.Struct("<27Q")
_RSEQ = struct.Struct("<QIIII")
_CRITICAL = struct.Struct("<IIQQQ")
_SEIZE, _INTERRUPT, _GET_REGISTERS, _SET_REGISTERS, _CONTINUE, _DETACH, _GET_RSEQ = (
    0x4206,
    0x4207,
    12,
    13,
    7,
    17,
    0x420F,
)
_EVENT_STOP = 128
_WAIT_ALL = 0x40000000
"""`__WALL`: threads and programs that are not our children, too."""


class StopError(Exception):
    """The thread could not be stopped, and nothing was changed; says why in one line."""


class Thread:
    """One that is stopped."""

    def __init__(self, tid: int) -> None:
        self._tid = tid
        self.stopped_seconds = 0.0
        """From when the kernel said that it had stopped until it was let go. Before that it waited for a processor, as
        it would have without us."""

    def registers(self) -> dict[str, int]:
        """As the interrupted code has them. Raises `OSError`."""
        data = ctypes.create_string_buffer(_REGISTERS.size)
        _ptrace(_GET_REGISTERS, self._tid, 0, ctypes.addressof(data))
        return dict(zip(REGISTERS, _REGISTERS.unpack(data.raw), strict=True))

    def set_registers(self, values: dict[str, int]) -> None:
        """All of them at once. Raises `OSError`."""
        data = ctypes.create_string_buffer(_REGISTERS.pack(*(values[name] % 2**64 for name in REGISTERS)))
        _ptrace(_SET_REGISTERS, self._tid, 0, ctypes.addressof(data))

    def restartable_sequence(self) -> int:
        """Address of its `struct rseq`; 0 where it has none, or the kernel does not tell."""
        data = ctypes.create_string_buffer(_RSEQ.size)
        with contextlib.suppress(OSError):
            _ptrace(_GET_RSEQ, self._tid, _RSEQ.size, ctypes.addressof(data))
        return _RSEQ.unpack(data.raw)[0]


def critical_section(memory: int, rseq: int) -> range:
    """Addresses of the code that the kernel would start anew if the thread left it; empty where it is in none."""
    try:
        at = int.from_bytes(os.pread(memory, 8, rseq + 8), "little") if rseq else 0
        _, _, start, length, _ = _CRITICAL.unpack(os.pread(memory, _CRITICAL.size, at)) if at else (0,) * 5
    except (OSError, struct.error, OverflowError):
        return range(0)
    return range(start, start + length)


@contextlib.contextmanager
def stopped(tid: int, check: Callable[[], object]) -> Generator[Thread]:
    """Stops it for the block, and lets it go; where `check` raises, it is not stopped. From `check` on the number means
    the same thread. Raises `StopError`, `ProcessLookupError`, `PermissionError`, `OSError`.
    """
    _ptrace(_SEIZE, tid, 0, 0)
    try:
        check()
        with _alarm(), _urgent():
            _ptrace(_INTERRUPT, tid, 0, 0)
            _wait_stopped(tid)
            began = time.monotonic()
            thread = Thread(tid)
            yield thread
            _ptrace(_DETACH, tid, 0, 0)
            thread.stopped_seconds = time.monotonic() - began
    except BaseException:
        with contextlib.suppress(OSError):  # never stopped: the end of this process lets it go
            _ptrace(_DETACH, tid, 0, 0)
        raise


def _wait_stopped(tid: int) -> None:
    for _ in range(SIGNALS_MAX):
        _, status = os.waitpid(tid, _WAIT_ALL)
        if not os.WIFSTOPPED(status):
            raise ProcessLookupError(tid)
        number = os.WSTOPSIG(status)
        if status >> 16 == _EVENT_STOP:
            if number == signal.SIGTRAP:
                return
            raise StopError("it is stopped")
        _ptrace(_CONTINUE, tid, 0, number)
    raise StopError("it gets one signal after the other")


@contextlib.contextmanager
def _urgent() -> Generator[None]:
    """While a thread of others waits for us nobody goes before us, where we may say so (root)."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def _alarm() -> Generator[None]:
    def late(*_: object) -> None:
        raise StopError(f"stopping its main thread took longer than {STOP_SECONDS_MAX:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS_MAX)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request: int, tid: int, address: int, data: int) -> None:
    if _libc.ptrace(request, tid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
