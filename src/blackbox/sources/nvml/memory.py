"""A device's memory: version 2 of the call, which tells the driver's own share apart, else version 1."""

from ctypes import byref, sizeof
from typing import NamedTuple

from blackbox.model.parts import Memory
from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.device_calls import DeviceCalls
from blackbox.sources.nvidia.errors import UNKNOWN, Failure, Fault

CALL_V2 = "nvmlDeviceGetMemoryInfo_v2"
CALL_V1 = "nvmlDeviceGetMemoryInfo"
RESERVED_SLACK_BYTES = 2 * 1024 * 1024
"""How far `reserved` may be from total - used - free before version 2 is not believed: one large page."""
TOTAL_BYTES_MAX = 2**50
"""No device has a pebibyte; sentinels such as 2^64 - 1 lie above."""

_RESERVED_UNKNOWN = "the driver counts its own share into used_bytes (memory v1)"
_NO_MEMORY = "the driver answers a memory of 0 bytes: the GPU has none of its own, or does not tell"
_RESERVED_DISAGREES = "the driver's memory v2 figures do not add up; v1 counts its own share into used_bytes"


class MemoryReading(NamedTuple):
    memory: Memory
    unknown: dict[str, str]


class Figures(NamedTuple):
    """What the driver said, in bytes."""

    total: int
    used: int
    free: int


class MemoryReader:
    """Reads one device."""

    def __init__(self, calls: DeviceCalls) -> None:
        self._calls = calls
        self._v2 = nvml.MemoryV2()
        self._v1 = nvml.MemoryV1()
        self._v2_reference = byref(self._v2)
        self._v1_reference = byref(self._v1)
        self._v2_proven = False
        self._v2_given_up = False
        self._has_told = False
        assert sizeof(self._v2) == nvml.nvmlMemory_v2 & 0xFFFFFF

    def read(self) -> MemoryReading | Failure:
        """The memory now, or why there is no figure."""
        reading = self._read()
        if isinstance(reading, MemoryReading):
            self._has_told = True
        elif reading.fault is Fault.PERMANENT and self._has_told:  # a GPU that did tell has not ceased to have memory
            return reading._replace(fault=Fault.INVALID)
        return reading

    def _read(self) -> MemoryReading | Failure:
        if self._v2_given_up:
            return self._read_v1(_RESERVED_UNKNOWN)
        self._v2.version = nvml.nvmlMemory_v2
        failure = self._calls.make(CALL_V2, self._v2_reference)
        if failure is not None:
            return self._without_v2(failure)
        if not self._v2.total:
            return self._without_v2(Failure(Fault.PERMANENT, _NO_MEMORY))
        self._v2_proven = True
        figures = Figures(self._v2.total, self._v2.used, self._v2.free)
        remainder = figures.total - figures.used - figures.free
        if remainder < 0 or abs(remainder - self._v2.reserved) > RESERVED_SLACK_BYTES:
            return self._read_v1(_RESERVED_DISAGREES)
        return _checked(figures, "nvml_v2", {})

    def _without_v2(self, failure: Failure) -> MemoryReading | Failure:
        # WSL has the symbol and answers UNKNOWN; on a device that did answer before, UNKNOWN is a passing fault
        if failure.fault is not Fault.PERMANENT and (failure.code != UNKNOWN or self._v2_proven):
            return failure
        reading = self._read_v1(_RESERVED_UNKNOWN)
        self._v2_given_up = isinstance(reading, MemoryReading)
        return reading

    def _read_v1(self, reason: str) -> MemoryReading | Failure:
        failure = self._calls.make(CALL_V1, self._v1_reference)
        if failure is not None:
            return failure
        return _checked(
            Figures(self._v1.total, self._v1.used, self._v1.free), "nvml_v1", {"driver_reserved_bytes": reason}
        )


def _checked(figures: Figures, source: str, unknown: dict[str, str]) -> MemoryReading | Failure:
    """The figures as memory, unless they cannot be."""
    total, used, free = figures
    if not total:
        return Failure(Fault.PERMANENT, _NO_MEMORY)
    reserved = total - used - free
    if not 0 < total <= TOTAL_BYTES_MAX or reserved < 0:
        reason = f"the driver answered impossible memory: total {total}, used {used}, free {free} ({source})"
        return Failure(Fault.INVALID, reason)
    memory = Memory(total_bytes=total, used_bytes=used, free_bytes=free, driver_reserved_bytes=reserved, source=source)
    return MemoryReading(memory, unknown)
