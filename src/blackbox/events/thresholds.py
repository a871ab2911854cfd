"""GPUs whose used memory crosses a threshold of the settings."""

from collections.abc import Iterator, Sequence

from blackbox.events.listing import MomentProcesses
from blackbox.model.event import Crossing, Event
from blackbox.model.moment import Moment
from blackbox.model.parts import SYSTEM_MEMORY, Device, gpu_name

UNTOLD_BY = frozenset(("total_bytes", "used_bytes"))
"""Without these nobody knows how full it is: a memory snapshot that is played tells of its process alone."""
HYSTERESIS_PERCENT = 2.0
"""A GPU counts as below again only this far under the threshold, so that it is not reported at every small change."""


class ThresholdDetector:
    """Detects when a GPU or MIG instance gets above a threshold, and when it is below again."""

    def __init__(self, thresholds_percent: Sequence[float]) -> None:
        self._thresholds = tuple(sorted(set(thresholds_percent)))
        self._above: set[tuple[str, float]] = set()

    def observe(self, moment: Moment, listing: MomentProcesses) -> Iterator[Event]:
        """Crossings since the last moment; a device that cannot be read keeps its state."""
        for device in listing.devices.values():
            if device.state != "ok" or device.memory is None or not device.memory.total_bytes:
                continue
            if not UNTOLD_BY.isdisjoint(device.unknown):
                continue
            used = 100 * device.memory.used_bytes / device.memory.total_bytes
            for threshold in self._thresholds:
                key = device.uuid, threshold
                if key not in self._above and used >= threshold:
                    self._above.add(key)
                    yield _event(device, threshold, used, moment.timestamp, above=True)
                elif key in self._above and used < threshold - HYSTERESIS_PERCENT:
                    self._above.remove(key)
                    yield _event(device, threshold, used, moment.timestamp, above=False)


def _event(device: Device, threshold: float, used: float, timestamp: float, *, above: bool) -> Event:
    what = "above" if above else "below again:"
    is_shared = device.memory is not None and device.memory.source == SYSTEM_MEMORY
    of_the_machine = f"{_name(device)}: {used:.1f} % of the machine's memory, which it shares, is used"
    how = of_the_machine if is_shared else f"{_name(device)} uses {used:.1f} % of its memory"
    return Event(
        kind="threshold",
        timestamp=timestamp,
        message=f"{how}, {what} {threshold:g} %",
        gpu_uuid=device.uuid,
        threshold=Crossing(threshold_percent=threshold, used_percent=round(used, 2), above=above),
    )


def _name(device: Device) -> str:
    name = gpu_name(device.index, device.mig)
    if device.parent_uuid is None or (device.mig is not None and device.mig.profile is None):
        return name
    return f"{name} ({device.uuid if device.mig is None else device.mig.profile})"
