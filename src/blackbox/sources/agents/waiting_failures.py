"""Failed allocations between two samples: as many, and as much of them, as a sample may hold."""

from typing import NamedTuple

from blackbox.sources.agents.budgets import of_largest_user
from blackbox.sources.agents.connection import AgentConnection
from blackbox.sources.agents.decode import OomMessage
from blackbox.sources.agents.refusals import Refusals

OOMS_MAX = 32
"""Failed allocations kept for the next sample; where there are more, one of the user who has most goes."""
BYTES_MAX = 64 * 1024 * 1024
"""Of JSON of blocks, steps and stacks of those that are kept; a third of it in memory. Where there are more, the
largest of the user who has most is told without them."""


class ReceivedOom(NamedTuple):
    """A failed allocation, and who told."""

    connection: AgentConnection
    message: OomMessage
    at: float
    """When it was received, in Unix seconds."""
    bytes: int
    """What its blocks, steps and stacks take in JSON, about."""


class WaitingFailures:
    """Those since the last sample. What does not fit is counted in `refusals`."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._ooms: list[ReceivedOom] = []

    def take(self) -> list[ReceivedOom]:
        """All of them; none is left."""
        ooms, self._ooms = self._ooms, []
        return ooms

    def add(self, oom: ReceivedOom, now: float) -> None:
        """Keeps one, for which another may have to give way."""
        self._ooms.append(oom)
        if len(self._ooms) > OOMS_MAX:
            gone = of_largest_user(self._ooms, _uid)[0]
            self._ooms.remove(gone)
            text = "more failed allocations than a sample can hold"
            self._refusals.note("too_many_failures", text, now, _uid(gone))
        while sum(map(_bytes, self._ooms)) > BYTES_MAX:
            largest = max(of_largest_user(self._ooms, _uid, _bytes), key=_bytes)
            place = self._ooms.index(largest)
            self._ooms[place] = self.without_details(largest, "too much of failed allocations was told at once", now)

    def without_details(self, oom: ReceivedOom, reason: str, now: float) -> ReceivedOom:
        """The same without blocks, steps and stacks, which is counted."""
        text = f"agent {oom.connection.peer.pid}: details of a failed allocation"
        self._refusals.note("too_large", text, now, _uid(oom))
        return oom._replace(message=oom.message.without_details(reason), bytes=0)


def _uid(oom: ReceivedOom) -> int:
    return oom.connection.peer.uid


def _bytes(oom: ReceivedOom) -> int:
    return oom.bytes
