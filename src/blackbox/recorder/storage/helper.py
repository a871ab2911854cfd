"""Work on the recording that takes tens of MB for a second or two, done by a process of its own that then ends.

Python gives memory back in whole arenas: within the server, what lives on would come to lie between what such work
frees, and keep MBs of it. Of a process that ends nothing stays.
"""

import contextlib
import logging
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from blackbox.errors import FailureError
from blackbox.sources.isolation.lifetime import live_with_parent, signal_name
from blackbox.sources.isolation.limits import limit_this_process
from blackbox.sources.isolation.reader import fail_in_one_line, one_line

NICE = 5
"""Sampling and answers come first."""
MEMORY_BYTES_MAX = 4 << 30
"""Address space: a moment of 64 processes with 100,000 blocks each takes 1 GiB, and is told again without secrets."""
CPU_SECONDS_MAX = 600
"""A dump of 1,200 such moments takes minutes, most work a second."""
SECONDS_MAX = 1800.0
"""By the clock, on a machine that is busy with other things."""
END_SECONDS_MAX = 0.5
"""For the kernel to end what is killed."""
LINES_MAX = 20
"""Of what it says on stderr, for the log."""
OOM_SCORE = 500
"""Where the machine runs out of memory, the kernel takes this process before the server: its work is done again."""
LAUNCH = """\
import sys
from blackbox.imports import import_msgspec
import_msgspec()
from blackbox.recorder.storage.helper import main
sys.exit(main())
"""
"""What the process runs."""

log = logging.getLogger(__name__)


class HelperLostError(Exception):
    """The process ended without an answer. The message says how."""


class Helper:
    """One such process. What it is given and what it answers lie in memory files, so that neither side ever waits for
    the other to read."""

    def __init__(self, task: str, order: bytes) -> None:
        """Starts it: `task` is `module:function`, which is given the order and returns the answer. Raises `OSError`
        where the machine refuses."""
        with contextlib.ExitStack() as stack:
            given, self._answer, self._said = (stack.enter_context(_memory_file(name)) for name in ("in", "out", "err"))
            given.write(order)
            given.seek(0)
            self._popen = subprocess.Popen(
                # -P: a folder the server happens to stand in is no place to import from
                [sys.executable, "-P", "-c", LAUNCH, task, str(os.getpid())],
                stdin=given,
                stdout=self._answer,
                stderr=self._said,
            )
            given.close()
            stack.pop_all()
        self._give_up_at = time.monotonic() + SECONDS_MAX

    @property
    def pid(self) -> int:
        return self._popen.pid

    def poll(self) -> bytes | None:
        """The answer; None while it works. Raises `FailureError` where it says why it has none, `HelperLostError` where
        it ended otherwise."""
        if self._popen.poll() is None:
            if time.monotonic() < self._give_up_at:
                return None
            self.kill()
            raise HelperLostError(f"its process took more than {SECONDS_MAX:g} s")
        return self._result()

    def wait(self) -> bytes:
        """The answer, once it is there. Raises as `poll`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(max(0.0, self._give_up_at - time.monotonic()))
        answer = self.poll()
        assert answer is not None
        return answer

    def end(self) -> None:
        """Has the kernel end it, for whoever waits for it in another thread."""
        self._popen.kill()

    def kill(self) -> None:
        """Ends it, whatever it is doing, and lets go of it."""
        self.end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(END_SECONDS_MAX)
        self._answer.close()
        self._said.close()

    def _result(self) -> bytes:
        with self._answer, self._said:
            answer, said = (_whole(file) for file in (self._answer, self._said))
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        last = one_line(lines[-1]) if lines else ""
        code = self._popen.returncode
        if code == 0:
            for line in lines[:LINES_MAX]:
                log.warning("%s", line)
            return answer
        if code == 1 and len(lines) == 1:
            raise FailureError(last)
        ending = f"was killed by {signal_name(-code)}" if code < 0 else f"exited with code {code}"
        raise HelperLostError(f"its process {ending}" + (f": {last}" if last else ""))


def main() -> int:
    """The inside: python -c LAUNCH TASK PARENT_PID, with the order on stdin and the answer on stdout. Exit code 1 and
    one line on stderr where there is none."""
    task, parent_pid = sys.argv[1], int(sys.argv[2])
    live_with_parent(parent_pid)
    limit_this_process(MEMORY_BYTES_MAX, CPU_SECONDS_MAX)
    os.nice(NICE)
    with contextlib.suppress(OSError):  # as in a container that hides it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    module, _, name = task.partition(":")
    try:
        answer = getattr(import_module(module), name)(sys.stdin.buffer.read())
    except FailureError as error:
        return fail_in_one_line(str(error))
    except MemoryError:
        return fail_in_one_line("it would take too much memory")
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


def _memory_file(name: str) -> BinaryIO:
    return os.fdopen(os.memfd_create(f"blackbox-helper-{name}"), "w+b")


def _whole(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
