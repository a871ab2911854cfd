"""All detectors of events: a moment goes in, the events found in it come out. Time is that of the moments alone."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from blackbox.events.exits import ProcessExits
from blackbox.events.growth import GrowthDetector
from blackbox.events.listing import Listings
from blackbox.events.orphans import OrphanDetector, Parent, is_alive, parent_of_zombie
from blackbox.events.processes import ProcessDetector
from blackbox.events.thresholds import ThresholdDetector
from blackbox.model.event import Event, EventKind
from blackbox.model.moment import Moment

SINGLE_EVENTS_MAX = 20
"""Starts, and exits, reported one by one per moment. Each event is synced to disk by itself, and a machine that starts
hundreds of short programs a second must be slowed down neither by that nor in its recording."""
COUNTED_TOGETHER: dict[EventKind, str] = {"process_start": "began to use GPUs", "process_exit": "no longer use GPUs"}
ROUTINE_KINDS = ("process_start", "process_exit")
"""Kinds that are logged at INFO; all others at WARNING."""

log = logging.getLogger(__name__)


class EventDetectors:
    """Finds the events that no source reports by itself. Pass it every moment, in order."""

    def __init__(
        self,
        thresholds_percent: Sequence[float] = (),
        alive: Callable[[int], bool] = is_alive,
        exits: ProcessExits | None = None,
        parent_of_zombie: Callable[[int], Parent | None] = parent_of_zombie,
    ) -> None:
        self._listings = Listings()
        self._detectors = (
            ProcessDetector(exits or ProcessExits()),
            GrowthDetector(),
            OrphanDetector(alive, parent_of_zombie),
            ThresholdDetector(thresholds_percent),
        )

    def observe(self, moment: Moment) -> list[Event]:
        """The events since the last moment, without those that the moment's samples hold already."""
        listing = self._listings.of(moment)
        found = chain.from_iterable(detector.observe(moment, listing) for detector in self._detectors)
        return list(_without_floods(found, moment.timestamp))


class EventWatcher:
    """A subscriber of the hub: runs the detectors on each moment, logs the events and hands them on. Never raises."""

    def __init__(self, detectors: EventDetectors, on_event: Callable[[Event], None]) -> None:
        """`on_event` gets every event found, on the thread that samples: it must not block."""
        self._detectors = detectors
        self._on_event = on_event
        self._failed = False

    def observe(self, moment: Moment) -> None:
        """Compares the moment with those before it."""
        try:
            for event in self._detectors.observe(moment):
                level = logging.INFO if event.kind in ROUTINE_KINDS else logging.WARNING
                log.log(level, "%s: %s", event.kind, event.message)
                self._on_event(event)
        except Exception:
            if not self._failed:  # once: it would fail at every tick
                log.exception("fault in the detection of events")
            self._failed = True


def _without_floods(found: Iterable[Event], timestamp: float) -> Iterator[Event]:
    """The events; of starts and exits beyond `SINGLE_EVENTS_MAX`, one event of each kind with their number."""
    counts: Counter[EventKind] = Counter()
    for event in found:
        counts[event.kind] += 1
        if event.kind not in COUNTED_TOGETHER or counts[event.kind] <= SINGLE_EVENTS_MAX:
            yield event
    for kind, what in COUNTED_TOGETHER.items():
        if (more := counts[kind] - SINGLE_EVENTS_MAX) > 0:
            yield Event(kind=kind, timestamp=timestamp, message=f"{more} more processes {what}")
