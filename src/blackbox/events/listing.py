"""The processes that hold memory in a moment, and the devices whose process list is complete."""

from typing import NamedTuple

from blackbox.model.facts import PID_SCOPE
from blackbox.model.identity import ProcessKey
from blackbox.model.moment import Moment
from blackbox.model.parts import Device, DeviceProcess
from blackbox.sampling.runner import MEASURING_STATES


class ListedProcess(NamedTuple):
    """A process on a device, as listed by the driver."""

    gpu: int
    """Index of the GPU; of a MIG instance, that of its parent."""
    row: DeviceProcess
    pid_scope: str | None
    """Which pid namespace the pid belongs to: `host`, `namespace` (another one) or `simulated`."""


class MomentProcesses(NamedTuple):
    """All processes that hold GPU memory in a moment."""

    processes: dict[ProcessKey, ListedProcess]
    devices: dict[str, Device]
    """Every device of the moment, by UUID."""
    listed: frozenset[str]
    """UUIDs of devices whose process list is complete: a process that is not in it holds nothing there."""


def list_processes(moment: Moment) -> MomentProcesses:
    """The listing of a moment."""
    processes: dict[ProcessKey, ListedProcess] = {}
    devices: dict[str, Device] = {}
    listed: set[str] = set()
    for sample in moment.samples:
        pid_scope = PID_SCOPE.of(sample.facts)
        here = {device.uuid: device for device in sample.devices}
        devices |= here
        if sample.state in MEASURING_STATES and sample.processes_taken_at is not None:
            listed |= {uuid for uuid, device in here.items() if _is_listed(device)}
        for row in sample.processes:
            if (device := here.get(row.gpu_uuid)) is not None:
                key = row.gpu_uuid, row.pid
                processes[key] = ListedProcess(device.index, row, pid_scope)
    return MomentProcesses(processes, devices, frozenset(listed))


def _is_listed(device: Device) -> bool:
    return device.state == "ok" and "processes" not in device.unknown
