"""Which GPU a device of a plugin is: by the UUID that is its name, else by the minor number of its device file.

- NVIDIA's plugin: the UUID of the GPU or MIG instance, whatever strategies it hands devices to containers by (UUIDs or
  indices, environment, volume mounts or CDI): those never show here. A share of it (time slicing, MPS) is `UUID::N`.
- GKE's plugin: `nvidia0`, `nvidia0/gi3` for a MIG instance, `…/vgpu1` for a share of either.
- NVIDIA's driver of Dynamic Resource Allocation: `gpu-0`, by the minor number likewise. Its MIG instances
  (`gpu-0-mig-…`) are named by a placement that no driver library tells of an instance that is there.

What no GPU is found by is told, never guessed.
"""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from blackbox.model.parts import Device
from blackbox.sources.kubelet.answer import GivenDevice

GPU_RESOURCE = re.compile(r"(?:nvidia\.com/(?:gpu|mig-)|amd\.com/(?:gpu|[scdtq]px)|gpu\.(?:nvidia|amd)\.com$)")
"""Whose devices are GPUs, as these plugins and drivers call them unless they are told otherwise."""
UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]{4,96}", re.ASCII)
SHARE = re.compile(r"(.+?)(?:::\d{1,6}|/vgpu\d{1,6})", re.ASCII)
BY_MINOR = re.compile(r"nvidia(\d{1,4})(?:/gi(\d{1,3}))?", re.ASCII)
CLAIMED = re.compile(r"gpu-(\d{1,4})", re.ASCII)
NVIDIA_CLAIMS = "gpu.nvidia.com"
DRIVER = Path("driver/nvidia/gpus")
"""Below /proc: a directory for each GPU."""
GPUS_MAX = 256
INFORMATION_BYTES_MAX = 4096
_MINOR = re.compile(r"^Device Minor:\s*(\d{1,4})\s*$", re.MULTILINE | re.ASCII)
_UUID = re.compile(r"^GPU UUID:\s*(GPU-[0-9a-fA-F-]{8,64})\s*$", re.MULTILINE | re.ASCII)
"""Question marks stand there until the driver has started the GPU."""


class Named(NamedTuple):
    """A GPU or MIG instance."""

    uuid: str
    is_share: bool


class DeviceNames:
    """Names of devices as GPUs of this machine."""

    def __init__(self, devices: Callable[[], Collection[Device]], proc: Path = Path("/proc")) -> None:
        """`devices`: those that the drivers list now."""
        self._devices = devices
        self._proc = proc

    def of(self, given: GivenDevice) -> Named | None:
        """None where no GPU is found by the name."""
        share = SHARE.fullmatch(given.name)
        name = given.name if share is None else share[1]
        uuid = self._uuid(given, name)
        return None if uuid is None else Named(uuid, share is not None)

    def _uuid(self, given: GivenDevice, name: str) -> str | None:
        if given.is_claimed:
            match = CLAIMED.fullmatch(name) if given.resource == NVIDIA_CLAIMS else None
            return None if match is None else self._by_minor(int(match[1]))
        if UUID.fullmatch(name):
            return name
        match = BY_MINOR.fullmatch(name)
        if match is None:
            return None
        uuid = self._by_minor(int(match[1]))
        return uuid if match[2] is None or uuid is None else self._instance(uuid, int(match[2]))

    def _by_minor(self, minor: int) -> str | None:
        """Of /dev/nvidiaN, as the kernel's driver says; the driver library counts the GPUs in another order."""
        try:
            folders = sorted((self._proc / DRIVER).iterdir())[:GPUS_MAX]
        except OSError:
            return None
        for folder in folders:
            try:
                with (folder / "information").open("rb") as file:
                    text = file.read(INFORMATION_BYTES_MAX).decode("utf-8", "replace")
            except OSError:
                continue
            found, uuid = _MINOR.search(text), _UUID.search(text)
            if found is not None and uuid is not None and int(found[1]) == minor:
                return uuid[1]
        return None

    def _instance(self, parent_uuid: str, gpu_instance: int) -> str | None:
        """The MIG instance with this slice of the GPU; None where several share it."""
        found = [
            device.uuid
            for device in self._devices()
            if device.parent_uuid == parent_uuid
            and device.mig is not None
            and device.mig.gpu_instance_id == gpu_instance
        ]
        return found[0] if len(found) == 1 else None


def is_gpu(given: GivenDevice) -> bool:
    """Whether the device is a GPU by what it is called, so that one of no known GPU is told."""
    return GPU_RESOURCE.match(given.resource) is not None
