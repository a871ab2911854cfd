"""GPU memory that the driver books to a process which no longer lives, or to a zombie."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from blackbox.events.holders import Holder, Holders, Place
from blackbox.model.event import ProcessLife
from blackbox.model.sample import Event
from blackbox.model.snapshot import Moment
from blackbox.model.text import size, who
from blackbox.sources.proc import exit_status as remains

CERTAIN_SECONDS = 10.0
"""The driver takes a moment to clean up after a process; within this it has, or something is wrong."""
LOOK_SECONDS = 5.0
"""Between looks for zombies among those the driver lists: 30 us for each."""


def is_alive(pid: int) -> bool:
    """Whether a process has this pid, even one that /proc hides from us."""
    try:
        os.kill(pid, 0)  # signal 0 is not sent: it only asks
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Parent(NamedTuple):
    """Who should have waited for a zombie."""

    pid: int
    name: str | None


def parent_of_zombie(pid: int) -> Parent | None:
    """The parent of a process that is dead and has not been waited for; None of any other."""
    found = remains.look(pid)
    if found is None or not found.is_dead:
        return None
    return Parent(found.parent, remains.name_of(found.parent))


class OrphanWatch:
    """Only pids of the host are judged: in another namespace a pid that is not to be seen may live outside it."""

    def __init__(
        self,
        alive: Callable[[int], bool] = is_alive,
        parent_of_zombie: Callable[[int], Parent | None] = parent_of_zombie,
    ) -> None:
        self._alive = alive
        self._parent_of_zombie = parent_of_zombie
        self._look_at = float("-inf")
        self._zombies: dict[int, Parent] = {}
        """As of the last look."""
        self._suspect_since: dict[Place, float] = {}
        self._told: set[Place] = set()

    def observe(self, moment: Moment, held: Holders) -> Iterator[Event]:
        """Memory that has been without an owner for long enough."""
        self._look_for_zombies(moment.taken_at, held)
        suspects = {place: holder for place, holder in held.by_place.items() if self._is_suspect(holder)}
        self._told.intersection_update(suspects)
        self._suspect_since = {place: self._suspect_since.get(place, moment.taken_at) for place in suspects}
        for place, since in self._suspect_since.items():
            if moment.taken_at - since >= CERTAIN_SECONDS and place not in self._told:
                self._told.add(place)
                yield _event(suspects[place], self._zombies.get(place[1]), moment.timestamp)

    def _look_for_zombies(self, now: float, held: Holders) -> None:
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        pids = {holder.row.pid for holder in held.by_place.values() if _is_to_be_judged(holder)}
        self._zombies = {pid: parent for pid in pids if (parent := self._parent_of_zombie(pid)) is not None}

    def _is_suspect(self, holder: Holder) -> bool:
        row = holder.row
        if not _is_to_be_judged(holder):
            return False
        unseen = row.start_time is None and row.name is None
        return row.pid in self._zombies or (unseen and not self._alive(row.pid))


def _is_to_be_judged(holder: Holder) -> bool:
    return holder.pid_scope == "host" and bool(holder.row.used_bytes)


def _event(holder: Holder, parent: Parent | None, timestamp: float) -> Event:
    row = holder.row
    if parent is None:
        why = f"pid {row.pid}, which no longer lives"
    else:
        why = (
            f"{who(row.name, row.pid)}, a zombie: it is dead, and {who(parent.name, parent.pid)} has not waited for it"
        )
    return Event(
        kind="memory_orphaned",
        timestamp=timestamp,
        message=f"{size(row.used_bytes or 0)} on GPU {holder.gpu} belong to {why}",
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
