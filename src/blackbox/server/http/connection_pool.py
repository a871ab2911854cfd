"""All connections of a server: how many are allowed, and the sweep over their deadlines."""

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from blackbox.model.status import ServerStats
from blackbox.server.http.limits import Limits
from blackbox.server.http.send_scheduler import SendScheduler


class PooledConnection(Protocol):
    """What the pool needs of a connection."""

    def check_deadline(self, now: float) -> None:
        """Closes the connection where its deadline has passed."""
        ...

    def end(self) -> None:
        """Closes once the requests already received are answered."""
        ...

    def abort(self) -> None:
        """Closes at once."""
        ...


class ConnectionLimits(NamedTuple):
    """How many connections the process has file descriptors for."""

    connections: int
    """Served."""
    refusals: int
    """Connections above those that are answered 503; any beyond are closed at once."""


SHED_CONNECTIONS = 8
"""Connections closed when the process has no file descriptor left: enough for half of them to be answered 503."""
RECOVERY_SECONDS = 30.0
"""Without running out of file descriptors before the full number of connections is allowed again."""
SHUTDOWN_POLL_SECONDS = 0.01
"""Between checks whether all connections have closed; happens once in a server's life."""

logger = logging.getLogger(__name__)


class ConnectionPool:
    """The open connections. Lives on the event loop."""

    def __init__(self, limits: Limits, stats: ServerStats, connection_limits: ConnectionLimits) -> None:
        self._limits = limits
        self._stats = stats
        self._allowed = self._allowed_at_start = connection_limits
        self._exhausted_at = float("-inf")
        """Loop time at which the process last had no file descriptor left."""
        self._connections: dict[PooledConnection, None] = {}
        """Oldest first."""
        loop = asyncio.get_running_loop()
        self.scheduler = SendScheduler(loop.call_soon)
        """Of those who have large answers to send."""
        self.time = loop.time
        """Tells seconds on the event loop's clock."""
        self.stopping = False
        """The server stops: every connection closes after its answer."""
        self.date = ""
        """The `Date` line of answers, renewed by every sweep."""
        self._set_date()

    @property
    def now(self) -> float:
        """Seconds on the event loop's clock."""
        return self.time()

    @property
    def may_refuse(self) -> bool:
        """Whether a connection above the limit may stay for its 503."""
        return len(self._connections) <= self._allowed.connections + self._allowed.refusals

    def add(self, connection: PooledConnection) -> bool:
        """Adds a new connection; False where it is above the limit."""
        self._stats.connections_total += 1
        self._stats.connections_open += 1
        self._connections[connection] = None
        if len(self._connections) <= self._allowed.connections:
            return True
        self._stats.connections_refused_total += 1
        return False

    def remove(self, connection: PooledConnection) -> None:
        """Forgets a connection that is closed."""
        del self._connections[connection]
        self._stats.connections_open -= 1

    def sweep(self, now: float) -> None:
        """Checks every deadline, and whether file descriptors are left."""
        self._set_date()
        for connection in tuple(self._connections):
            _or_abort(connection, partial(connection.check_deadline, now))
        self._shed_connections(now)

    def _shed_connections(self, now: float) -> None:
        """Closes the newest connections where the process has run out of file descriptors, and allows no more than are
        left: otherwise the event loop would retry `accept` without a pause."""
        if _is_out_of_descriptors():
            self._exhausted_at = now
            kept = max(1, len(self._connections) - SHED_CONNECTIONS)
            self._allowed = ConnectionLimits(kept, min(self._allowed_at_start.refusals, SHED_CONNECTIONS // 2))
            for connection in tuple(self._connections)[kept:]:
                connection.abort()
        elif self._allowed is not self._allowed_at_start and now - self._exhausted_at > RECOVERY_SECONDS:
            self._allowed = self._allowed_at_start

    async def shutdown(self) -> None:
        """Closes all connections: those still answering may finish within `stop_seconds`, then they are aborted."""
        self.stopping = True
        for connection in tuple(self._connections):
            _or_abort(connection, connection.end)
        give_up_at = self.now + self._limits.stop_seconds
        while self._connections and self.now < give_up_at:
            await asyncio.sleep(SHUTDOWN_POLL_SECONDS)
        for connection in tuple(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)

    def _set_date(self) -> None:
        self.date = f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}\r\n"


def _or_abort(connection: PooledConnection, step: Callable[[], None]) -> None:
    """Does the step. A fault in one connection costs that one alone: all others are looked after all the same."""
    try:
        step()
    except Exception:
        logger.exception("fault in a connection: it is closed")
        connection.abort()


def _is_out_of_descriptors() -> bool:
    """Whether this process can open no more files (EMFILE). Where the whole machine cannot (ENFILE), closing our
    connections would not help.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EMFILE
    return False
