"""The detector at work: takes moments from the hub, hands on what it finds."""

import logging
from collections.abc import Callable

from blackbox.events.detector import Detector
from blackbox.model.sample import Event
from blackbox.model.snapshot import Moment

ORDINARY = ("process_start", "process_exit")
"""Kinds that are everyday life."""

log = logging.getLogger(__name__)


class Watch:
    """A subscriber of the hub: neither blocks nor raises."""

    def __init__(self, detector: Detector, note: Callable[[Event], None]) -> None:
        """`note` gets every event found; it must not block either."""
        self._detector = detector
        self._note = note
        self._failed = False

    def take(self, moment: Moment) -> None:
        """Compares the moment with those before it."""
        try:
            for event in self._detector.observe(moment):
                log.log(
                    logging.INFO if event.kind in ORDINARY else logging.WARNING, "%s: %s", event.kind, event.message
                )
                self._note(event)
        except Exception:
            if not self._failed:  # once: it would fail at every tick
                log.exception("fault in the detection of events")
            self._failed = True
