"""Whether an engine works on something, without asking it: for engines that take a question for work, and so would be
kept from falling asleep.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from blackbox.sources.engines.listeners import has_clients
from blackbox.sources.proc.stat import STAT_BYTES_MAX, parse, read

CPU_SHARE = 0.05
"""Of one core. A server that generates takes most of one, whatever runs on the GPU; one that only answers questions
about its health takes a thousandth."""


class Activity:
    """Of the process behind one address, from one look to the next."""

    def __init__(
        self,
        root: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        ticks_per_second: float = os.sysconf("SC_CLK_TCK"),
    ) -> None:
        self._root = root
        self._clock = clock
        self._ticks_per_second = ticks_per_second
        self._seen: tuple[int, int, float] | None = None
        """Start ticks, CPU ticks and time of the look before."""

    def of_process(self, pid: int) -> bool | None:
        """Whether it has taken CPU time since the look before; None at the first, and where it cannot be seen."""
        before, now = self._seen, self._clock()
        stat = parse(read(self._root / str(pid) / "stat", bytes_max=STAT_BYTES_MAX))
        self._seen = None if stat is None else (stat.start_ticks, stat.cpu_ticks, now)
        if stat is None or before is None or before[0] != stat.start_ticks or now <= before[2]:
            return None
        return (stat.cpu_ticks - before[1]) / self._ticks_per_second > CPU_SHARE * (now - before[2])

    def of_port(self, port: int) -> bool | None:
        """True while somebody is connected to it; otherwise None, since clients elsewhere may reach it through another
        network namespace."""
        return True if has_clients(self._root, port) else None
