"""The devices this machine has, or had: enumerations applied to what was known before."""

from collections.abc import Callable, Iterator
from pathlib import Path

from blackbox.model.event import Event
from blackbox.model.parts import Device, GpuState, gpu_name
from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.errors import Failure, Fault
from blackbox.sources.nvidia.topology import DeviceHandle, IdentityCheck, Topology
from blackbox.sources.nvml.device import TrackedDevice

_UNLISTED = Failure(Fault.DEVICE_GONE, "the driver lists this GPU no more", nvml.NVML_ERROR_GPU_NOT_FOUND)
_STATES_UNREADABLE: dict[Fault, GpuState] = {Fault.DEVICE_GONE: "lost", Fault.DENIED: "no_access"}


class DeviceRegistry:
    """Devices by UUID. A GPU that goes stays, as lost; a MIG instance that goes is gone, since a person removed it."""

    def __init__(self, wall_clock: Callable[[], float], procfs: Path = Path("/proc")) -> None:
        self._procfs = procfs
        self._wall_clock = wall_clock
        self._gpus: dict[str, TrackedDevice] = {}
        self._instances: dict[str, dict[str, TrackedDevice]] = {}
        self._instances_unread: dict[str, Failure] = {}
        self._unlisted: set[str] = set()
        self._unidentified: dict[int, Failure] = {}
        """Index -> why a GPU that nobody ever saw gives no UUID."""
        self._check = IdentityCheck()
        self._events: list[Event] = []

    def __iter__(self) -> Iterator[TrackedDevice]:
        """Every device, each GPU before its instances."""
        for uuid, gpu in sorted(self._gpus.items(), key=lambda item: item[1].device_handle.index):
            yield gpu
            yield from self._instances.get(uuid, {}).values()

    @property
    def gpus(self) -> list[TrackedDevice]:
        """The GPUs that can be asked."""
        return [
            gpu
            for uuid, gpu in self._gpus.items()
            if uuid not in self._unlisted and not gpu.is_lost and gpu.state != "asleep"
        ]

    @property
    def has_lost(self) -> bool:
        """Whether a GPU is lost, which may answer again only when the library was opened anew."""
        return any(gpu.is_lost for gpu in self._gpus.values())

    def instances(self, gpu: TrackedDevice) -> dict[tuple[int, int], TrackedDevice]:
        """The MIG instances of a GPU, by their two numbers."""
        return {
            (device.device_handle.mig.gpu_instance_id, device.device_handle.mig.compute_instance_id): device
            for device in self._instances.get(gpu.device_handle.uuid, {}).values()
            if device.device_handle.mig
        }

    def instances_unread(self, gpu: TrackedDevice) -> Failure | None:
        """Why a GPU has more MIG instances than are known; None where these are all."""
        return self._instances_unread.get(gpu.device_handle.uuid)

    def apply(self, topology: Topology, now: float) -> None:
        """Takes over an enumeration."""
        for device_handle in topology.gpus.values():
            self._admit(self._gpus, device_handle, now)
        self._unidentified = dict(topology.unreadable)
        connected = self._gpus.keys() - self._unlisted
        self._unlisted = set()
        for uuid in self._gpus.keys() - topology.gpus.keys():
            self._miss(uuid, uuid in connected)
        for uuid in list(self._instances):
            if self._gpus[uuid].is_lost:
                del self._instances[uuid]
        self._instances_unread = topology.instances_unread
        for uuid, device_handles in topology.instances.items():
            self._reconfigure(uuid, device_handles, now)

    def disconnect(self) -> None:
        """All handles are void; the next enumeration brings new ones."""
        self._unlisted = set(self._gpus)
        self._instances = {}

    def rest(self, now: float, sleeping: frozenset[str]) -> None:
        """Takes note that the GPUs at these PCI addresses sleep."""
        for uuid, gpu in self._gpus.items():
            if gpu.device_handle.pci in sleeping:
                for device in (gpu, *self._instances.get(uuid, {}).values()):
                    device.rest(now)

    def read(self, now: float, sleeping: frozenset[str] = frozenset()) -> None:
        """Reads all devices, but for the GPUs at these PCI addresses. Raises `LibraryGoneError`."""
        self.rest(now, sleeping)
        for device in self:
            parent = self._gpus.get(device.device_handle.parent_uuid or "")
            is_asleep = (parent or device).device_handle.pci in sleeping
            if device.device_handle.uuid in self._unlisted or is_asleep:
                continue
            was_lost = device.is_lost
            device.read(now, self._check)
            if device.device_handle.mig is None:
                self._note(device, was_lost)

    def identity_failure(self, device: TrackedDevice) -> Failure | None:
        """Why what was just read through the device's handle may be another's. Raises `LibraryGoneError`."""
        return self._check.failure(device.device_handle)

    def describe(self, now: float) -> tuple[Device, ...]:
        """All devices; last those that gave no UUID."""
        known = [device.describe() for device in self]
        return (*known, *(_unidentified_device(index, failure, now) for index, failure in self._unidentified.items()))

    def drain_events(self) -> list[Event]:
        """Losses and returns since the last call."""
        events, self._events = self._events, []
        return events

    def _admit(self, devices: dict[str, TrackedDevice], device_handle: DeviceHandle, now: float) -> None:
        known = devices.get(device_handle.uuid)
        if known is None:
            devices[device_handle.uuid] = TrackedDevice(device_handle, self._procfs, now)
        else:
            known.move(device_handle)

    def _miss(self, uuid: str, connected: bool) -> None:
        """A known GPU did not turn up under its UUID."""
        gpu = self._gpus[uuid]
        failure = self._unidentified.pop(gpu.device_handle.index, None)
        if connected and failure is not None and failure.fault is Fault.TRANSIENT:
            return  # its handle is still good for a reading, which will tell
        if failure is None:
            failure = _UNLISTED
        self._unlisted.add(uuid)
        was_lost = gpu.is_lost
        gpu.fail(failure)
        self._note(gpu, was_lost)

    def _reconfigure(self, uuid: str, device_handles: tuple[DeviceHandle, ...], now: float) -> None:
        known = self._instances.get(uuid, {})
        devices: dict[str, TrackedDevice] = {}
        for device_handle in device_handles:
            if device_handle.uuid in known:
                devices[device_handle.uuid] = known[device_handle.uuid]
            self._admit(devices, device_handle, now)
        if uuid in self._instances_unread:  # those not found may be the ones that did not tell
            devices = devices | {other: device for other, device in known.items() if other not in devices}
        self._instances[uuid] = devices

    def _note(self, gpu: TrackedDevice, was_lost: bool) -> None:
        if gpu.is_lost == was_lost:
            return
        device_handle = gpu.device_handle
        name = gpu_name(device_handle.index, device_handle.mig)
        text = f"{name} lost: {gpu.reason}" if gpu.is_lost else f"{name} is back"
        self._events.append(
            Event(
                kind="gpu_lost" if gpu.is_lost else "gpu_back",
                timestamp=self._wall_clock(),
                message=text,
                gpu_uuid=device_handle.uuid,
            )
        )


def _unidentified_device(index: int, failure: Failure, now: float) -> Device:
    """A GPU that the driver counts, and that never said who it is."""
    return Device(
        uuid=f"unknown-{index}",
        index=index,
        name="",
        state=_STATES_UNREADABLE.get(failure.fault, "failed"),
        reason=failure.reason,
        taken_at=now,
        memory=None,
        unknown=dict.fromkeys(
            ("uuid", "name", "memory", "utilization_percent", "temperature_celsius", "power_watts"), failure.reason
        ),
    )
