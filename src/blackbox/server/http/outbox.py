"""What a connection sends. Bytes that many clients get are never copied for one of them, however slow it is."""

import asyncio
from collections import deque
from math import inf

from blackbox.server.http.limits import Limits
from blackbox.server.http.send_scheduler import LARGE_BYTES, SendScheduler
from blackbox.server.http.waiting_budget import WaitingBudget

TLS_SLICE_BYTES = 16 * 1024
"""One TLS record. What is handed over is encrypted at once, into bytes of this client alone, so it is handed over in
slices; without TLS the transport keeps a reference to the rest of what was written."""

TLS_UNTAKEN_BYTES = 100 * 1024
"""Encrypted and not yet taken, of a TLS connection whose client is slow: what its transports hold before they take no
more. They do not tell how much it is, so the most it was seen to be counts."""


class _Untaken:
    """Bytes of one client that its transports hold, encrypted."""

    __slots__ = ()

    def __len__(self) -> int:
        return TLS_UNTAKEN_BYTES


class Outbox:
    """Bytes on their way to a client: to the transport at once, but for large ones whose turn is yet to come. What the
    client does not take waits, counted in the budget. Writing never blocks.
    """

    __slots__ = (
        "_budget",
        "_closing",
        "_limits",
        "_loop",
        "_paused",
        "_postponed",
        "_scheduler",
        "_tls",
        "_transport",
        "_unsent",
        "_untaken",
        "_window_bytes",
        "_window_since",
        "is_waiting",
        "waiting_since",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        budget: WaitingBudget,
        scheduler: SendScheduler,
        limits: Limits,
        *,
        tls: bool,
    ) -> None:
        self._transport = transport
        self._scheduler = scheduler
        self._budget = budget
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._tls = tls
        self._unsent: deque[memoryview] = deque()
        """What the transport has not been given: of a TLS connection, and while its turn is yet to come."""
        self._untaken = _Untaken()
        self._paused = False
        """The transport takes no more, or is given no more."""
        self._postponed = False
        """The turn is yet to come."""
        self._closing = False
        self.is_waiting = False
        """Bytes wait: the client is slow, or the turn is yet to come."""
        self.waiting_since = 0.0
        """Loop time since when they do."""
        self._window_since = 0.0
        """Start of the stretch of time over which the client's rate is looked at."""
        self._window_bytes = 0
        """What waited then, and what was written since."""
        transport.set_write_buffer_limits(high=1)  # TLS in uvloop takes 0 for "always paused"

    def write(self, data: bytes, more: bytes = b"") -> None:
        """Sends the bytes, those of `more` last, after those written before, or lets them wait."""
        waited, size = self.is_waiting, len(data) + len(more)
        if size >= LARGE_BYTES:
            if not waited and not self._scheduler.may_send(size):
                self._postpone()
        elif more:
            data, more = data + more, b""
        pieces = (data, more) if more else (data,)
        if self._tls or self._postponed:
            self._unsent.extend(map(memoryview, pieces))
            self._send_slices()
        elif more:
            self._transport.writelines(pieces)
        else:
            self._transport.write(data)
        if self._paused:
            self._window_bytes = self._window_bytes + size if waited else self._bytes_left()
            self._hold(*pieces)

    def take_turn(self) -> int:
        """Hands what was postponed to the transport; returns how many bytes those were."""
        self._postponed = self._paused = False
        if self._transport.is_closing():
            return 0
        size = sum(map(len, self._unsent))
        if self._tls:
            self._send_slices()
        else:
            pieces = tuple(self._unsent)
            self._unsent.clear()
            self._transport.writelines(pieces)
        if self._paused:
            self._window_since, self._window_bytes = self._loop.time(), self._bytes_left()
            self._hold()
        else:
            self._transport.get_protocol().resume_writing()
        return size

    def pause(self) -> None:
        """The transport takes no more. Called by it, often while something is being written."""
        self._paused = True
        if not self.is_waiting:
            self.is_waiting = True
            self.waiting_since = self._window_since = self._loop.time()
            self._window_bytes = self._bytes_left()

    def resume(self) -> bool:
        """The transport has handed everything to the kernel. Returns whether nothing waits any more."""
        self._paused = False
        self._send_slices()
        if self._paused or self._unsent:
            return False
        self.is_waiting = False
        self._budget.release(self)
        if self._closing:
            self._transport.close()
        return True

    def is_closing(self) -> bool:
        """Nothing may be written any more."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Closes the connection once everything written has been sent."""
        self._closing = True
        if not self._unsent:
            self._transport.close()

    def drop(self) -> None:
        """Forgets what waits: the connection is closed."""
        self._scheduler.forget(self)
        self._unsent.clear()
        self.is_waiting = False
        self._budget.release(self)

    def give_up(self) -> None:
        """Closes the connection at once."""
        self._unsent.clear()
        self._transport.abort()

    def is_too_slow(self, now: float) -> bool:
        """Whether the client has taken less, for `stall_seconds`, than the rate it owes and than all that waited."""
        limits = self._limits
        if self._postponed or now < self._window_since + limits.stall_seconds:
            return False
        left = self._bytes_left()
        if self._window_bytes - left < min(self._window_bytes, limits.waiting_rate_bytes * limits.stall_seconds):
            return True
        self._window_since, self._window_bytes = now, left
        return False

    def bytes_per_second(self, now: float) -> float:
        """What the client has taken, over the stretch of time that is looked at now; infinite while it was given
        nothing."""
        if self._postponed:
            return inf
        return (self._window_bytes - self._bytes_left()) / max(now - self._window_since, 1e-3)

    def _postpone(self) -> None:
        """Tells the connection to write no more, as a transport does that is full."""
        self._postponed = True
        self._scheduler.wait(self)
        self._transport.get_protocol().pause_writing()

    def _hold(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._budget.hold(self, piece)
        if self._tls and not self._postponed:
            self._budget.hold(self, self._untaken)

    def _send_slices(self) -> None:
        unsent = self._unsent
        while unsent and not self._paused and not self._transport.is_closing():
            piece = unsent.popleft()
            if len(piece) > TLS_SLICE_BYTES:
                unsent.appendleft(piece[TLS_SLICE_BYTES:])
            self._transport.write(piece[:TLS_SLICE_BYTES])

    def _bytes_left(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._unsent))
