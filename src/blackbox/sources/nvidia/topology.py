"""Which devices there are: GPUs by UUID, and the MIG instances inside them."""

from collections.abc import Callable
from ctypes import byref, c_int, c_uint, c_void_p, create_string_buffer
from typing import NamedTuple

from msgspec import Struct

from blackbox.model.parts import AddressingMode, MigInstance
from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.device_calls import DeviceCalls
from blackbox.sources.nvidia.driver import NO_DEVICE, Driver
from blackbox.sources.nvidia.errors import Failure, Fault, LibraryGoneError

COUNT_CALL = "nvmlDeviceGetCount_v2"
GPUS_MAX = 1024
"""No machine has more; a larger count is a fault of the driver."""
INSTANCES_MAX = 64
"""Per GPU; the hardware stops at 7 or 8."""

_HANDLE_BY_INDEX = "nvmlDeviceGetHandleByIndex_v2"
_UUID = "nvmlDeviceGetUUID"
_NAME = "nvmlDeviceGetName"
_MIG_MODE = "nvmlDeviceGetMigMode"
_MIG_COUNT = "nvmlDeviceGetMaxMigDeviceCount"
_MIG_HANDLE = "nvmlDeviceGetMigDeviceHandleByIndex"
_ADDRESSING_MODE = "nvmlDeviceGetAddressingMode"
_ADDRESSING_MODES: dict[int, AddressingMode] = {
    nvml.NVML_DEVICE_ADDRESSING_MODE_HMM: "hmm",
    nvml.NVML_DEVICE_ADDRESSING_MODE_ATS: "ats",
}
_NUMA_NODE = "nvmlDeviceGetNumaNodeId"
_PCI = "nvmlDeviceGetPciInfo_v3"
_GPU_INSTANCE = "nvmlDeviceGetGpuInstanceId"
_COMPUTE_INSTANCE = "nvmlDeviceGetComputeInstanceId"


class DeviceHandle(Struct, frozen=True):
    """Where a device stands, and how to ask it."""

    uuid: str
    index: int
    name: str
    calls: DeviceCalls
    parent_uuid: str | None = None
    mig: MigInstance | None = None
    pci: str | None = None
    """Address of a GPU as the kernel spells it, such as `0000:01:00.0`."""
    addressing_mode: AddressingMode | None = None
    numa_node: int | None = None


class Topology(Struct, frozen=True):
    """One enumeration."""

    gpus: dict[str, DeviceHandle]
    """By UUID, in the driver's order."""
    instances: dict[str, tuple[DeviceHandle, ...]]
    """UUID of a GPU -> its MIG instances. A GPU that could not tell is missing."""
    unreadable: dict[int, Failure]
    """Index of a GPU that did not even give its UUID -> why."""
    instances_unread: dict[str, Failure]
    """UUID of a GPU -> why some of its MIG instances, or all, are not among `instances`."""


class FoundInstances(NamedTuple):
    """The MIG instances of one GPU."""

    handles: tuple[DeviceHandle, ...] | None
    """None: not even their number is known."""
    unread: Failure | None = None
    """Why there are more than these."""


class _Identity(NamedTuple):
    handle: int
    gpu_index: int
    uuid: str
    mig: bool


class TopologyReader:
    """Enumerates the devices; remembers what cannot change (name, instance ids) while a device stays where it is."""

    def __init__(self, driver: Driver, clock: Callable[[], float]) -> None:
        self._driver = driver
        self._clock = clock
        self._device_handles: dict[_Identity, DeviceHandle] = {}
        self._count = c_uint()
        self._mode = c_uint()
        self._pending_mode = c_uint()
        self._gpu_instance = c_uint()
        self._compute_instance = c_uint()
        self._handle = c_void_p()
        self._pci = nvml.PciInfo()
        self._text = create_string_buffer(nvml.NVML_DEVICE_UUID_V2_BUFFER_SIZE)

    def read(self) -> Topology | Failure:
        """The devices now, or why they cannot even be counted. Raises `LibraryGoneError`."""
        failure = self._driver.attempt(COUNT_CALL, NO_DEVICE, byref(self._count))
        if failure is not None:
            return failure
        count = self._count.value
        if count > GPUS_MAX:
            return Failure(Fault.INVALID, f"{COUNT_CALL} answered {count} GPUs")
        before, self._device_handles = self._device_handles, {}
        gpus: dict[str, DeviceHandle] = {}
        instances: dict[str, tuple[DeviceHandle, ...]] = {}
        unreadable: dict[int, Failure] = {}
        unread: dict[str, Failure] = {}
        for index in range(count):
            device_handle = self._gpu(index, before)
            if isinstance(device_handle, Failure):
                unreadable[index] = device_handle
            elif device_handle.uuid not in gpus:  # else the order changed while it was read
                gpus[device_handle.uuid] = device_handle
                found = self._instances(device_handle, before)
                if found.handles is not None:
                    instances[device_handle.uuid] = found.handles
                if found.unread is not None:
                    unread[device_handle.uuid] = found.unread
        return Topology(gpus, instances, unreadable, unread)

    def _gpu(self, index: int, before: dict[_Identity, DeviceHandle]) -> DeviceHandle | Failure:
        failure = self._driver.attempt(_HANDLE_BY_INDEX, index, c_uint(index), byref(self._handle))
        if failure is not None:
            return failure
        return self._place(self._handle.value or 0, index, None, before)

    def _instances(self, gpu: DeviceHandle, before: dict[_Identity, DeviceHandle]) -> FoundInstances:
        """The MIG instances of a GPU; none when it has no MIG or has it switched off. One that does not tell who it is
        costs itself."""
        failure = gpu.calls.make(_MIG_MODE, byref(self._mode), byref(self._pending_mode))
        if failure is not None:
            return FoundInstances(() if failure.fault is Fault.PERMANENT else None)
        if self._mode.value != nvml.NVML_DEVICE_MIG_ENABLE:
            return FoundInstances(())
        failure = gpu.calls.make(_MIG_COUNT, byref(self._count))
        if failure is not None:
            return FoundInstances(None, failure)
        found = [self._instance(gpu, slot, before) for slot in range(min(self._count.value, INSTANCES_MAX))]
        handles = tuple(one for one in found if isinstance(one, DeviceHandle))
        return FoundInstances(handles, next((one for one in found if isinstance(one, Failure)), None))

    def _instance(
        self, gpu: DeviceHandle, slot: int, before: dict[_Identity, DeviceHandle]
    ) -> DeviceHandle | Failure | None:
        """None where the slot is empty."""
        try:
            # past what the GPU refused before: a slot that is refused says nothing of the others
            failure = self._driver.attempt(
                _MIG_HANDLE, gpu.index, c_void_p(gpu.calls.handle), c_uint(slot), byref(self._handle)
            )
            found = failure or self._place(self._handle.value or 0, gpu.index, gpu, before)
        except LibraryGoneError as gone:
            self._read_text(gpu.calls, _UUID)  # so it says at an instance; where it is gone indeed, this raises as well
            found = gone.failure._replace(fault=Fault.TRANSIENT)
        if isinstance(found, DeviceHandle) or found.code == nvml.NVML_ERROR_NOT_FOUND:
            return found if isinstance(found, DeviceHandle) else None
        return found._replace(reason=f"MIG instance in slot {slot}: {found.reason}")

    def _place(
        self, handle: int, index: int, parent: DeviceHandle | None, before: dict[_Identity, DeviceHandle]
    ) -> DeviceHandle | Failure:
        """The device behind a handle: as known, where the handle still leads to the same one."""
        calls = DeviceCalls(self._driver, handle, index, self._clock)
        uuid = self._read_text(calls, _UUID)
        if isinstance(uuid, Failure):
            return uuid
        identity = _Identity(handle, index, uuid, parent is not None)
        device_handle = before.get(identity) or self._meet(calls, index, uuid, parent)
        if isinstance(device_handle, DeviceHandle):
            self._device_handles[identity] = device_handle
        return device_handle

    def _meet(self, calls: DeviceCalls, index: int, uuid: str, parent: DeviceHandle | None) -> DeviceHandle | Failure:
        name = self._read_text(calls, _NAME)
        if isinstance(name, Failure):
            if name.fault is Fault.DEVICE_GONE:
                return name
            name = ""
        if parent is None:
            return DeviceHandle(
                uuid,
                index,
                name,
                calls,
                pci=self._read_pci(calls),
                addressing_mode=self._read_addressing_mode(calls),
                numa_node=self._read_numa_node(calls),
            )
        mig = self._read_mig(calls, name)
        return mig if isinstance(mig, Failure) else DeviceHandle(uuid, index, name, calls, parent.uuid, mig)

    def _read_pci(self, calls: DeviceCalls) -> str | None:
        if calls.make(_PCI, byref(self._pci)) is not None:
            return None
        return f"{self._pci.domain:04x}:{self._pci.bus:02x}:{self._pci.device:02x}.0"

    def _read_addressing_mode(self, calls: DeviceCalls) -> AddressingMode | None:
        mode = nvml.AddressingMode(version=nvml.nvmlDeviceAddressingMode_v1)
        return None if calls.make(_ADDRESSING_MODE, byref(mode)) is not None else _ADDRESSING_MODES.get(mode.value)

    def _read_numa_node(self, calls: DeviceCalls) -> int | None:
        node = c_int(-1)
        return None if calls.make(_NUMA_NODE, byref(node)) is not None or node.value < 0 else node.value

    def _read_mig(self, calls: DeviceCalls, name: str) -> MigInstance | Failure:
        failure = calls.make(_GPU_INSTANCE, byref(self._gpu_instance))
        failure = failure or calls.make(_COMPUTE_INSTANCE, byref(self._compute_instance))
        if failure is not None:
            return failure
        _, _, profile = name.partition(" MIG ")
        return MigInstance(
            gpu_instance_id=self._gpu_instance.value,
            compute_instance_id=self._compute_instance.value,
            profile=profile or None,
        )

    def _read_text(self, calls: DeviceCalls, name: str) -> str | Failure:
        failure = calls.make(name, self._text, c_uint(len(self._text)))
        return failure or self._text.value.decode(errors="replace")


class IdentityCheck:
    """Tells whether a handle still leads to the device that was asked, after it was asked.

    Handles may outlive a change of the machine. Figures read through one count only when the UUID behind it is
    afterwards still the expected one.
    """

    def __init__(self) -> None:
        self._text = create_string_buffer(nvml.NVML_DEVICE_UUID_V2_BUFFER_SIZE)
        self._length = c_uint(len(self._text))

    def failure(self, device_handle: DeviceHandle) -> Failure | None:
        """Why the last reading of `device_handle` must be thrown away; None when it is good."""
        failure = device_handle.calls.make(_UUID, self._text, self._length)
        if failure is None and self._text.value != device_handle.uuid.encode():
            return Failure(Fault.TRANSIENT, "the devices changed places while they were read")
        return failure
