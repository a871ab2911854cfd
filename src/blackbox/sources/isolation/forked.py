"""Work done by a fork of a command: a process with limits of its own that need not import all modules again."""

import contextlib
import gc
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from blackbox.errors import FailureError
from blackbox.sources.isolation.limits import limit_this_process

CHUNK_BYTES = 1 << 20
"""Read at once of what it hands back."""
FIRST_FILE = 3
"""After stdin, stdout and stderr."""
STOPPED = 130
"""Exit code of one that was interrupted, as of the command itself."""


class TooMuchMadeError(Exception):
    """The fork handed back more than it may hold in memory, and was killed."""


class ForkResult(NamedTuple):
    """A fork that has ended."""

    exit_code: int
    """Below 0: the signal that ended it."""
    handed_back: bytes
    """What it made; with exit code 1 the one line that says why it could not."""


def can_fork() -> bool:
    """Whether this process has no other thread, whose locks a fork would hold forever."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir()) == 1
    except OSError:
        return False


def run_forked(
    work: Callable[[], bytes],
    memory_bytes: int,
    cpu_seconds: int,
    give_up_seconds: float,
    every_seconds: float,
    tick: Callable[[int], None],
) -> ForkResult:
    """Has `work` done by a fork that may take so much memory beside what this process has mapped, and so much CPU time.

    `tick` is told its process id from time to time. Raises `TimeoutError`, `TooMuchMadeError`; when this returns, it is
    gone.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_the_child(work, write_end, memory_bytes, cpu_seconds)
    os.close(write_end)
    try:
        handed_back = _read(read_end, memory_bytes, give_up_seconds, every_seconds, lambda: tick(pid))
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(read_end)
    _, status = os.waitpid(pid, 0)
    return ForkResult(os.waitstatus_to_exitcode(status), handed_back)


def _read(
    read_end: int, bytes_max: int, give_up_seconds: float, every_seconds: float, tick: Callable[[], None]
) -> bytes:
    """All that is written until the other end is closed. Raises `TimeoutError`, `TooMuchMadeError`."""
    give_up_at = time.monotonic() + give_up_seconds
    poll = select.poll()
    poll.register(read_end, select.POLLIN | select.POLLHUP)
    parts: list[bytes] = []
    left = bytes_max
    while True:
        if poll.poll(every_seconds * 1000):
            part = os.read(read_end, CHUNK_BYTES)
            if not part:
                return b"".join(parts)
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise TooMuchMadeError
        elif time.monotonic() > give_up_at:
            raise TimeoutError
        else:
            tick()


def _be_the_child(work: Callable[[], bytes], write_end: int, memory_bytes: int, cpu_seconds: int) -> NoReturn:
    """Never returns, whatever happens: what the command would do after it is not this process's to do."""
    code = STOPPED
    with contextlib.suppress(BaseException):
        code = _work(work, write_end, memory_bytes, cpu_seconds)
    os._exit(code)


def _work(work: Callable[[], bytes], write_end: int, memory_bytes: int, cpu_seconds: int) -> int:
    gc.disable()
    _keep_only(write_end)
    limit_this_process(memory_bytes + _mapped_bytes(), cpu_seconds)
    try:
        code, made = 0, work()
    except FailureError as error:
        code, made = 1, str(error).encode(errors="replace")
    except MemoryError:
        code, made = 1, b"it would take too much memory"
    left = memoryview(made)
    while left:
        left = left[os.write(write_end, left) :]
    return code


def _keep_only(write_end: int) -> None:
    """No file of the command stays open: what is read may come from anyone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(FIRST_FILE):
        os.dup2(nothing, standard)
    for opened in [int(listed.name) for listed in Path("/proc/self/fd").iterdir()]:
        if opened >= FIRST_FILE and opened != write_end:
            with contextlib.suppress(OSError):  # that of the list itself is closed by now
                os.close(opened)


def _mapped_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
