"""All connections of a server: how many there may be, and the clock over their deadlines."""

import asyncio
import errno
import os
from email.utils import formatdate
from typing import NamedTuple, Protocol

from blackbox.model.server_stats import Stats
from blackbox.server.http.limits import Limits


class Member(Protocol):
    """What the crowd asks of a connection."""

    def check_deadline(self, now: float) -> None:
        """Ends what has lasted too long."""
        ...

    def end(self) -> None:
        """Closes as soon as the answers under way are given."""
        ...

    def abort(self) -> None:
        """Closes at once."""
        ...


class Room(NamedTuple):
    """File descriptors for connections."""

    connections: int
    refusals: int
    """For connections above that, while they are told so; those beyond are closed at once."""


SPARED_WHEN_FULL = 8
"""Connections ended when no file descriptor is left; so many, and those that wait, can be told."""
ROOM_BACK_SECONDS = 30.0
"""After the last such moment."""


class Crowd:
    """The open connections. Lives on the event loop."""

    def __init__(self, limits: Limits, stats: Stats, room: Room) -> None:
        self._limits = limits
        self._stats = stats
        self._room = self._whole_room = room
        self._full_at = float("-inf")
        """When no file descriptor was left."""
        self._members: dict[Member, None] = {}
        """In the order in which they came."""
        self._loop = asyncio.get_running_loop()
        self.ending = False
        """The server stops: no connection outlives its answer."""
        self.date = ""
        """The `Date` line of answers."""
        self._set_date()

    @property
    def now(self) -> float:
        """Seconds on the event loop's clock."""
        return self._loop.time()

    @property
    def has_room_to_refuse(self) -> bool:
        """A connection over the cap may stay for its 503."""
        return len(self._members) <= self._room.connections + self._room.refusals

    def enter(self, member: Member) -> bool:
        """Counts a new connection; False when it is one too many."""
        self._stats.connections_total += 1
        self._stats.connections_open += 1
        self._members[member] = None
        if len(self._members) <= self._room.connections:
            return True
        self._stats.connections_refused_total += 1
        return False

    def leave(self, member: Member) -> None:
        del self._members[member]
        self._stats.connections_open -= 1

    def sweep(self, now: float) -> None:
        """Checks every deadline."""
        self._set_date()
        for member in tuple(self._members):
            member.check_deadline(now)
        self._make_room(now)

    def _make_room(self, now: float) -> None:
        """Where this process has fewer file descriptors than were counted, ends the connections that came last, and
        admits no more than are left: the event loop would try to accept without a pause."""
        if _are_fds_used_up():
            self._full_at = now
            kept = max(1, len(self._members) - SPARED_WHEN_FULL)
            self._room = Room(kept, min(self._whole_room.refusals, SPARED_WHEN_FULL // 2))
            for member in tuple(self._members)[kept:]:
                member.abort()
        elif self._room is not self._whole_room and now - self._full_at > ROOM_BACK_SECONDS:
            self._room = self._whole_room

    async def disperse(self) -> None:
        """Ends all connections, gently while `stop_seconds` last."""
        self.ending = True
        for member in tuple(self._members):
            member.end()
        give_up_at = self.now + self._limits.stop_seconds
        while self._members and self.now < give_up_at:
            await asyncio.sleep(DISPERSE_POLL_SECONDS)
        for member in tuple(self._members):
            member.abort()
        while self._members:
            await asyncio.sleep(0)

    def _set_date(self) -> None:
        self.date = f"Date: {formatdate(usegmt=True)}\r\n"


def _are_fds_used_up() -> bool:
    """Whether this process can open no more files. Where the whole machine cannot, our clients are not the cause."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EMFILE
    return False


DISPERSE_POLL_SECONDS = 0.01
"""Between looks at whether all have gone; happens once in a server's life."""
