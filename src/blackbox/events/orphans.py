"""GPU memory that the driver attributes to a process that no longer exists, or to a zombie."""

import math
import os
from collections.abc import Callable, Iterator
from itertools import islice
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
"""Between two looks whether a process is a zombie. Each moment has its share of them, since a look takes 15 us."""


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
    found = exit_status.look(pid) if exit_status.may_be_dead(pid) else None
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
        self._looked_at = float("-inf")
        self._looked: dict[int, None] = {}
        """Pids that were looked at, the longest ago first (a dict used as an ordered set)."""
        self._zombies: dict[int, Parent] = {}
        """By pid, as of its last look."""
        self._listed: object = None
        """The processes of the last moment, of which these two were made."""
        self._judged: dict[ProcessKey, ListedProcess] = {}
        self._unseen: dict[ProcessKey, ListedProcess] = {}
        self._suspect_since: dict[ProcessKey, float] = {}
        self._reported: set[ProcessKey] = set()

    def observe(self, moment: Moment, listing: MomentProcesses) -> Iterator[Event]:
        """Memory that has had no living owner for `CERTAIN_SECONDS`; reported once per process and device."""
        self._judge(listing)
        self._find_zombies(moment.taken_at)
        suspects = {key: one for key, one in self._judged.items() if key[1] in self._zombies} if self._zombies else {}
        suspects |= {key: one for key, one in self._unseen.items() if not self._alive(key[1])}
        self._reported.intersection_update(suspects)
        self._suspect_since = {key: self._suspect_since.get(key, moment.taken_at) for key in suspects}
        for key, since in self._suspect_since.items():
            if moment.taken_at - since >= CERTAIN_SECONDS and key not in self._reported:
                self._reported.add(key)
                yield _event(suspects[key], self._zombies.get(key[1]), moment.timestamp)

    def _judge(self, listing: MomentProcesses) -> None:
        if listing.processes is self._listed:
            return
        self._listed = listing.processes
        self._judged = {key: one for key, one in listing.processes.items() if _can_be_judged(one)}
        self._unseen = {
            key: one for key, one in self._judged.items() if one.row.start_time is None and one.row.name is None
        }
        pids = {pid for _, pid in self._judged}
        for gone in self._looked.keys() - pids:
            del self._looked[gone]
            self._zombies.pop(gone, None)

    def _find_zombies(self, now: float) -> None:
        """Looks at new processes, and at those that were not looked at for the longest time."""
        share = min(1.0, (now - self._looked_at) / LOOK_SECONDS)
        self._looked_at = now
        pids = list(islice(self._looked, math.ceil(share * len(self._looked))))
        for pid in (*pids, *(pid for _, pid in self._judged if pid not in self._looked)):
            self._looked.pop(pid, None)
            self._looked[pid] = None
            parent = self._parent_of_zombie(pid)
            if parent is not None:
                self._zombies[pid] = parent
            else:
                self._zombies.pop(pid, None)


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
