"""GPU memory that the driver books to a process which no longer lives."""

import os
from collections.abc import Callable, Iterator

from blackbox.analysis.words import size
from blackbox.events.holders import Holder, Holders, Place
from blackbox.model.event import ProcessLife
from blackbox.model.sample import Event
from blackbox.model.snapshot import Moment

CERTAIN_SECONDS = 10.0
"""The driver takes a moment to clean up after a process; within this it has, or something is wrong."""


def is_alive(pid: int) -> bool:
    """Whether a process has this pid, even one that /proc hides from us."""
    try:
        os.kill(pid, 0)  # signal 0 is not sent: it only asks
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class OrphanWatch:
    """Only pids of the host are judged: in another namespace a pid that is not to be seen may live outside it."""

    def __init__(self, alive: Callable[[int], bool] = is_alive) -> None:
        self._alive = alive
        self._unseen_since: dict[Place, float] = {}
        self._told: set[Place] = set()

    def observe(self, moment: Moment, held: Holders) -> Iterator[Event]:
        """Memory that has been without an owner for long enough."""
        suspects = {place: holder for place, holder in held.by_place.items() if self._is_suspect(holder)}
        self._told.intersection_update(suspects)
        self._unseen_since = {place: self._unseen_since.get(place, moment.taken_at) for place in suspects}
        for place, since in self._unseen_since.items():
            if moment.taken_at - since >= CERTAIN_SECONDS and place not in self._told:
                self._told.add(place)
                yield _event(suspects[place], moment.timestamp)

    def _is_suspect(self, holder: Holder) -> bool:
        row = holder.row
        unseen = row.start_time is None and row.name is None and holder.pid_scope == "host"
        return unseen and bool(row.used_bytes) and not self._alive(row.pid)


def _event(holder: Holder, timestamp: float) -> Event:
    row = holder.row
    return Event(
        kind="memory_orphaned",
        timestamp=timestamp,
        message=f"{size(row.used_bytes or 0)} on GPU {holder.gpu} belong to pid {row.pid}, which no longer lives",
        gpu_uuid=row.gpu_uuid,
        pid=row.pid,
        process=ProcessLife(name=None, start_time=None, used_bytes=row.used_bytes, peak_used_bytes=None, peak_at=None),
    )
