"""How often dumps are made: once for one trouble, and ever more rarely while a kind of trouble goes on."""

from collections.abc import Callable
from typing import NamedTuple

from blackbox.model.event import Event

REST_SECONDS = 60.0
"""The same trouble of the same process goes on for seconds, and stands in one dump."""
KIND_BURST = 4
"""Dumps of one kind and owner before rests begin: the processes of a job fail on several GPUs, one after the other."""
KIND_SECONDS_MAX = 3600.0
"""Rests double up to this; after as long without the trouble they begin anew."""
OWNERS_MAX = 256
"""Kinds and owners whose pace is remembered; the one silent longest is forgotten. Users come by the thousand only where
one has made them up (subordinate user ids)."""

TriggerKey = tuple[str, str | None, int | None, int | None]
"""Kind, GPU, process and owner of an event."""


class _Pace(NamedTuple):
    """How often a kind of trouble of one owner came lately."""

    dumps: int
    """In a row."""
    dumped_at: float
    seen_at: float


class DumpPace:
    """Says of each trigger whether a dump is due. Times are of the machine's monotonic clock, never an agent's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last_at: dict[TriggerKey, float] = {}
        """When each trouble last made a dump, within `REST_SECONDS`."""
        self._paces: dict[tuple[str, int | None], _Pace] = {}
        """By kind and owner, the one silent longest first."""

    def is_due(self, event: Event) -> bool:
        """Whether to make a dump of the trigger, which then counts as made."""
        now = self._clock()
        self._last_at = {key: at for key, at in self._last_at.items() if at > now - REST_SECONDS}
        key = _key(event)
        due = key not in self._last_at and not self._is_aftermath(event) and self._is_kind_due(event, now)
        if due:
            self._last_at[key] = now
        return due

    def _is_aftermath(self, event: Event) -> bool:
        """Whether the process died of the out-of-memory that made a dump lately."""
        return event.kind == "crash" and any(
            (kind, pid, uid) == ("oom", event.pid, event.uid) for kind, _, pid, uid in self._last_at
        )

    def _is_kind_due(self, event: Event, now: float) -> bool:
        key = event.kind, event.uid
        pace = self._paces.pop(key, None)
        if pace is None or now - pace.seen_at >= KIND_SECONDS_MAX:
            pace = _Pace(0, float("-inf"), now)
        due = now - pace.dumped_at >= rest_seconds(pace.dumps)
        self._paces[key] = _Pace(pace.dumps + 1, now, now) if due else pace._replace(seen_at=now)
        if len(self._paces) > OWNERS_MAX:
            del self._paces[next(iter(self._paces))]
        return due


def rest_seconds(dumps: int) -> float:
    """The rest after so many dumps of a kind in a row."""
    if dumps < KIND_BURST:
        return 0.0
    doublings = min(dumps - KIND_BURST, 10)
    return min(REST_SECONDS * 2**doublings, KIND_SECONDS_MAX)


def _key(event: Event) -> TriggerKey:
    """A job of many processes dies as one, and every dump holds them all."""
    if event.kind == "crash":
        return event.kind, None, None, event.uid
    return event.kind, event.gpu_uuid, event.pid, event.uid
