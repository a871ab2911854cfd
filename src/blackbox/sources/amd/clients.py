"""Clients of the kernel's graphics drivers, which are open files: what each holds stands in its fdinfo.

Tells of graphics and compute programs alike, in the pids of the caller's namespace, but of other users' only to root.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

NAME = "fdinfo"
"""What reading them is called in breadcrumbs."""
DRM_DEVICES = "/dev/dri/"
KFD_DEVICE = "/dev/kfd"
FDINFO_BYTES_MAX = 16_384
MEMORY_KEYS = ("drm-resident-vram", "drm-memory-vram")
"""The first that is there: what lies in the GPU's memory now. The second is the name in kernels before 6.11."""
SHARED_KEYS = ("drm-resident-gtt", "drm-memory-gtt")
"""Likewise in the machine's memory."""
_UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_LINE = re.compile(r"^(drm-[a-z-]+):\s*(.*?)\s*$", re.MULTILINE)
_SIZE = re.compile(r"(\d+)\s*(KiB|MiB|GiB|)")


class DrmClient(NamedTuple):
    """An open file of a driver; those that share one `client_id` on a GPU share its memory, too."""

    pci: str
    client_id: str
    bytes: int
    shared_bytes: int = 0
    """In the machine's memory."""


class Clients(NamedTuple):
    """What was found."""

    held: dict[int, dict[str, int]]
    """Pid -> PCI address of a GPU -> bytes. What several processes share counts for the one with the smallest pid."""
    compute: frozenset[int]
    """Those that have ROCm's device open."""
    hidden: int
    """Processes whose files this user may not see."""


def read_clients(
    procfs: Path, announce: Callable[[], None] = lambda: None, apus: Collection[str] = frozenset()
) -> Clients:
    """All clients of amdgpu. `announce` is called before each process is looked at. Of the GPUs at the addresses `apus`
    the machine's memory counts, too."""
    held: defaultdict[int, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    compute: set[int] = set()
    seen: set[tuple[str, str]] = set()
    hidden = 0
    for pid in sorted(int(name) for name in os.listdir(procfs) if name.isdigit()):  # noqa: PTH208
        announce()
        try:
            numbers, has_kfd = _device_files(f"{procfs}/{pid}/fd")
        except PermissionError:
            hidden += 1
            continue
        except OSError:  # it ended meanwhile
            continue
        if has_kfd:
            compute.add(pid)
        for number in numbers:
            client = parse_fdinfo(_read(f"{procfs}/{pid}/{NAME}/{number}"))
            if client and (client.pci, client.client_id) not in seen:
                seen.add((client.pci, client.client_id))
                held[pid][client.pci] += client.bytes + (client.shared_bytes if client.pci in apus else 0)
    return Clients({pid: dict(of_gpus) for pid, of_gpus in held.items()}, frozenset(compute), hidden)


def parse_fdinfo(text: str) -> DrmClient | None:
    """The client of an open file; None where it is none of amdgpu's, or tells no memory."""
    fields = dict(_LINE.findall(text))
    if fields.get("drm-driver") != "amdgpu" or not {"drm-pdev", "drm-client-id"} <= fields.keys():
        return None
    size = _size(fields, MEMORY_KEYS)
    if size is None:
        return None
    return DrmClient(fields["drm-pdev"], fields["drm-client-id"], size, _size(fields, SHARED_KEYS) or 0)


def _size(fields: dict[str, str], keys: tuple[str, ...]) -> int | None:
    """The first of the keys that is there; None where it tells no size."""
    match = next((_SIZE.fullmatch(fields[key]) for key in keys if key in fields), None)
    return int(match[1]) * _UNITS[match[2]] if match else None


def _device_files(directory: str) -> tuple[list[str], bool]:
    """Numbers of a process's open files that are graphics devices; whether one is ROCm's."""
    numbers: list[str] = []
    has_kfd = False
    for number in os.listdir(directory):  # noqa: PTH208 - thousands of them, each second
        try:
            target = os.readlink(f"{directory}/{number}")  # noqa: PTH115
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith(DRM_DEVICES):
            numbers.append(number)
        has_kfd = has_kfd or target == KFD_DEVICE
    return numbers, has_kfd


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(FDINFO_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
