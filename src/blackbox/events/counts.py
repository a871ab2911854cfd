"""How many events of each kind there were since the start."""

import threading
from collections import Counter
from typing import get_args

from blackbox.model.event import Event, EventKind
from blackbox.model.moment import Moment

KINDS: tuple[EventKind, ...] = get_args(EventKind)


class EventCounts:
    """Counts what sources report and detectors notice; every kind begins at 0. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[EventKind] = Counter(dict.fromkeys(KINDS, 0))

    def take(self, moment: Moment) -> None:
        """Adds the events in the samples of a moment; an event stands in one moment only."""
        kinds: list[EventKind] = [event.kind for sample in moment.samples for event in sample.events]
        if kinds:
            with self._lock:
                self._counts.update(kinds)

    def note(self, event: Event) -> None:
        """Adds an event that no source reported."""
        with self._lock:
            self._counts[event.kind] += 1

    def by_kind(self) -> dict[EventKind, int]:
        """The counts so far."""
        with self._lock:
            return dict(self._counts)
