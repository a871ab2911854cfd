"""Compute processes, as the kernel's side of ROCm (KFD) lists them: all users', to everyone, by the machine's pids."""

import re
from collections import defaultdict
from pathlib import Path

from blackbox.sources.amd.files import NO_GPU, FileFailure, Files

NODES = "sys/class/kfd/kfd/topology/nodes"
PROCESSES = "sys/class/kfd/kfd/proc"
_PROPERTY = re.compile(r"^(domain|location_id) (\d+)$", re.MULTILINE)
_VRAM = re.compile(r"vram_(\d+)")

Held = dict[int, dict[str, int]]
"""Pid -> PCI address of a GPU -> bytes."""


class Kfd:
    """Knows which of its numbers is which GPU, and looks again when a number is new."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._addresses: dict[str, str] = {}
        """Number of a GPU in KFD -> its PCI address. A GPU cut into partitions has several."""

    def read(self) -> Held | None:
        """What each process holds; None where this kernel has no KFD, or it may not be read."""
        if self._files.barred(PROCESSES, NO_GPU):
            return None
        self._files.announce(PROCESSES, NO_GPU)
        try:
            pids = [entry for entry in (self._root / PROCESSES).iterdir() if entry.name.isdigit()]
        except OSError:
            return None
        return {int(directory.name): held for directory in pids if (held := self._held(directory))}

    def _held(self, directory: Path) -> dict[str, int]:
        held: defaultdict[str, int] = defaultdict(int)
        try:
            names = [entry.name for entry in directory.iterdir()]
        except OSError:  # it ended meanwhile
            return {}
        for name in names:
            match = _VRAM.fullmatch(name)
            address = self._address(match[1]) if match else None
            used = self._files.number(directory / name, NO_GPU) if address else 0
            if address and not isinstance(used, FileFailure):
                held[address] += used
        return {address: used for address, used in held.items() if used}

    def _address(self, number: str) -> str | None:
        if number not in self._addresses:
            self._addresses = self._read_addresses()
        return self._addresses.get(number)

    def _read_addresses(self) -> dict[str, str]:
        addresses: dict[str, str] = {}
        for node in sorted((self._root / NODES).glob("*")):
            number = self._files.text(node / "gpu_id", NO_GPU)
            properties = self._files.text(node / "properties", NO_GPU)
            if isinstance(number, FileFailure) or isinstance(properties, FileFailure) or number == "0":  # 0: a CPU
                continue
            found = {key: int(value) for key, value in _PROPERTY.findall(properties)}
            if "location_id" in found:
                addresses[number] = _address(found.get("domain", 0), found["location_id"])
        return addresses


def _address(domain: int, location: int) -> str:
    """Bus, device and function are the low 16 bits of the location; above them stands the partition."""
    return f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 0x7}"
