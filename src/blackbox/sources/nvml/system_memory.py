"""GPUs that have no memory of their own: the machine's counts in its place."""

import re
from pathlib import Path

from blackbox.model.parts import SYSTEM_MEMORY, Memory
from blackbox.sources.nvidia.errors import Failure, Fault
from blackbox.sources.nvidia.topology import DeviceHandle
from blackbox.sources.nvml.memory import MemoryReading

CHIPS = re.compile(r"\b(GB10|Thor|Orin|Xavier|Tegra|N1X?)\b|nvgpu", re.IGNORECASE)
"""NVIDIA's chips whose processor and GPU share one memory, by their names."""
SYSTEM_SHARE = 1 / 8
"""How far a chip's memory may be from the machine's and still be that: what firmware and kernel keep."""
MEMINFO = "meminfo"
_FIELD = re.compile(r"^(MemTotal|MemAvailable):\s+(\d+) kB$", re.MULTILINE)
_UNKNOWN = {"driver_reserved_bytes": "the GPU uses the machine's memory, of which nobody tells what its driver keeps"}


def shares_memory(device_handle: DeviceHandle) -> bool:
    """Whether a GPU that tells no memory uses the machine's: by its name, or since it uses the processor's page tables.
    Any other has a memory that the driver keeps to itself."""
    is_whole = device_handle.mig is None
    return is_whole and bool(CHIPS.search(device_handle.name) or device_handle.addressing_mode == "ats")


def is_system_memory(device_handle: DeviceHandle, memory: Memory, system: Memory) -> bool:
    """Whether what a driver tells of such a chip's memory are the machine's figures, less what firmware keeps. Its used
    bytes count what the kernel would give back at once (caches)."""
    is_chip = device_handle.mig is None and bool(CHIPS.search(device_handle.name))
    return is_chip and abs(memory.total_bytes - system.total_bytes) <= SYSTEM_SHARE * system.total_bytes


def read_system_memory(procfs: Path) -> MemoryReading | Failure:
    """The machine's memory: what is available without swapping counts as free."""
    try:
        text = (procfs / MEMINFO).read_text()
    except (OSError, UnicodeDecodeError) as error:
        return Failure(Fault.TRANSIENT, f"{MEMINFO}: {error}")
    figures = {key: int(kibibytes) * 1024 for key, kibibytes in _FIELD.findall(text)}
    total, free = figures.get("MemTotal", 0), figures.get("MemAvailable", -1)
    if not 0 <= free <= total or not total:
        return Failure(Fault.INVALID, f"{MEMINFO} tells no memory that can be")
    memory = Memory(
        total_bytes=total, used_bytes=total - free, free_bytes=free, driver_reserved_bytes=0, source=SYSTEM_MEMORY
    )
    return MemoryReading(memory, _UNKNOWN)
