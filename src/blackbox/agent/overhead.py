"""What the agent costs its program, and how that is kept low: CPU time, the interpreter's lock, the garbage collector.

**CPU time.** `CpuBudget` spaces costly work out, so that the agent takes a fixed share of one core.

**The interpreter's lock (GIL).** Only one thread runs Python at a time. Python itself makes a thread release the lock
after 5 ms, and a program that calls into its framework a hundred times per step may meet that a hundred times: it would
stand still until the whole list of blocks is encoded. So the agent's thread yields the lock between pieces of its work.

**The garbage collector.** A list of 15,000 blocks is 30,000 objects. Made while the collector counts, every third such
list triggers a scan of all objects of the program, which stops it for a tenth of a second (seen on PyTorch 2.13 with
290,000 objects). Freed before the collector counts again, they leave no trace. `gc.disable` belongs to the program and
is left alone; the first threshold is raised instead, to a number nobody else would choose, and restored only where it
is still that number.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

WORK_SECONDS = 0.001
YIELD_SECONDS = 0.002
"""Twice as long as a piece of work: the program keeps most of the interpreter."""
PAUSED_THRESHOLD = 1_000_000_007
"""The collector's first threshold while it is paused: never reached, and recognised as ours."""
_threshold_before: list[int] = []
"""The first threshold that was in force before it was raised; empty before the first pause."""


class CpuBudget:
    """A share of the time that passes. CPU time spent is a debt that passing time pays off; none is saved up."""

    def __init__(self, share: float, tick_seconds: float, now: float) -> None:
        """`share` of one core, such as 0.01; `tick_seconds` between two reports; `now` on the clock of `affords`."""
        self._share = share
        self._tick_allowance = share * tick_seconds
        self._debt = 0.0
        self._settled_at = now
        self.spent_seconds: float = 0.0
        """CPU time since the start."""

    def spend(self, seconds: float) -> None:
        """Adds CPU time to the debt."""
        self._debt += seconds
        self.spent_seconds += seconds

    def affords(self, seconds: float, now: float) -> bool:
        """Whether work of this cost may be done now: it fits what is left of this tick, or no debt is open.

        So work that costs more than a tick's share is done at intervals of cost / share.
        """
        self._debt = max(0.0, self._debt - self._share * max(0.0, now - self._settled_at))
        self._settled_at = now
        return self._debt == 0.0 or self._debt + seconds <= self._tick_allowance

    def interval(self, seconds: float) -> float:
        """Seconds between two pieces of work of this cost that keep to the share."""
        return seconds / self._share


class GilYielder:
    """Releases the interpreter's lock between pieces of one thread's work. That thread alone may use it."""

    def __init__(
        self, sleep: Callable[[float], object] = time.sleep, cpu_clock: Callable[[], float] = time.thread_time
    ) -> None:
        """`sleep` waits so many seconds, or less where the thread is to stop; `cpu_clock` is the thread's CPU time."""
        self._sleep = sleep
        self._cpu_clock = cpu_clock
        self._yielded_at = 0.0

    def yield_gil(self) -> None:
        """Sleeps for `YIELD_SECONDS` where the thread has worked for `WORK_SECONDS` since it last did.

        Costs a microsecond otherwise.
        """
        if self._cpu_clock() - self._yielded_at >= WORK_SECONDS:
            self._sleep(YIELD_SECONDS)
            self._yielded_at = self._cpu_clock()


@contextmanager
def gc_paused() -> Generator[None, None, None]:
    """Pauses the garbage collector. For one thread at a time.

    Does nothing where the program has switched the collector off by a threshold of 0.
    """
    restore_gc()  # the program may have saved our threshold and set it again
    first, *others = gc.get_threshold()
    if first == 0:
        yield
        return
    _threshold_before[:] = [first]
    gc.set_threshold(PAUSED_THRESHOLD, *others)
    try:
        yield
    finally:
        restore_gc()


def restore_gc() -> None:
    """Ends a pause; also for a child that was forked during one."""
    first, *others = gc.get_threshold()
    if first == PAUSED_THRESHOLD and _threshold_before:
        gc.set_threshold(_threshold_before[0], *others)
