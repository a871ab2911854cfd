"""Events that no source reports by itself: found by comparing each moment with those before it."""

from blackbox.events.detectors import EventDetectors, EventWatcher

__all__ = ["EventDetectors", "EventWatcher"]
