"""Events that no source reports by itself: found by comparing each moment with those before it."""

from blackbox.events.detector import Detector
from blackbox.events.watch import Watch

__all__ = ["Detector", "Watch"]
