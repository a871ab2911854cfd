"""GPU memory that the driver attributes to a process that no longer exists, or to a zombie."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from blackbox.events.listing import ListedProcess, MomentProcesses
from blackbox.model.event import Event, ProcessLife
from blackbox.model.identity import ProcessKey
from blackbox.model.moment import Moment
from blackbox.model.text import size, who
from blackbox.sources.proc import exit_status

CERTAIN_SECONDS = 10.0
"""The driver needs some time to free the memory of a process that has ended; after this long something is wrong."""
LOOK_SECONDS = 5.0
"""Between searches for zombies among the listed processes, which take 30 us per process."""


def is_alive(pid: int) -> bool:
    """Whether a process has this pid, even one that /proc hides from this user."""
    try:
        os.kill(pid, 0)  # signal 0 is not sent: it only asks
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Parent(NamedTuple):
    """The process that should have waited for a zombie."""

    pid: int
    name: str | None


def parent_of_zombie(pid: int) -> Parent | None:
    """The parent of a zombie; None where the pid is not that of a zombie."""
    found = exit_status.look(pid)
    if found is None or not found.is_dead:
        return None
    return Parent(found.parent, exit_status.name_of(found.parent))


class OrphanDetector:
    """Detects orphaned memory, of processes with pids of the host only: a pid of another namespace that cannot be seen
    may belong to a process that is alive."""

    def __init__(
        self,
        alive: Callable[[int], bool] = is_alive,
        parent_of_zombie: Callable[[int], Parent | None] = parent_of_zombie,
    ) -> None:
        self._alive = alive
        self._parent_of_zombie = parent_of_zombie
        self._next_look = float("-inf")
        self._zombies: dict[int, Parent] = {}
        """By pid, as of the last search."""
        self._suspect_since: dict[ProcessKey, float] = {}
        self._reported: set[ProcessKey] = set()

    def observe(self, moment: Moment, listing: MomentProcesses) -> Iterator[Event]:
        """Memory that has had no living owner for `CERTAIN_SECONDS`; reported once per process and device."""
        self._find_zombies(moment.taken_at, listing)
        suspects = {key: process for key, process in listing.processes.items() if self._is_suspected(process)}
        self._reported.intersection_update(suspects)
        self._suspect_since = {key: self._suspect_since.get(key, moment.taken_at) for key in suspects}
        for key, since in self._suspect_since.items():
            if moment.taken_at - since >= CERTAIN_SECONDS and key not in self._reported:
                self._reported.add(key)
                yield _event(suspects[key], self._zombies.get(key[1]), moment.timestamp)

    def _find_zombies(self, now: float, listing: MomentProcesses) -> None:
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        pids = {process.row.pid for process in listing.processes.values() if _can_be_judged(process)}
        self._zombies = {pid: parent for pid in pids if (parent := self._parent_of_zombie(pid)) is not None}

    def _is_suspected(self, process: ListedProcess) -> bool:
        row = process.row
        if not _can_be_judged(process):
            return False
        unseen = row.start_time is None and row.name is None
        return row.pid in self._zombies or (unseen and not self._alive(row.pid))


def _can_be_judged(process: ListedProcess) -> bool:
    return process.pid_scope == "host" and bool(process.row.used_bytes)


def _event(process: ListedProcess, parent: Parent | None, timestamp: float) -> Event:
    row = process.row
    if parent is None:
        why = f"pid {row.pid}, which no longer lives"
    else:
        why = (
            f"{who(row.name, row.pid)}, a zombie: it is dead, and {who(parent.name, parent.pid)} has not waited for it"
        )
    return Event(
        kind="memory_orphaned",
        timestamp=timestamp,
        message=f"{size(row.used_bytes or 0)} on GPU {process.gpu} belong to {why}",
        gpu_uuid=row.gpu_uuid,
        pid=row.pid,
        uid=row.uid,
        process=ProcessLife(
            name=row.name,
            start_time=row.start_time,
            used_bytes=row.used_bytes,
            peak_used_bytes=None,
            peak_at=None,
        ),
    )
