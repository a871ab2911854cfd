"""A root directory with what amdgpu and KFD show of a machine: a stand-in for the kernel, written by hand.

Laid out by the kernel's documentation (`gpu/amdgpu/driver-misc`, `gpu/drm-usage-stats`) and its sources of KFD.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from blackbox.sources.amd.files import DropBreadcrumb
from blackbox.sources.amd.source import AmdSource
from blackbox.sources.proc.processes import HOST_PID_NAMESPACE

ROOT_VARIABLE = "FAKE_AMD_ROOT"
GIB = 1024**3
PCI_CLASS = "sys/bus/pci/drivers/amdgpu"
KFD = "sys/class/kfd/kfd"


@dataclass
class FakeGpu:
    pci: str
    unique_id: str | None
    total_bytes: int = 192 * GIB
    used_bytes: int = 1 * GIB
    kfd_numbers: tuple[int, ...] = ()
    """Of each of its partitions; one where it has none."""
    product_name: str | None = "AMD Instinct MI300X OAM"
    files: dict[str, str] = field(default_factory=dict)
    """Further ones, by path below its directory."""


class FakeAmd:
    """Writes the tree; every method may be called again while a source reads it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._nodes = 0
        self.write("sys/module/amdgpu/version", "6.12.12")
        self.write("proc/stat", "btime 1700000000")
        (root / PCI_CLASS).mkdir(parents=True)
        (root / PCI_CLASS / "bind").touch()
        self.set_namespace(HOST_PID_NAMESPACE)
        self.add_node(0, "0000:00:00.0")  # the processor

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text + "\n")
        return target

    def set_namespace(self, name: str) -> None:
        link = self.root / "proc/self/ns/pid"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(name)

    def add_gpu(self, gpu: FakeGpu) -> Path:
        """Its directory."""
        directory = f"{PCI_CLASS}/{gpu.pci}"
        texts = {
            "mem_info_vram_total": str(gpu.total_bytes),
            "mem_info_vram_used": str(gpu.used_bytes),
            "gpu_busy_percent": "37",
            "power/runtime_status": "active",
            "device": "0x74a1",
            "revision": "0x00",
            "hwmon/hwmon3/temp1_label": "edge",
            "hwmon/hwmon3/temp1_input": "41000",
            "hwmon/hwmon3/temp2_label": "junction",
            "hwmon/hwmon3/temp2_input": "55000",
            "hwmon/hwmon3/power1_average": "305000000",
        }
        if gpu.unique_id is not None:
            texts["unique_id"] = gpu.unique_id
        if gpu.product_name is not None:
            texts["product_name"] = gpu.product_name
        for name, text in (texts | gpu.files).items():
            self.write(f"{directory}/{name}", text)
        for partition, number in enumerate(gpu.kfd_numbers):
            self.add_node(number, gpu.pci, partition)
        return self.root / directory

    def add_node(self, number: int, pci: str, partition: int = 0) -> None:
        domain, bus, rest = pci.split(":")
        device, function = rest.split(".")
        location = int(bus, 16) << 8 | int(device, 16) << 3 | int(function) | partition << 28
        node = f"{KFD}/topology/nodes/{self._nodes}"
        self._nodes += 1
        self.write(f"{node}/gpu_id", str(number))
        self.write(
            f"{node}/properties", f"cpu_cores_count 0\nsimd_count 304\nlocation_id {location}\ndomain {int(domain, 16)}"
        )

    def add_process(self, pid: int, name: str = "python") -> None:
        """As /proc shows one that sleeps."""
        behind = " ".join(["0"] * 18)
        self.write(f"proc/{pid}/task/{pid}/stat", f"{pid} ({name}) S {behind} 4200 0")
        self.write(f"proc/{pid}/status", "Uid:\t1000\t1000\t1000\t1000")
        self.write(f"proc/{pid}/cgroup", "0::/")
        (self.root / f"proc/{pid}/fd").mkdir(parents=True, exist_ok=True)

    def hold_by_kfd(self, pid: int, **of_numbers: int) -> None:
        """Bytes on the GPUs of these numbers, as `gpu_51=4096`."""
        for key, used in of_numbers.items():
            self.write(f"{KFD}/proc/{pid}/vram_{key.removeprefix('gpu_')}", str(used))

    def open_file(self, pid: int, number: int, device: str, fdinfo: str = "") -> None:
        link = self.root / f"proc/{pid}/fd/{number}"
        link.unlink(missing_ok=True)
        link.symlink_to(device)
        self.write(f"proc/{pid}/fdinfo/{number}", f"pos:\t0\nflags:\t02100002\n{fdinfo}")

    def open_client(
        self, pid: int, number: int, pci: str, client: int, vram: str, key: str = "drm-resident-vram"
    ) -> None:
        """A graphics device, open in a process, holding `vram` (such as `2068 KiB`)."""
        lines = (
            "drm-driver:\tamdgpu", f"drm-client-id:\t{client}", f"drm-pdev:\t{pci}", "pasid:\t32784",
            f"{key}:\t{vram}", "drm-engine-gfx:\t107322799 ns",
        )  # fmt: skip
        self.open_file(pid, number, "/dev/dri/renderD128", "\n".join(lines))


def make(breadcrumb: DropBreadcrumb) -> AmdSource:
    """A source of the tree that the environment names, for a process of its own."""
    return AmdSource(breadcrumb=breadcrumb, root=Path(os.environ[ROOT_VARIABLE]))
