"""Which GPUs there are, and what they are called."""

import re
from pathlib import Path

from msgspec import Struct

from blackbox.sources.amd.files import NO_GPU, FileFailure, Files

DRIVER = "bus/pci/drivers/amdgpu"
"""Holds a link for every PCI device that the driver has taken."""
MARKETING_NAMES = ("usr/share/libdrm/amdgpu.ids", "opt/amdgpu/share/libdrm/amdgpu.ids")
"""Device id, revision and name, as libdrm brings them; where several are there, the first counts."""
APU_METRICS_VERSION = 2
CARVE_OUT_BYTES_MAX = 1 << 30
"""Cards with so little memory are older than ROCm; firmware carves 64 MiB to 1 GiB off by default."""
CARVE_OUT_SHARE = 4
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_UNIQUE_ID = re.compile(r"(?!0+$)[0-9a-f]{1,16}")


class Card(Struct, frozen=True):
    """A GPU."""

    index: int
    """In the order of PCI addresses, as AMD's tools count."""
    pci: str
    """Address, such as `0000:03:00.0`."""
    uuid: str
    """`GPU-` and its unique id, as ROCm spells it; `PCI-` and its address where it has none."""
    name: str
    directory: Path
    is_apu: bool = False
    """A processor with graphics: its programs use the carve-out (VRAM) and the machine's memory (GTT) alike."""


class CardFinder:
    """Lists the GPUs; their names, which cannot change, are looked up once."""

    def __init__(self, files: Files, root: Path) -> None:
        """`root` has /sys and /usr in it."""
        self._files = files
        self._root = root
        self._names: dict[str, str] = {}
        self._apus: dict[str, bool] = {}

    def find(self) -> tuple[Card, ...] | FileFailure:
        """All GPUs of the driver; none where it is not loaded or has none."""
        if failure := self._files.barred(DRIVER, NO_GPU):
            return failure
        self._files.announce(DRIVER, NO_GPU)
        directory = self._root / "sys" / DRIVER
        try:
            addresses = sorted(entry.name for entry in directory.iterdir() if _ADDRESS.fullmatch(entry.name))
        except OSError:
            return ()
        return tuple(self._card(index, directory / address) for index, address in enumerate(addresses))

    def _card(self, index: int, directory: Path) -> Card:
        unique_id = self._files.text(directory / "unique_id", index)
        has_one = isinstance(unique_id, str) and _UNIQUE_ID.fullmatch(unique_id)
        uuid = f"GPU-{unique_id:0>16}" if has_one else f"PCI-{directory.name}"
        if uuid not in self._names:
            self._names[uuid] = self._name(index, directory)
        told = self._apus.get(uuid)
        if told is None and (told := _told_by_table(self._files, index, directory)) is not None:
            self._apus[uuid] = told
        apu = _seems_apu(self._files, index, directory, told)
        return Card(index, directory.name, uuid, self._names[uuid], directory, apu)

    def _name(self, index: int, directory: Path) -> str:
        """What the board says of itself, else its name in the market, else its number."""
        product = self._files.text(directory / "product_name", index)
        if isinstance(product, str) and product:
            return product
        device, revision = (_hexadecimal(self._files.text(directory / key, index)) for key in ("device", "revision"))
        return _marketing_name(self._root, device, revision) or f"AMD GPU {device}"


def _told_by_table(files: Files, index: int, directory: Path) -> bool | None:
    """Whether a GPU is part of a processor, by the kernel's table of metrics: version 2 or 3 there, and 1 on a card.
    None where it has no table, or sleeps, since reading that would wake it."""
    if files.text(directory / "power/runtime_status", index) == "suspended":
        return None
    head = files.head(directory / "gpu_metrics", index, 4)
    if isinstance(head, FileFailure) or len(head) < 4 or not head[2]:
        return None
    return head[2] >= APU_METRICS_VERSION


def _seems_apu(files: Files, index: int, directory: Path, told: bool | None) -> bool:
    """By the table, but for accelerators that are part of a processor (MI300A): their table is a card's, and they have
    no VRAM at all. Without a table a carve-out tells that is small beside what the GPU may use of the machine's memory.
    """
    vram = files.number(directory / "mem_info_vram_total", index)
    gtt = files.number(directory / "mem_info_gtt_total", index)
    if isinstance(vram, FileFailure) or isinstance(gtt, FileFailure):
        return bool(told)
    if told is None:
        return vram <= CARVE_OUT_BYTES_MAX and gtt >= CARVE_OUT_SHARE * max(vram, 1)
    return told or (vram == 0 and gtt > 0)


def _marketing_name(root: Path, device: str, revision: str) -> str | None:
    for path in MARKETING_NAMES:
        try:
            lines = (root / path).read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            fields = [field.strip() for field in line.split(",", 2)]
            if len(fields) == 3 and fields[0].lower() == device and fields[1].lower() == revision:
                return fields[2]
    return None


def _hexadecimal(text: str | FileFailure) -> str:
    """`0x74a1` as `74a1`."""
    return text.lower().removeprefix("0x") if isinstance(text, str) else "of unknown type"
