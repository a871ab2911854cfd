"""What waits in memory until clients take it: one budget for all, in which bytes that many wait for count once."""

from collections.abc import Callable, Sized
from typing import Protocol

from blackbox.model.status import ServerStats
from blackbox.server.http.limits import Limits

RELIEF = 7 / 8
"""Of the budget is left in use when room is made, so that the next bytes do not find it full again."""
GRACE_SECONDS = 1.0
"""A client whose bytes have waited for less has had no time to show how fast it is."""


class Waiter(Protocol):
    """A client that bytes wait for."""

    waiting_since: float
    """When they began to."""

    def bytes_per_second(self, now: float) -> float:
        """What it has taken since."""
        ...

    def give_up(self) -> None:
        """Ends it at once."""
        ...


class _Piece:
    """Bytes that wait, and for how many clients."""

    __slots__ = ("data", "waiters")

    def __init__(self, data: Sized) -> None:
        self.data = data  # kept, so that nothing else gets its id
        self.waiters = 0


class WaitingBudget:
    """Counts what waits. Over the budget, the slowest clients are ended: those first that hold more than their share.
    Lives on the event loop.
    """

    def __init__(self, limits: Limits, stats: ServerStats, now: Callable[[], float]) -> None:
        self._bytes_max = limits.waiting_bytes
        self._share = limits.waiting_share_bytes
        self._stats = stats
        self._now = now
        self._pieces: dict[int, _Piece] = {}
        self._held: dict[Waiter, set[int]] = {}

    def hold(self, waiter: Waiter, data: Sized) -> None:
        """Counts bytes that wait for this client, and ends others where they are too many."""
        held = self._held.setdefault(waiter, set())
        if id(data) in held:
            return
        held.add(id(data))
        piece = self._pieces.get(id(data))
        if piece is None:
            piece = self._pieces[id(data)] = _Piece(data)
            self._stats.waiting_bytes += len(data)
        piece.waiters += 1
        if self._stats.waiting_bytes > self._bytes_max:
            self._make_room(self._bytes_max * RELIEF, [other for other in self._held if other is not waiter])

    def release(self, waiter: Waiter) -> None:
        """Nothing waits for this client any more."""
        for number in self._held.pop(waiter, ()):
            piece = self._pieces[number]
            piece.waiters -= 1
            if piece.waiters == 0:
                del self._pieces[number]
                self._stats.waiting_bytes -= len(piece.data)

    def has_room(self, data: bytes = b"") -> bool:
        """Whether an answer with these bytes may be begun, after ending clients that take too little. Any may where
        nothing else waits, or where others wait for the same bytes.
        """
        if id(data) in self._pieces:
            return True
        size = len(data)
        if self._stats.waiting_bytes + size <= self._bytes_max:
            return True
        ripe = self._now() - GRACE_SECONDS
        self._make_room(self._bytes_max * RELIEF - size, [one for one in self._held if one.waiting_since <= ripe])
        return self._stats.waiting_bytes == 0 or self._stats.waiting_bytes + size <= self._bytes_max

    def _make_room(self, bytes_max: float, candidates: list[Waiter]) -> None:
        now = self._now()
        ripe = now - GRACE_SECONDS

        def rank(waiter: Waiter) -> tuple[bool, bool, float]:
            return self._weight(waiter) <= self._share, waiter.waiting_since > ripe, waiter.bytes_per_second(now)

        for waiter in sorted(candidates, key=rank):
            if self._stats.waiting_bytes <= bytes_max:
                return
            self.release(waiter)
            self._stats.connections_ended_for_room_total += 1
            waiter.give_up()

    def _weight(self, waiter: Waiter) -> float:
        """Bytes held for it; of what others wait for, too, its part."""
        pieces = (self._pieces[number] for number in self._held[waiter])
        return sum(len(piece.data) / piece.waiters for piece in pieces)
