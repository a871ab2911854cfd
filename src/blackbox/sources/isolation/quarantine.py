"""Quarantine: driver calls left out for a while because they hung or crashed the process that made them."""

from collections.abc import Callable

from msgspec import Struct

from blackbox.sources.isolation.breadcrumbs import Call

WAIT_SECONDS_MIN = 2.0
"""A short fault is over within five seconds of its end."""
WAIT_SECONDS_MAX = 60.0
"""Each try may cost a process, and a sick driver should not be asked often."""
WAIT_SHARE = 0.25
"""Of the time the trouble has lasted: being out takes a quarter longer than the fault itself."""
CALLS_MAX = 512
"""Every function we call on 8 GPUs. Keeps a request within the socket's buffer."""


class _Culprit(Struct):
    reason: str
    since: float
    until: float


class Quarantine:
    """Calls that did harm, each with its reason; tried again after a wait that grows with the trouble."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._culprits: dict[Call, _Culprit] = {}

    def add(self, call: Call, reason: str) -> None:
        """`call` did harm, once more or for the first time."""
        now = self._clock()
        known = self._culprits.get(call)
        if known is None and len(self._culprits) >= CALLS_MAX:
            return
        since = known.since if known else now
        wait = min(WAIT_SECONDS_MAX, max(WAIT_SECONDS_MIN, WAIT_SHARE * (now - since)))
        self._culprits[call] = _Culprit(reason, since, now + wait)

    def active(self) -> dict[Call, str]:
        """The calls to leave out now, and why."""
        now = self._clock()
        self._forget_healed(now)
        return {call: culprit.reason for call, culprit in self._culprits.items() if culprit.until > now}

    def on_trial(self, call: Call) -> bool:
        """The call did harm before and is being tried again."""
        return call in self._culprits

    def _forget_healed(self, now: float) -> None:
        """Forgets the calls that behaved for as long again as they had been in trouble."""
        self._culprits = {
            call: culprit
            for call, culprit in self._culprits.items()
            if now < culprit.until + max(WAIT_SECONDS_MAX, culprit.until - culprit.since)
        }
