"""Large answers take turns, so that whoever asks for little waits for neither their number nor their size."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

LARGE_BYTES = 16 * 1024
"""Less than this is sent at once: the kernel copies it in less time than the rest of a request takes."""
SLICE_BYTES = 512 * 1024
"""Of large answers in a row: less than a millisecond."""
TURNS_MAX = 16
"""Turns of the event loop in a row that belong to new connections and requests alone while large answers wait. A turn
accepts one connection, so of a crowd that comes at once, whoever came last is heard once all have been accepted, not
once all have their answers."""


logger = logging.getLogger(__name__)


class Sender(Protocol):
    """Who has a large answer to send."""

    def take_turn(self) -> int:
        """Hands it to the kernel; returns how many bytes those were."""
        ...

    def give_up(self) -> None:
        """Closes the connection at once."""
        ...


class SendScheduler:
    """Whose large answer is handed to the kernel when: at once while few are, else one slice after the other, oldest
    first, in turns of the event loop in which nobody came, and at the latest every `TURNS_MAX`th. Lives on the loop.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """`call_soon` calls in the next turn of the event loop."""
        self._call_soon = call_soon
        self._waiting: OrderedDict[Sender, None] = OrderedDict()
        self._left = SLICE_BYTES
        """Of the slice that is being handed over."""
        self._looking = False
        """The next turn is looked at: something waits, or a slice has been begun."""
        self._seen = 0
        self._passed = 0
        """Turns in a row in which somebody came."""
        self.arrivals = 0
        """Connections and requests that have come, counted by the connections."""

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def may_send(self, size: int) -> bool:
        """Whether so many bytes may be handed over now; counts them if so. Else their sender is to `wait`."""
        if self._waiting or self._left <= 0:
            return False
        self._left -= size
        self._look()
        return True

    def wait(self, sender: Sender) -> None:
        """Lets the sender take its turn, after those that wait already."""
        self._waiting[sender] = None
        self._look()

    def forget(self, sender: Sender) -> None:
        """The sender has nothing to send any more."""
        self._waiting.pop(sender, None)

    def _look(self) -> None:
        if not self._looking:
            self._looking = True
            self._call_soon(self._turn)

    def _turn(self) -> None:
        self._looking = False
        came = self.arrivals != self._seen
        self._seen = self.arrivals
        if came and self._passed < TURNS_MAX:
            self._passed += 1
        else:
            self._passed = 0
            self._left = SLICE_BYTES
            while self._waiting and self._left > 0:
                sender, _ = self._waiting.popitem(last=False)
                self._left -= _handed_over(sender)
        if self._waiting or self._left < SLICE_BYTES:
            self._look()


def _handed_over(sender: Sender) -> int:
    """How many bytes the sender handed over in its turn. A fault in it costs its own client the connection: the others
    wait for the turns after this one."""
    try:
        return sender.take_turn()
    except Exception:
        logger.exception("fault in a large answer: its connection is closed")
        sender.give_up()
        return 0
