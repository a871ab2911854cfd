"""The processes of the machine, read when they are new and then in turn: a look at all of them at once takes as long
as all else in a tick."""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from blackbox.sources.proc.stat import STAT_BYTES_MAX, parse, read

TURN_SECONDS = 30.0
"""Every process is read again within this time: one that has become another program is known as such by then."""
BATCH_SECONDS, BATCH_ENTRIES_MAX = 2.0, 64
"""Those whose turn it is are read together, as many or as late as this: the tenth of a batch costs a third of the
first, whose way through the kernel is cold."""
ANCESTORS_MAX = 4
"""Above a process on the GPU: worker, engine core, server, launcher."""
INIT = 1


class ProcessEntry(NamedTuple):
    pid: int
    parent: int
    session: int
    start_ticks: int
    """Since boot; with the pid, the identity of the process."""
    name: bytes = b""
    """The kernel's comm, which exec and most ways to change a title change."""
    arguments_at: int = 0
    """Address of its command line, which exec moves; 0 where we may not know it."""


class ProcessTable:
    """Entries of all processes. One is read when it is new, when its parent has gone, when it is asked for, and in turn
    after `TURN_SECONDS`; it is forgotten when its pid is listed no more."""

    def __init__(self, root: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = str(root)
        self._clock = clock
        self._entries: dict[int, ProcessEntry] = {}
        """The longest unread first."""
        self._turn_at = clock()

    def read_some(self) -> None:
        """Reads those whose turn it is, once a batch has come together."""
        now = self._clock()
        waited = now - self._turn_at
        due = math.ceil(min(1.0, waited / TURN_SECONDS) * len(self._entries))
        if waited < BATCH_SECONDS and due < BATCH_ENTRIES_MAX:
            return
        self._turn_at = now
        for pid in list(islice(self._entries, due)):
            self._read(pid)

    def list(self, fresh: Iterable[int] = ()) -> Mapping[int, ProcessEntry]:
        """All processes there are, those of `fresh` and their ancestors as they are now, and likewise those whose turn
        it is: where the list is asked for each time, nobody calls `read_some`."""
        self.read_some()
        listed = {int(name) for name in os.listdir(self._root) if name.isdigit()}  # noqa: PTH208 - Paths are slow
        gone = self._entries.keys() - listed
        for pid in gone:
            del self._entries[pid]
        adopted = [pid for pid, entry in self._entries.items() if entry.parent in gone] if gone else ()
        new = (*(listed - self._entries.keys()), *adopted)
        for pid in new:
            self._read(pid)
        read = {*new}
        for pid in fresh:
            self._read_family(pid, read)
        return self._entries

    def _read_family(self, pid: int, read: set[int]) -> None:
        """A process and its ancestors, but for those of `read`, to which they are added."""
        for _ in range(ANCESTORS_MAX + 1):
            if pid not in read:
                self._read(pid)
                read.add(pid)
            entry = self._entries.get(pid)
            if entry is None or entry.parent <= INIT:
                return
            pid = entry.parent

    def _read(self, pid: int) -> None:
        self._entries.pop(pid, None)
        stat = parse(read(f"{self._root}/{pid}/stat", bytes_max=STAT_BYTES_MAX))
        if stat is not None:
            self._entries[pid] = ProcessEntry(
                pid, stat.parent, stat.session, stat.start_ticks, stat.name, stat.arguments_at
            )
