"""Clients of the kernel's graphics drivers, which are open files: what each holds stands in its fdinfo.

Tells of graphics and compute programs alike, in the pids of the caller's namespace, but of other users' only to root.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

NAME = "fdinfo"
"""What reading them is called in breadcrumbs."""
DRM_DEVICES = "/dev/dri/"
KFD_DEVICE = "/dev/kfd"
FDINFO_BYTES_MAX = 16_384
MEMORY_KEYS = ("drm-resident-vram", "drm-memory-vram")
"""The first that is there: what lies in the GPU's memory now. The second is the name in kernels before 6.11."""
_UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_LINE = re.compile(r"^(drm-[a-z-]+):\s*(.*?)\s*$", re.MULTILINE)
_SIZE = re.compile(r"(\d+)\s*(KiB|MiB|GiB|)")


class DrmClient(NamedTuple):
    """An open file of a driver; those that share one `client_id` on a GPU share its memory, too."""

    pci: str
    client_id: str
    bytes: int


class Clients(NamedTuple):
    """What was found."""

    held: dict[int, dict[str, int]]
    """Pid -> PCI address of a GPU -> bytes. What several processes share counts for the one with the smallest pid."""
    compute: frozenset[int]
    """Those that have ROCm's device open."""
    hidden: int
    """Processes whose files this user may not see."""


def read_clients(procfs: Path, announce: Callable[[], None] = lambda: None) -> Clients:
    """All clients of amdgpu. `announce` is called before each process is looked at."""
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
                held[pid][client.pci] += client.bytes
    return Clients({pid: dict(of_gpus) for pid, of_gpus in held.items()}, frozenset(compute), hidden)


def parse_fdinfo(text: str) -> DrmClient | None:
    """The client of an open file; None where it is none of amdgpu's, or tells no memory."""
    fields = dict(_LINE.findall(text))
    if fields.get("drm-driver") != "amdgpu" or not {"drm-pdev", "drm-client-id"} <= fields.keys():
        return None
    sizes = (_SIZE.fullmatch(fields[key]) for key in MEMORY_KEYS if key in fields)
    size = next(sizes, None)
    return DrmClient(fields["drm-pdev"], fields["drm-client-id"], int(size[1]) * _UNITS[size[2]]) if size else None


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
