"""Whether two observations are of the same process: a pid alone does not tell, since the kernel gives it again.

With the pid, the start of a process in clock ticks since boot is its identity. Most parts carry the start as Unix
seconds: the time of boot, which the kernel tells in whole seconds and moves when the clock is set, plus the ticks. Two
readings of one process therefore differ by a whole number of seconds, and a small one.
"""

from collections.abc import Hashable
from typing import NamedTuple

TICKS_PER_SECOND = 100
"""The kernel tells start times in units of USER_HZ, which is 100 on every architecture that has GPUs."""
BOOT_SECONDS_APART_MAX = 2
"""Two sources of one machine may have read times of boot this far apart: rounding, and a clock that is being set."""

ProcessKey = tuple[str, int]
"""A process on a device at one moment: (UUID of the device, pid)."""


class ProcessIdentity(NamedTuple):
    """A process, as far as its observer knows which."""

    pid: int
    start_ticks: int | None = None
    """Since boot; None where the observer was not told."""
    start_time: float | None = None
    """Unix seconds; None where the observer was not told."""


def same_process(one: ProcessIdentity, other: ProcessIdentity) -> bool | None:
    """Whether both are the same process of one boot; None where nobody can tell. By ticks where both know them."""
    if one.pid != other.pid:
        return False
    if one.start_ticks is not None and other.start_ticks is not None:
        return one.start_ticks == other.start_ticks
    return same_start(one.start_time, other.start_time)


def same_start(one: float | None, other: float | None) -> bool | None:
    """Whether two start times (Unix seconds) of one pid are of the same process; None where one is not known."""
    if one is None or other is None:
        return None
    if one == other:
        return True
    ticks_apart = abs(round((one - other) * TICKS_PER_SECOND))
    return ticks_apart % TICKS_PER_SECOND == 0 and ticks_apart <= BOOT_SECONDS_APART_MAX * TICKS_PER_SECOND


class StartTimes:
    """Start times that serve as keys: each reading of one process stands for the first reading of it."""

    def __init__(self) -> None:
        self._known: dict[Hashable, list[float]] = {}

    def first(self, owner: Hashable, start_time: float | None) -> float | None:
        """The earliest reading seen here of the same process; `owner` is what else identifies it, such as its pid."""
        if start_time is None:
            return None
        known = self._known.setdefault(owner, [])
        for reading in known:
            if same_start(reading, start_time):
                return reading
        known.append(start_time)
        return start_time
