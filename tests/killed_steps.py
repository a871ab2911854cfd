"""Kills whoever attaches as it is about to make its Nth system call, for every N: python -m tests.killed_steps WHO ...

After each the program must run on, untraced, and let the next one in. `WHO` is `detour` (the child that makes one),
`remote` (the child that asks Python 3.14), or `asker` (the process that started that child). Prints a line for each.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from blackbox.injection import handover, program
from blackbox.injection.detour.child import Request
from blackbox.injection.detour.tracing import REGISTERS, Thread

Who = Literal["detour", "remote", "asker"]
BEGINS = {"detour": (41,), "remote": (319,), "asker": (56, 57, 58, 435)}
"""The first system call that counts: the door's `socket`; the letter's `memfd_create`; `clone`, `fork`, `vfork` and
`clone3`. What comes before only looks."""
STEPS_MAX = 2000
_SYSCALL, _TRACE_ME, _SET_OPTIONS = 24, 0, 0x4200
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_OPTIONS = 1 | 0x10 | 0x100000
"""Marks stops of system calls; tells of `exec`; kills the child where this process ends."""
_libc = ctypes.CDLL(None, use_errno=True)


def kill_at(work: Callable[[], object], step: int, begins: tuple[int, ...]) -> bool:
    """Runs `work` in a child that is killed as it is about to make its `step`th system call, counted from the first of
    `begins`; False where it had ended before.
    """
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _libc.ptrace(_TRACE_ME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
        os._exit(0)
    os.waitpid(child, 0)
    _libc.ptrace(_SET_OPTIONS, child, None, ctypes.c_void_p(_OPTIONS))
    seen, entering, passing = 0, True, 0
    while True:
        _libc.ptrace(_SYSCALL, child, None, ctypes.c_void_p(passing))
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            return False
        passing = 0
        if os.WSTOPSIG(status) != _SYSCALL_STOP:
            passing = 0 if status >> 16 else os.WSTOPSIG(status)
            continue
        if entering and (seen or Thread(child).registers()[REGISTERS[15]] in begins):
            seen += 1
            if seen > step:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return True
        entering = not entering


def attacher(who: Who, target: program.Program, socket: str) -> Callable[[], object]:
    """What is killed."""
    if who == "asker":
        return lambda: handover.ask(target, "attach", socket, 60)
    if who == "detour":
        version = ".".join(map(str, target.version or ()))
        task = handover.errand("attach", socket, elsewhere=False)
        return lambda: _with_input(b"", lambda: Request(target.pid, target.start_ticks, version, "").carry_out(task))
    letter = handover.letter("attach", socket)
    code = f"{Path(handover.__file__).with_name('remote.py').read_text()}\nmain({target.pid}, {len(letter)})\n"
    command = [target.executable, "-I", "-S", "-B", "-c", code]
    return lambda: _with_input(letter, lambda: os.execve(command[0], command, {}))


def _with_input(text: bytes, work: Callable[[], object]) -> object:
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.write(writer, text)
    os.set_inheritable(writer, True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return work()


def step(who: Who, pid: int, socket: str, number: int) -> bool:
    """One kill, and what must hold after it; False where there was nothing left to kill. Raises `AssertionError`."""
    target = program.look(pid)
    killed = kill_at(attacher(who, target, socket), number, BEGINS[who])
    seen = program.look(pid)
    assert seen.start_ticks == target.start_ticks
    assert seen.tracer_pid == 0
    assert seen.state not in "tTZ", f"state {seen.state}"
    mechanism: handover.Mechanism = "detour" if who == "detour" else "remote"
    for task, kinds in (("attach", ("connected", "attached")), ("detach", ("detached",))):
        outcome = handover.ask(target, task, socket, 60, mechanism=mechanism)
        assert outcome.kind in kinds, outcome
    return killed


def main() -> int:
    who, pid, socket, first, stride = sys.argv[1:6]
    for count, number in enumerate(range(int(first), STEPS_MAX, int(stride))):
        began = time.monotonic()
        if not step(who, int(pid), socket, number):  # pyright: ignore[reportArgumentType]
            print(f"{who}: {count} kills, {number} steps at most", flush=True)
            return 0
        print(f"{who}: step {number}, {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
