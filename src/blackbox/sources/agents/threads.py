"""Threads that own memory: their ids in our pid namespace, and what they do."""

import time
from typing import NamedTuple

from blackbox.model.parts import OwningThread
from blackbox.sources.agents.peer import Peer
from blackbox.sources.agents.text import printable
from blackbox.sources.proc.threads import Tasks
from blackbox.wire.report import OwnerThread

LIST_SECONDS = 0.25
"""Between two listings of a program's threads: it may name any number that are not there."""


class ThreadIds:
    """Translates the thread ids of one process out of its pid namespace."""

    def __init__(self, peer: Peer, tasks: Tasks) -> None:
        self._peer = peer
        self._tasks = tasks
        self._is_ours = peer.pid_namespace == tasks.pid_namespace(None)
        self._known: dict[int, int] = {}
        """The kernel's list, so it is as long as the program has threads."""
        self._listed_at = float("-inf")

    def outer(self, thread_id: int) -> int | None:
        """Our id of the thread that calls itself this; None where there is none such (any more)."""
        if self._is_ours:
            return thread_id
        if thread_id not in self._known and time.monotonic() - self._listed_at >= LIST_SECONDS:
            self._listed_at = time.monotonic()
            self._known = self._tasks.ids(self._peer.pid)
        return self._known.get(thread_id)


class _Seen(NamedTuple):
    cpu_ticks: int
    allocated_bytes: int


class ThreadStates:
    """What the owning threads of one process on one device do, from one look to the next."""

    def __init__(self, pid: int, tasks: Tasks) -> None:
        self._pid = pid
        self._tasks = tasks
        self._seen: dict[int, _Seen] = {}

    def rows(self, owners: tuple[OwnerThread, ...], ids: ThreadIds) -> tuple[OwningThread, ...]:
        """A row per owner that is still there. What ended threads own goes to nobody."""
        rows: list[OwningThread] = []
        seen: dict[int, _Seen] = {}
        for owner in owners:
            thread_id = ids.outer(owner.thread_id)
            thread = None if thread_id is None else self._tasks.look(self._pid, thread_id)
            if thread_id is None or thread is None:
                continue
            now = seen[thread_id] = _Seen(thread.cpu_ticks, owner.allocated_bytes)
            before = self._seen.get(thread_id, now)
            rows.append(
                OwningThread(
                    thread_id=thread_id,
                    allocated_bytes=owner.allocated_bytes,
                    state="running" if thread.is_running else "active" if now != before else "waiting",
                    name=printable(owner.name or thread.name),
                )
            )
        self._seen = seen
        return tuple(rows)
