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
from blackbox.sources.proc.exit_watch import ExitWatch

CERTAIN_SECONDS = 10.0
"""The driver needs some time to free the memory of a process that has ended; after this long something is wrong."""
LOOK_SECONDS = 5.0
"""Between two looks whether a process is a zombie, where its end cannot be awaited. Each moment has its share of them,
since a look takes 15 us."""

NEW_PER_MOMENT_MAX = 64
"""Processes looked at for the first time in one moment: a millisecond. Memory is orphaned after ten seconds at the
earliest, so that others can wait."""


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
        exit_watch: ExitWatch | None = None,
    ) -> None:
        self._alive = alive
        self._parent_of_zombie = parent_of_zombie
        self._exit_watch = exit_watch or ExitWatch()
        """Of those that live: nobody has to look at them before it tells."""
        self._looked_at = float("-inf")
        self._in_turn: dict[int, None] = {}
        """Pids of all others, looked at the longest ago first (a dict used as an ordered set)."""
        self._pids: set[int] = set()
        """Of the processes of the last moment that can be judged."""
        self._new: dict[int, None] = {}
        """Those of them that were not looked at yet."""
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
        before, self._pids = self._pids, {pid for _, pid in self._judged}
        if self._pids == before:
            return
        for gone in before - self._pids:
            self._in_turn.pop(gone, None)
            self._zombies.pop(gone, None)
            self._exit_watch.discard(gone)
        self._new = dict.fromkeys(pid for pid in (*self._new, *(self._pids - before)) if pid in self._pids)

    def _find_zombies(self, now: float) -> None:
        """Looks at new processes, at those that have ended, and at others that were not looked at for long."""
        share = min(1.0, (now - self._looked_at) / LOOK_SECONDS)
        self._looked_at = now
        in_turn = list(islice(self._in_turn, math.ceil(share * len(self._in_turn))))
        new = list(islice(self._new, NEW_PER_MOMENT_MAX))
        for pid in (*in_turn, *self._exit_watch.ended(), *new):
            self._look(pid)

    def _look(self, pid: int) -> None:
        is_awaited = self._exit_watch.add(pid)  # first, so that no end falls between
        parent = self._parent_of_zombie(pid)
        self._in_turn.pop(pid, None)
        self._new.pop(pid, None)
        if parent is None:
            self._zombies.pop(pid, None)
        else:
            self._zombies[pid] = parent
            self._exit_watch.discard(pid)
        if parent is not None or not is_awaited:
            self._in_turn[pid] = None


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
        message=f"{size(row.used_bytes or 0)} on {process.place} belong to {why}",
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
