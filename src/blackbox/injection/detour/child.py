"""Run in a process of its own: sends a thread of the program on its way, and gives the program its task over a socket.

The socket has no file: its name is an abstract one, drawn by chance, so nothing is left behind, however this ends. The
program runs what comes from it only behind a token that stands in its own memory alone, and this process gives the task
to that program only, as the kernel names it. The end of standard input takes the request back. One line is printed.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from blackbox.injection.detour import cave as caves
from blackbox.injection.detour import elf, pending
from blackbox.injection.detour.outside import Handed, handed, listen
from blackbox.injection.detour.thread import BusyError, Way, borrow
from blackbox.injection.detour.tracing import StopError, Thread, stopped

LOOK_SECONDS = 0.1
"""Between looks whether the program lives; what comes from it, or from whoever asks, is seen at once."""
QUEUED_SECONDS = 0.05
"""A call that still waits in Python's queue by then, while the main thread sleeps, is not waited for: a thread of our
own is tried."""
ASLEEP_SECONDS = 0.3
"""The same where the queue cannot be seen; and before a main thread that was busy is tried again."""
ANOTHER_SECONDS = 3.0
"""Before one more thread is started: the first may only be waiting for the interpreter, but where somebody else
attaches at the same time, his line may have taken the place of ours.
"""
TRIES = 200
TRY_SECONDS = 0.002
"""Between tries to find the main thread where it may be borrowed."""
ANSWER_BYTES_MAX = 200
LATE_SECONDS = 0.05
"""For a program that comes to the door while a request is taken back."""
WORK_SECONDS = 4.0
"""For the answer of one that has come to the door, once the request is taken back: it is at it already."""
FREE_THREADED = "_Py_DecRefShared"
"""What only a free-threaded Python exports."""
_PEER = struct.Struct("3i")
_START_TICKS = 19


class RefusedError(Exception):
    """The program was left as it was; says why in one line."""


class ProgramLayout(NamedTuple):
    """What was found in the program, before anything is done."""

    memory: int
    cave: caves.Cave
    names: caves.Names
    queue: pending.Queue | None
    """None where its Python is built in a way that is not known."""
    stacks: tuple[range, ...]


def main(pid: str, start_ticks: str, version: str, size: str, folder: str) -> None:
    """Reads a task of `size` bytes (Python for the program, in which `door` is the socket) and prints what came of it.

    `version`: of its Python, such as `3.11`; `folder`: of the server's socket, for a program that sees another disk.
    """
    task = b""
    while len(task) < int(size):
        more = os.read(0, int(size) - len(task))
        if not more:
            return
        task += more
    request = Request(int(pid), int(start_ticks), version, folder)
    try:
        answer = request.carry_out(task)
    except (RefusedError, StopError, elf.ElfError, OSError) as error:
        words = (isinstance(error, OSError) and error.strerror) or error
        answer = "ended" if request.has_ended() else f"refused {words}"
    print(f"{answer}\t{request.stopped_seconds:.6f}", flush=True)


class Request:
    """One task for one program."""

    def __init__(self, pid: int, start_ticks: int, version: str, folder: str) -> None:
        self._pid = pid
        self._version = version
        self._folder = folder
        self._start_ticks = start_ticks
        self._name = f"blackbox-{os.urandom(8).hex()}"
        self._token = os.urandom(16).hex()
        self.stopped_seconds = 0.0
        """The longest that its main thread was stopped."""

    def carry_out(self, task: bytes) -> str:
        """What the program answered, or `taken-back`. Raises `RefusedError`, `StopError`, `ElfError`, `OSError`."""
        with open(f"/proc/{self._pid}/mem", "r+b", 0) as memory:  # noqa: PTH123
            if not _is_alone(memory.fileno()):
                return "refused another process is attaching to it, or detaching"
            return self._carry_out(task, find_place(self._pid, memory.fileno(), self._version))

    def _carry_out(self, task: bytes, place: ProgramLayout) -> str:
        with listen(self._pid, self._name) as listener, handed(self._pid, self._folder) as outside:
            self._send("pending call", place)
            answer = self._await(listener, task, place, outside)
            self._blank(place)
            if answer is None:
                answer = self._served(listener, task, outside, LATE_SECONDS)
            return "taken-back" if answer is None else answer

    def _await(self, listener: socket.socket, task: bytes, place: ProgramLayout, outside: Handed) -> str | None:
        sent = time.monotonic()
        again = sent + (ASLEEP_SECONDS if place.queue is None else QUEUED_SECONDS)
        while True:
            left = max(0.0, min(again - time.monotonic(), LOOK_SECONDS))
            ready = select.select([listener, 0], [], [], left)[0]
            if 0 in ready:
                return None
            answer = self._served(listener, task, outside, 0) if ready else None
            if answer is not None:
                return answer
            state = self._check_same()
            if time.monotonic() >= again:
                again = time.monotonic() + ASLEEP_SECONDS
                if state == "S" and (_is_queued(place) or time.monotonic() >= sent + ANOTHER_SECONDS):
                    with contextlib.suppress(BusyError):
                        self._send("thread", place, tries=1)
                        sent = time.monotonic()
                        again = sent + ANOTHER_SECONDS

    def _served(self, listener: socket.socket, task: bytes, outside: Handed, seconds: float) -> str | None:
        """The answer of the program, where it comes to the door within `seconds`; others are sent away."""
        if not select.select([listener], [], [], seconds)[0]:
            return None
        door, _ = listener.accept()
        with door, contextlib.suppress(OSError):
            peer, _, _ = _PEER.unpack(door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
            if peer != self._pid:
                return None
            door.sendall(f"{self._token}{len(task):08x}".encode() + task)
            if outside.descriptors:
                socket.send_fds(door, [b"+"], outside.descriptors)
            if select.select([door, 0], [], [])[0] != [door]:
                door.settimeout(WORK_SECONDS)
            return door.recv(ANSWER_BYTES_MAX).decode(errors="replace").strip() or None
        return None

    def _send(self, way: Way, place: ProgramLayout, tries: int = TRIES) -> None:
        """Sends the main thread round. Raises `RefusedError` where it was never where it may be borrowed; `BusyError`
        where that is so of one try."""

        text = line(inner_pid(self._pid), self._name, self._token)

        def work(thread: Thread) -> None:
            there = os.pread(place.memory, place.cave.end - place.cave.address, place.cave.address)
            if not there:
                raise RefusedError("it runs another program by now")
            if not caves.is_ours(place.cave, there):
                if not caves.is_free(place.cave, there):
                    raise BusyError("the place for the few instructions was taken meanwhile")
                self._write(place, place.cave.code, place.cave.contents)
            before = there[: len(text)]
            if before != text and before[0]:  # of one who was killed: Python may be reading it at this moment
                self._write(place, place.cave.address, b"\0")
                raise BusyError("another has asked it the same")
            if before != text:
                self._write(place, place.cave.address, text)
            borrow(thread, place.memory, way, place.cave, place.names, place.queue, place.stacks)

        for left in reversed(range(tries)):
            try:
                self._stopped(work)
            except BusyError as error:
                if tries == 1:
                    raise
                if not left:
                    raise RefusedError(str(error)) from None
                time.sleep(TRY_SECONDS)
            else:
                return

    def _stopped(self, work: Callable[[Thread], None]) -> None:
        with stopped(self._pid, self._check_same) as thread:
            work(thread)
        self.stopped_seconds = max(self.stopped_seconds, thread.stopped_seconds)

    def has_ended(self) -> bool:
        """Whether the program is gone, or only waits for its parent to notice."""
        try:
            self._check_same()
        except ProcessLookupError:
            return True
        return False

    def _check_same(self) -> str:
        """The state of its main thread. Raises `ProcessLookupError` where it has ended."""
        ticks, state = began(self._pid)
        if ticks != self._start_ticks:
            raise ProcessLookupError(self._pid)
        return state

    def _write(self, place: ProgramLayout, address: int, data: bytes) -> None:
        if os.pwrite(place.memory, data, address) != len(data):
            raise RefusedError("its memory cannot be written to")

    def _blank(self, place: ProgramLayout) -> None:
        """Whatever is queued in the program runs nothing from now on. Raises `StopError`: this process has to end then,
        for a thread that did not stop in time may stop later, and only that lets it go."""
        with contextlib.suppress(OSError, RefusedError):  # it has ended
            try:
                self._write(place, place.cave.address, b"\0")
            except OSError:  # some kernels let only a debugger write
                self._stopped(lambda _: self._write(place, place.cave.address, b"\0"))


def line(pid: int, name: str, token: str) -> bytes:
    """What Python runs in the program: starts a thread, binds no name, raises nothing, prints nothing; does nothing in
    a child that was forked while it waited. The thread asks at the door for its task.
    """
    fetch = f"""try:
 import _socket
 door=_socket.socket(1,1)
 try:
  door.settimeout(9)
  door.connect({chr(0) + name!r})
  t=door.recv(40)
  n=t[:32]=={token.encode()!r} and int(t[32:],16)
  t=b''
  while len(t)<n:t+=door.recv(n-len(t)) or 1/0
  exec(t)
 finally:door.close()
except BaseException:pass
"""
    text = f"""try:
 __import__('posix').getpid()=={pid} and __import__('_thread').start_new_thread(exec,({fetch!r},{{}}))
except BaseException:pass
""".encode()
    assert len(text) < caves.TEXT_BYTES
    return text.ljust(caves.TEXT_BYTES, b"\0")


def _is_alone(memory: int) -> bool:
    """Waits until nobody else is at this program, or until this request is taken back. Who is killed makes way."""
    while True:
        try:
            fcntl.flock(memory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if select.select([0], [], [], LOOK_SECONDS)[0]:
                return False
        else:
            return True


def _is_queued(place: ProgramLayout) -> bool:
    """Whether Python has still to fetch our call; where that cannot be seen, it is taken for granted."""
    return place.queue is None or place.queue.holds(place.names.run_string.address, place.cave.address)


def find_place(pid: int, memory: int, version: str) -> ProgramLayout:
    """Looks only. `memory`: the program's. Raises `RefusedError`, `ElfError`, `OSError`."""
    check_machine(pid)
    bases, pythons, stacks = _maps(pid)

    def read(address: int, size: int) -> bytes:
        try:
            return os.pread(memory, size, address)
        except (OverflowError, ValueError) as error:
            raise OSError(str(error)) from None

    for base in pythons:
        try:
            found = elf.functions(elf.library(read, base), (*caves.NAMES, pending.RUNTIME, FREE_THREADED))
        except (elf.ElfError, OSError):  # others are called so, too, such as modules that come with no table of names
            continue
        if found.keys() >= set(caves.NAMES):
            if FREE_THREADED in found:
                raise RefusedError("its Python is free-threaded, on which this was not tried")
            names = caves.Names(*(found[name] for name in caves.NAMES))
            runtime = found.get(pending.RUNTIME)
            queue = None if runtime is None else pending.find(read, runtime.address, version)
            if runtime is not None and pending.has_several_interpreters(read, runtime.address, version):
                raise RefusedError("it has subinterpreters, and up to Python 3.11 any of them may get what is asked")
            cave = caves.find(read, bases, names)
            if cave is None:
                raise RefusedError("no library in it has room for the few instructions that are needed")
            return ProgramLayout(memory, cave, names, queue, stacks)
    raise RefusedError("its Python does not export the functions that are needed")


def _maps(pid: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[range, ...]]:
    """Where its libraries begin, those of them that may be Python's, and the stack of its main thread."""
    bases: list[int] = []
    pythons: list[int] = []
    stacks: list[range] = []
    executable = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - a string
    with open(f"/proc/{pid}/maps", errors="replace") as lines:  # noqa: PTH123
        for columns in (text.split(maxsplit=5) for text in lines):
            start, end = (int(part, 16) for part in columns[0].split("-"))
            path = columns[5].strip() if len(columns) > 5 else ""
            if path == "[stack]":
                stacks.append(range(start - _stack_growth(pid, end - start), end))
            elif path.startswith("/") and int(columns[2], 16) == 0:
                bases.append(start)
                if path == executable or "python" in path.rpartition("/")[2]:
                    pythons.append(start)
    return tuple(bases), tuple(pythons), tuple(stacks)


def check_machine(pid: int) -> None:
    """Raises `RefusedError` where the few instructions would not do what they do elsewhere."""
    with open("/proc/cpuinfo") as lines:  # noqa: PTH123
        flags = next((text for text in lines if text.startswith("flags")), "")
    if "xsave" not in flags.split():
        raise RefusedError("this processor cannot store its state in one piece (xsave)")
    with open(f"/proc/{pid}/status", errors="replace") as lines:  # noqa: PTH123
        if any(text.startswith("x86_Thread_features:") and "shstk" in text.split() for text in lines):
            raise RefusedError("its return addresses are guarded by a shadow stack")


def _stack_growth(pid: int, used: int) -> int:
    """How far its stack may grow yet: at most what is usual, where its limit says more."""
    with open(f"/proc/{pid}/limits") as lines:  # noqa: PTH123
        words = next(text for text in lines if text.startswith("Max stack size")).split()
    limit = 8 << 20 if words[3] == "unlimited" else min(int(words[3]), 8 << 20)
    return max(0, limit - used)


def began(pid: int) -> tuple[int, str]:
    """When it did, in the kernel's ticks since boot, and its state. Raises `ProcessLookupError` where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:  # noqa: PTH123
            columns = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    if columns[0] in "ZX":
        raise ProcessLookupError(pid)
    return int(columns[_START_TICKS]), columns[0]


def inner_pid(pid: int) -> int:
    """Its number where it lives, which in a container is another."""
    with open(f"/proc/{pid}/status", errors="replace") as lines:  # noqa: PTH123
        numbers = next((text.split()[1:] for text in lines if text.startswith("NSpid:")), [str(pid)])
    return int(numbers[-1])


if __name__ == "__main__":
    main(*sys.argv[1:6])
