"""The processes that hold memory in a moment, and the devices whose process list is complete."""

from typing import NamedTuple

from msgspec import Struct

from blackbox.model.facts import PID_SCOPE
from blackbox.model.identity import ProcessKey
from blackbox.model.listed import share_roster
from blackbox.model.moment import Moment
from blackbox.model.parts import Device, DeviceProcess, gpu_name
from blackbox.sampling.runner import MEASURING_STATES

PARTS = 3
"""Of a sample that a listing is made of."""


class ListedProcess(Struct, gc=False):
    """A process on a device, as listed by the driver."""

    place: str
    """What the GPU, or the MIG instance, is called."""
    row: DeviceProcess
    """Of the newest moment whose listing has this object: only the amount in it may have become another."""
    pid_scope: str | None
    """Which pid namespace the pid belongs to: `host`, `namespace` (another one) or `simulated`."""


class MomentProcesses(NamedTuple):
    """All processes that hold GPU memory in a moment."""

    processes: dict[ProcessKey, ListedProcess]
    """The same object as in the moment before where nothing in it is different but amounts (`Listings`)."""
    devices: dict[str, Device]
    """Every device of the moment, by UUID."""
    listed: frozenset[str]
    """UUIDs of devices whose process list is complete: a process that is not in it holds nothing there."""
    are_moved: bool = False
    """`processes` is the same object as in the moment before, and some of them hold another amount."""


class Listings:
    """Makes the listing of one moment after the other. The processes are kept while every sample has the same list of
    them, lists being immutable, or one with the same roster, of which they get the new rows, and tells the same of its
    pids and of what its devices are called; else each of them, as the same object, for which that is so."""

    def __init__(self) -> None:
        self._of: list[object] = []
        """What `_processes` was made of."""
        self._processes: dict[ProcessKey, ListedProcess] = {}

    def of(self, moment: Moment) -> MomentProcesses:
        """The listing of the next moment."""
        made_of: list[object] = [
            part
            for sample in moment.samples
            for part in (
                sample.processes,
                PID_SCOPE.of(sample.facts),
                [(device.uuid, device.index, device.mig) for device in sample.devices],
            )
        ]
        listing = list_processes(moment, self._processes, is_same=_is_same(made_of, self._of))
        are_moved = listing.processes is self._processes and self._move(moment)
        self._of, self._processes = made_of, listing.processes
        return listing._replace(are_moved=are_moved)

    def _move(self, moment: Moment) -> bool:
        """Gives the processes of the moment before their rows of this one; whether some are others."""
        found = False
        for sample, before in zip(moment.samples, self._of[::PARTS], strict=True):
            if sample.processes is before:
                continue
            for row in sample.processes:
                known = self._processes.get((row.gpu_uuid, row.pid))
                if known is not None and known.row is not row:
                    known.row, found = row, True
        return found


def _is_same(now: list[object], before: list[object]) -> bool:
    """Whether lists of processes are identical, or have the same roster, and everything else is equal."""
    return len(now) == len(before) and all(
        one is other or share_roster(one, other) or (not isinstance(one, tuple) and one == other)
        for one, other in zip(now, before, strict=True)
    )


def list_processes(
    moment: Moment, before: dict[ProcessKey, ListedProcess] | None = None, *, is_same: bool = False
) -> MomentProcesses:
    """The listing of a moment. `before`: the processes of the one before; those that are as there are the same objects.
    `is_same`: all are."""
    before = {} if before is None else before
    processes: dict[ProcessKey, ListedProcess] = before if is_same else {}
    devices: dict[str, Device] = {}
    listed: set[str] = set()
    for sample in moment.samples:
        pid_scope = PID_SCOPE.of(sample.facts)
        here = {device.uuid: device for device in sample.devices}
        devices |= here
        if sample.state in MEASURING_STATES and sample.processes_taken_at is not None:
            listed |= {uuid for uuid, device in here.items() if _is_listed(device)}
        if is_same:
            continue
        places = {uuid: gpu_name(device.index, device.mig) for uuid, device in here.items()}
        for row in sample.processes:
            if (place := places.get(row.gpu_uuid)) is not None:
                key = row.gpu_uuid, row.pid
                known = before.get(key)
                if known is None or known.row is not row or (known.place, known.pid_scope) != (place, pid_scope):
                    known = ListedProcess(place, row, pid_scope)
                processes[key] = known
    return MomentProcesses(processes, devices, frozenset(listed))


def _is_listed(device: Device) -> bool:
    return device.state == "ok" and "processes" not in device.unknown
