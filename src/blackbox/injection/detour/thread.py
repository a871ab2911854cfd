"""Whether a stopped thread may be borrowed, and the registers that send it the long way round."""

import os
import struct
from collections.abc import Sequence
from typing import Literal

from blackbox.injection.detour.cave import Cave, Names
from blackbox.injection.detour.pending import Queue
from blackbox.injection.detour.tracing import Thread, critical_section

Way = Literal["pending call", "thread"]
"""A pending call: Python's main thread runs the text when it next runs Python. A thread: a new one does, at once."""

RED_ZONE_BYTES = 128
"""Below the stack pointer, which code of x86-64 may use without saying so."""
STACK_BYTES_MIN = 64 << 10
"""Free on the stack: vector state takes 3 kB, with AMX 11 kB, and Python's functions some more."""
LOOKED_AT_BYTES = 4096
"""Of the stack, for the way back of a detour that is under way; its functions need some hundred."""
USER_CODE = 0x33
"""The code segment of 64-bit programs."""
RESTART_SYSCALL = 219
_RESTART = {-512: None, -513: None, -514: None, -516: RESTART_SYSCALL}
"""What an interrupted system call returns to the kernel alone, and what is called to go on with it: the same again, or
`restart_syscall`."""
_INTERRUPTED = -4
_FUTEX, _FUTEX_OPERATIONS, _WAIT_BITSET = 202, 0x7F, 9
"""Semaphores and condition variables wait for a bit set; locks, such as malloc's, wait otherwise."""
_SLEEPS = frozenset((0, 7, 23, 34, 35, 43, 45, 47, 61, 128, 202, 219, 230, 232, 247, 270, 271, 281, 288, 441))
"""read, poll, select, pause, nanosleep, accept, recvfrom, recvmsg, wait4, rt_sigtimedwait, futex, restart_syscall,
clock_nanosleep, epoll_wait, waitid, pselect6, ppoll, epoll_pwait, accept4, epoll_pwait2: a thread that sleeps in one of
these holds no lock of the C library."""
_WORDS = struct.Struct("<5Q")


class BusyError(Exception):
    """Not at this moment; a moment later it may do."""


def borrow(
    thread: Thread, memory: int, way: Way, cave: Cave, names: Names, queue: Queue | None, stacks: Sequence[range]
) -> None:
    """Sends the stopped thread to call Python's function; it goes on where it was when it is let go.

    `memory`: the program's, open for writing; `queue`: None where it cannot be looked at; `stacks`: where its stack may
    lie. Raises `BusyError`, `OSError`.
    """
    registers = thread.registers()
    stack = next((one for one in stacks if registers["rsp"] in one), None)
    if registers["cs"] != USER_CODE or stack is None or registers["rsp"] - stack.start < STACK_BYTES_MIN:
        raise BusyError("its main thread is on a stack of its own")
    if registers["rip"] in critical_section(memory, thread.restartable_sequence()):
        raise BusyError("its main thread is in a restartable sequence")
    if way == "thread" and not asleep(registers):
        raise BusyError("its main thread is not asleep in a call that is known")
    if _on_the_way(registers, memory, cave, names, stack):
        raise BusyError("its main thread is in the function that would be called")
    if way == "pending call" and (not asleep(registers) if queue is None else queue.is_locked()):
        raise BusyError("its main thread may hold the lock of Python's pending calls")
    back = resumed(registers)
    call = (
        (names.add_pending_call.address, names.run_string.address, cave.address)
        if way == "pending call"
        else (names.start_thread.address, cave.thread, cave.table)
    )
    words = _WORDS.pack(*call, names.is_initialized.address, back["rip"])
    place = registers["rsp"] - RED_ZONE_BYTES - len(words)
    try:
        written = os.pwrite(memory, words, place)
    except OSError:  # the page below has not been used yet, and the kernel adds none for others
        written = 0
    if written != len(words):
        raise BusyError("its stack cannot be written to")
    thread.set_registers(back | {"rip": cave.code, "rsp": place})


def asleep(registers: dict[str, int]) -> bool:
    """Whether a system call was interrupted in which a thread holds no lock of the C library."""
    number = _signed(registers["orig_rax"])
    if number not in _SLEEPS or _signed(registers["rax"]) not in (*_RESTART, _INTERRUPTED):
        return False
    return number != _FUTEX or registers["rsi"] & _FUTEX_OPERATIONS == _WAIT_BITSET


def resumed(registers: dict[str, int]) -> dict[str, int]:
    """The registers with which the interrupted code goes on: the kernel would restart a system call itself, but at the
    wrong place once `rip` is another, so it is told of none.
    """
    result = _signed(registers["rax"])
    back = registers | {"orig_rax": -1}
    if _signed(registers["orig_rax"]) < 0 or result not in _RESTART:
        return back
    anew = _RESTART[result]
    return back | {"rax": registers["orig_rax"] if anew is None else anew, "rip": registers["rip"] - len(b"\x0f\x05")}


def _on_the_way(registers: dict[str, int], memory: int, cave: Cave, names: Names, stack: range) -> bool:
    """Whether a detour is under way already, of one who was killed, or the function runs that a pending call needs."""
    ours = range(cave.code, cave.end)
    pending = names.add_pending_call
    if registers["rip"] in ours or registers["rip"] in range(pending.address, pending.address + pending.size):
        return True
    size = min(LOOKED_AT_BYTES, stack.stop - registers["rsp"]) // 8 * 8
    return any(word in ours for (word,) in struct.iter_unpack("<Q", os.pread(memory, size, registers["rsp"])))


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
