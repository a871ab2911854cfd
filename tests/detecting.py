"""Moments one after the other, and detectors that watch them."""

from collections.abc import Iterable
from typing import Any

from blackbox.events import EventDetectors
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.parts import Device, DeviceProcess
from tests.moments import NOW, TIMESTAMP, device, moment, sample

HOST = {"pid_scope": "host"}


def at(seconds: float, devices: Iterable[Device] | None = None, *processes: DeviceProcess, **changes: Any) -> Moment:
    """A moment `seconds` after the first."""
    facts = {"facts": HOST, **changes}
    part = sample([device()] if devices is None else devices, processes, **facts)
    return moment(part, taken_at=NOW + seconds, timestamp=TIMESTAMP + seconds)


def detector(*thresholds: float, living: Iterable[int] = ()) -> EventDetectors:
    alive = set(living)
    return EventDetectors(thresholds, alive.__contains__, parent_of_zombie=lambda _: None)


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind for event in events]
