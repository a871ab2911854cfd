"""Who holds memory in a moment, and on which devices the moment can tell."""

from typing import NamedTuple

from blackbox.model.sample import Device, DeviceProcess
from blackbox.model.snapshot import Moment
from blackbox.sampling.runner import GOOD

Place = tuple[str, int]
"""(UUID of a device, pid)."""


class Holder(NamedTuple):
    """A process on a device, as the driver lists it."""

    gpu: int
    """Index of the GPU (of the parent, for a MIG instance)."""
    row: DeviceProcess
    pid_scope: str | None
    """Whose pids the source speaks of: `host`, `namespace`, `simulated`."""


class Holders(NamedTuple):
    """All holders of a moment."""

    by_place: dict[Place, Holder]
    devices: dict[str, Device]
    """Every device the moment knows, by UUID."""
    listed: frozenset[str]
    """Devices whose process list is complete: whoever is not in it holds nothing there."""


def holders(moment: Moment) -> Holders:
    """Who holds memory, by place."""
    by_place: dict[Place, Holder] = {}
    devices: dict[str, Device] = {}
    listed: set[str] = set()
    for sample in moment.samples:
        here = {device.uuid: device for device in sample.devices}
        devices |= here
        if sample.state in GOOD and sample.processes_taken_at is not None:
            listed |= {uuid for uuid, device in here.items() if _is_listed(device)}
        for row in sample.processes:
            if (device := here.get(row.gpu_uuid)) is not None:
                place = row.gpu_uuid, row.pid
                by_place[place] = Holder(device.index, row, sample.facts.get("pid_scope"))
    return Holders(by_place, devices, frozenset(listed))


def _is_listed(device: Device) -> bool:
    return device.state == "ok" and "processes" not in device.unknown
