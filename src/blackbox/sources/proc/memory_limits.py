"""What the cgroup of a process may hold of a GPU's memory, by the kernel's own controller (`dmem`, Linux 6.14 on)."""

import os
from collections.abc import Callable
from pathlib import Path

from blackbox.model.parts import MemoryLimit, bytes_left

CGROUPS = "fs/cgroup"
CAPACITY, LIMIT = "dmem.capacity", "dmem.max"
"""The first at the machine's root alone: the regions there are, such as `drm/0000:03:00.0/vram0 8514437120`. In a
container the root that is seen is the container's own cgroup, which has the second. Neither where nobody limits."""
DEPTH_MAX = 16
"""Ancestors of a cgroup that are looked at; systemd and Kubernetes nest half as deep."""

Ask = Callable[[str, Path], MemoryLimit | None]
"""(UUID of a device, directory of a cgroup) -> what a driver of its own limits it to."""


class MemoryLimitReader:
    """Reads limits during one reading of the process lists; what many processes share is read once."""

    def __init__(self, sysfs: Path, addresses: dict[str, str], ask: Ask | None = None) -> None:
        """`addresses`: UUID of a device -> its PCI address. `ask` is asked beside the kernel."""
        self._root = sysfs / CGROUPS
        self._addresses = addresses
        self._ask = ask
        self._has_dmem = bool(addresses) and any(map(self._is_there, (CAPACITY, LIMIT)))
        self._known: dict[tuple[str, str], MemoryLimit | None] = {}

    def _is_there(self, name: str) -> bool:
        return os.access(f"{self._root}/{name}", os.F_OK)

    @property
    def may_find(self) -> bool:
        """Whether anybody here limits anybody."""
        return self._has_dmem or self._ask is not None

    def of(self, cgroup: str | None, gpu_uuid: str) -> MemoryLimit | None:
        """Of a cgroup (its path below the root) and those around it, the limit that leaves least; None without any."""
        if cgroup is None or ".." in cgroup or not self.may_find:
            return None
        key = cgroup, gpu_uuid
        if key not in self._known:
            self._known[key] = self._tightest(cgroup, gpu_uuid)
        return self._known[key]

    def _tightest(self, cgroup: str, gpu_uuid: str) -> MemoryLimit | None:
        path = cgroup.strip("/")
        found: list[MemoryLimit] = []
        for _ in range(DEPTH_MAX):
            own = self._ask(gpu_uuid, self._root / path) if self._ask is not None and path else None
            found += filter(None, (self._of_dmem(path, gpu_uuid), own))
            if not path:
                break
            path = path.rpartition("/")[0]
        return min(found, key=bytes_left, default=None)

    def _of_dmem(self, path: str, gpu_uuid: str) -> MemoryLimit | None:
        address = self._addresses.get(gpu_uuid) if self._has_dmem else None
        if address is None:
            return None
        directory = self._root / path
        limits = _regions(directory / LIMIT, address)
        whole = _numbers(_regions(self._root / CAPACITY, address)) if limits else {}
        numbers = {
            region: limit for region, limit in _numbers(limits).items() if region not in whole or limit < whole[region]
        }
        if not numbers:
            return None
        current = _regions(directory / "dmem.current", address)
        used = sum(int(current[region]) for region in numbers if current.get(region, "").isdigit())
        return MemoryLimit(
            kind="dmem",
            limit_bytes=sum(numbers.values()),
            used_bytes=used if current.keys() >= numbers.keys() else None,
            cgroup=f"/{path}",
        )


def _numbers(regions: dict[str, str]) -> dict[str, int]:
    """Without those that are `max`."""
    return {region: int(value) for region, value in regions.items() if value.isdigit()}


def _regions(file: Path, address: str) -> dict[str, str]:
    """Region of the GPU's own memory at this PCI address -> what stands beside it."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.rpartition(" ") for line in lines)
    return {region: value for region, _, value in pairs if address in region and "stolen" not in region}
