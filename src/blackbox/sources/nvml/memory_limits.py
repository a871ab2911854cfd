"""Limits that NVIDIA's driver keeps for a cgroup by itself (driver 615 and later, where the kernel has no `dmem`)."""

from ctypes import byref
from pathlib import Path

from blackbox.model.parts import MemoryLimit
from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.device_calls import DeviceCalls

CALL = "nvmlDeviceGetMemoryLimits_v1"


def read_memory_limit(calls: DeviceCalls, directory: Path) -> MemoryLimit | None:
    """What the cgroup at `directory` may hold of the device; None without a limit, or where none is told."""
    limits = nvml.MemoryLimits(nameSpace=str(directory).encode())
    if calls.make(CALL, byref(limits)) is not None or limits.hardLimit == nvml.NVML_DEVICE_MEMORY_LIMIT_MAX:
        return None
    return MemoryLimit(kind="nvml", limit_bytes=limits.hardLimit, used_bytes=limits.currentUsed, cgroup=str(directory))
