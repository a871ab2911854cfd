"""How many errors the driver reported of each GPU since the start."""

import threading
from collections import Counter
from collections.abc import Iterator

from blackbox.model.facts import DRIVER_EVENTS, DRIVER_EVENTS_WATCHED
from blackbox.model.moment import Moment
from blackbox.model.sample import Sample


class XidCounter:
    """Xid errors per GPU since it began to listen; a GPU counts from 0 as soon as it is seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, moment: Moment) -> None:
        """Adds the Xids of the moment; an event stands in one moment only."""
        with self._lock:
            for sample in moment.samples:
                self._counts.update(dict.fromkeys(_watched(sample), 0))
                self._counts.update(
                    event.gpu_uuid for event in sample.events if event.kind == "xid" and event.gpu_uuid is not None
                )

    def by_gpu(self) -> dict[str, int]:
        """The counts so far."""
        with self._lock:
            return dict(self._counts)


def _watched(sample: Sample) -> Iterator[str]:
    """The GPUs whose Xids the source would see."""
    if DRIVER_EVENTS.of(sample.facts) in (None, DRIVER_EVENTS_WATCHED):
        yield from (device.uuid for device in sample.devices if device.parent_uuid is None)
