"""One GPU or MIG instance over time: its last figures, and whether they can still be trusted."""

from pathlib import Path

from msgspec import structs

from blackbox.model.parts import SYSTEM_MEMORY, Device, GpuState, Memory
from blackbox.sources.nvidia.errors import Failure, Fault, LibraryGoneError
from blackbox.sources.nvidia.process_list import Gap, ProcessRow
from blackbox.sources.nvidia.runtime_power import ASLEEP
from blackbox.sources.nvidia.topology import DeviceHandle, IdentityCheck
from blackbox.sources.nvml.gauges import GaugeReader, Gauges
from blackbox.sources.nvml.memory import MemoryReader, MemoryReading
from blackbox.sources.nvml.system_memory import CHIPS, is_system_memory, read_system_memory, shares_memory

FAILURES_MAX = 4
"""Transient failures in a row that make a device lost: two seconds at the default interval."""
PROBE_SECONDS = 2.0
"""How often a lost device is asked whether it is back."""

_NO_INSTANCE_GAUGES = "the driver measures whole GPUs only, no MIG instances"
_STATES: dict[Fault, GpuState] = {
    Fault.DENIED: "no_access",
    Fault.DEVICE_GONE: "lost",
    Fault.QUARANTINED: "failed",
    Fault.PERMANENT: "failed",
}
_REFUSALS = (Fault.PERMANENT, Fault.DENIED, Fault.QUARANTINED)
"""A device that will not tell its memory works otherwise."""


class TrackedDevice:
    """A device under its UUID, through loss and return. Filled by `read` and the source, told by `describe`."""

    def __init__(self, device_handle: DeviceHandle, procfs: Path, now: float) -> None:
        self._procfs = procfs
        self.device_handle = device_handle
        self.state: GpuState = "ok"
        self.reason: str | None = None
        self.rows: list[ProcessRow] = []
        """Filled by the source whenever it read the process list."""
        self.rows_taken_at: float | None = None
        self.rows_gap: Gap | None = None
        """Why `rows` is not the whole truth."""
        self._taken_at = now
        self._memory: Memory | None = None
        self._memory_unknown: dict[str, str] = {}
        self._gauges: Gauges | None = None
        self._failures = 0
        self._probe_at = now
        """When a lost device is asked next."""
        self._connect(device_handle)

    @property
    def total_bytes(self) -> int | None:
        """The most that a process can hold on it, where that is known."""
        return self._memory.total_bytes if self._memory and self._memory.source != SYSTEM_MEMORY else None

    @property
    def is_lost(self) -> bool:
        return self.state == "lost"

    def move(self, device_handle: DeviceHandle) -> None:
        """The device stands elsewhere now, or has another handle."""
        if device_handle.calls is not self.device_handle.calls:
            self._connect(device_handle)
        self.device_handle = device_handle

    def read(self, now: float, check: IdentityCheck) -> None:
        """Reads memory and gauges; a lost device only from time to time. Raises `LibraryGoneError`."""
        if self.is_lost and now < self._probe_at:
            return
        self._probe_at = now + PROBE_SECONDS
        try:
            reading = self._read_memory()
        except LibraryGoneError as gone:
            # so it says at the memory; where it is gone indeed, this raises as well
            reading = check.failure(self.device_handle) or gone.failure._replace(fault=Fault.TRANSIENT)
        if isinstance(reading, Failure) and reading.fault not in (*_REFUSALS, Fault.INVALID):
            self.fail(reading)
            return
        gauges = self._gauge_reader.read(now) if self._gauge_reader else None
        failure = check.failure(self.device_handle)
        if failure is not None:
            self.fail(failure)
            return
        if isinstance(reading, Failure) and reading.fault is Fault.INVALID:
            self.fail(reading)
        else:
            self._accept(reading, now)
        self._gauges = gauges

    def _read_memory(self) -> MemoryReading | Failure:
        reading = self._memory_reader.read()
        if isinstance(reading, Failure):
            has_none = reading.fault is Fault.PERMANENT
            return read_system_memory(self._procfs) if has_none and shares_memory(self.device_handle) else reading
        if CHIPS.search(self.device_handle.name):
            system = read_system_memory(self._procfs)
            if not isinstance(system, Failure) and is_system_memory(self.device_handle, reading.memory, system.memory):
                return system
        return reading

    def rest(self, now: float) -> None:
        """Takes note that the device sleeps, and is not asked."""
        self.state, self.reason = "asleep", ASLEEP
        self._taken_at, self._failures, self._gauges = now, 0, None
        self._forget_memory(Failure(Fault.TRANSIENT, ASLEEP))
        self.rows, self.rows_taken_at, self.rows_gap = [], None, Gap(ASLEEP, "refused")

    def fail(self, failure: Failure) -> None:
        """Takes note that the device did not answer."""
        self.state, self.reason = self._state_after(failure.fault), failure.reason
        if self.state == "stale":
            return
        self._gauges = None
        self._forget_memory(failure)
        if self.is_lost:
            self.rows, self.rows_taken_at, self.rows_gap = [], None, None

    def describe(self) -> Device:
        """What is known, with the age and the reasons of what is not."""
        unknown = dict(self._memory_unknown)
        if self._memory is None and "memory" not in unknown:
            unknown["memory"] = self.reason or "not read yet"
        if self.rows_gap:
            unknown["processes"] = self.rows_gap.reason
        device = Device(
            uuid=self.device_handle.uuid,
            index=self.device_handle.index,
            name=self.device_handle.name,
            state=self.state,
            reason=self.reason,
            taken_at=self._taken_at,
            memory=self._memory,
            parent_uuid=self.device_handle.parent_uuid,
            mig=self.device_handle.mig,
            addressing_mode=self.device_handle.addressing_mode,
            numa_node=self.device_handle.numa_node,
            is_partly_listed=self.rows_gap is not None and self.rows_taken_at is not None,
            unknown=unknown,
        )
        return self._with_gauges(device, unknown)

    def _with_gauges(self, device: Device, unknown: dict[str, str]) -> Device:
        if self._gauges is None:
            reason = _NO_INSTANCE_GAUGES if device.mig else self.reason or "not read yet"
            unknown.update(dict.fromkeys(("utilization_percent", "temperature_celsius", "power_watts"), reason))
            return device
        unknown.update(self._gauges.unknown)
        return structs.replace(
            device,
            utilization_percent=self._gauges.utilization_percent,
            temperature_celsius=self._gauges.temperature_celsius,
            power_watts=self._gauges.power_watts,
        )

    def _connect(self, device_handle: DeviceHandle) -> None:
        self._memory_reader = MemoryReader(device_handle.calls)
        self._gauge_reader = GaugeReader(device_handle.calls) if device_handle.mig is None else None

    def _accept(self, reading: MemoryReading | Failure, now: float) -> None:
        self._failures = 0
        self._taken_at = now
        if isinstance(reading, MemoryReading):
            self.state, self.reason = "ok", None
            self._memory, self._memory_unknown = reading
            return
        self._forget_memory(reading)
        # a GPU that shares the machine's memory has none of its own to tell of: nothing is wrong with it
        is_fault = reading.fault is not Fault.PERMANENT
        self.state = _STATES[reading.fault] if is_fault else "ok"
        self.reason = reading.reason if is_fault else None

    def _forget_memory(self, failure: Failure) -> None:
        self._memory, self._memory_unknown = None, {"memory": failure.reason}

    def _state_after(self, fault: Fault) -> GpuState:
        if fault in _STATES:
            return _STATES[fault]
        self._failures += 1
        if self._failures >= FAILURES_MAX:
            return "failed" if fault is Fault.INVALID else "lost"
        return self.state if self.state in ("lost", "failed") else "stale"
