"""Which of NVIDIA's GPUs sleep (runtime D3), as the kernel tells in /sys.

Looking wakes none; every call of the driver's library does, opening it included.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

DRIVER = "bus/pci/drivers/nvidia"
"""Holds a link for every PCI device that the driver has taken."""
INFORMATION = "driver/nvidia/gpus/{}/information"
"""In /proc: name and UUID of a GPU, the latter once it was awake."""
ASLEEP = "the GPU sleeps (runtime D3), and asking would wake it"
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Sleep(NamedTuple):
    """PCI addresses, such as `0000:01:00.0`."""

    sleeping: frozenset[str]
    awake: frozenset[str]

    @property
    def of_all(self) -> bool:
        """Whether there is nobody to ask. False where /sys shows no GPU, as in some containers."""
        return bool(self.sleeping) and not self.awake


class Identity(NamedTuple):
    """What the kernel module tells of a GPU without waking it."""

    name: str
    uuid: str | None


def read_sleep(sysfs: Path) -> Sleep:
    """Who sleeps now."""
    addresses = frozenset(_addresses(sysfs))
    sleeping = frozenset(one for one in addresses if _text(sysfs, one, "runtime_status") == "suspended")
    return Sleep(sleeping, addresses - sleeping)


def may_sleep(sysfs: Path) -> list[str]:
    """Addresses of the GPUs that the kernel puts to sleep once nobody asks them."""
    return [address for address in _addresses(sysfs) if _text(sysfs, address, "control") == "auto"]


def read_identity(procfs: Path, address: str) -> Identity:
    """Name and UUID of a GPU; an empty name where the kernel module tells nothing."""
    try:
        lines = (procfs / INFORMATION.format(address)).read_text(errors="replace").splitlines()
    except OSError:
        return Identity("", None)
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    uuid = fields.get("GPU UUID", "")
    return Identity(fields.get("Model", ""), uuid if _UUID.fullmatch(uuid) else None)


def _addresses(sysfs: Path) -> list[str]:
    try:
        return sorted(filter(_ADDRESS.fullmatch, os.listdir(f"{sysfs}/{DRIVER}")))  # noqa: PTH208 - once a second
    except OSError:
        return []


def _text(sysfs: Path, address: str, name: str) -> str:
    try:
        return (sysfs / DRIVER / address / "power" / name).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
