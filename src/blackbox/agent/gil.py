"""Turns of the interpreter: only one thread runs Python at a time, so the agent's lets go of it between pieces of work.

Python itself makes a thread let go after 5 ms, and a program that calls into its framework a hundred times per step may
meet that a hundred times: without rests it stands still until the whole list of blocks is put into words.
"""

from __future__ import annotations

import time
from collections.abc import Callable

WORK_SECONDS = 0.001
REST_SECONDS = 0.002
"""Twice as long as a piece: the program keeps most of the interpreter."""


class Turns:
    """Of one thread, which alone may use it."""

    def __init__(
        self, rest: Callable[[float], object] = time.sleep, cpu_clock: Callable[[], float] = time.thread_time
    ) -> None:
        """`rest` waits so many seconds, or less where there is no time; `cpu_clock` tells the thread's CPU time."""
        self._rest = rest
        self._cpu_clock = cpu_clock
        self._rested_at = 0.0

    def rest(self) -> None:
        """Lets others run where this thread has worked for a while since it last did; else costs a microsecond."""
        if self._cpu_clock() - self._rested_at >= WORK_SECONDS:
            self._rest(REST_SECONDS)
            self._rested_at = self._cpu_clock()
