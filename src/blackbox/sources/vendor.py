"""Whose GPUs a machine has, by the kernel modules that are loaded."""

from pathlib import Path

from blackbox.settings import Vendor

MODULES = Path("/sys/module")


def vendor_of(wanted: Vendor | None, modules: Path = MODULES) -> Vendor:
    """What was asked for; else AMD where its driver is loaded and NVIDIA's is not. A processor's small graphics unit
    beside cards of NVIDIA does not count, and a machine without any driver is told what NVIDIA's would need."""
    if wanted is not None:
        return wanted
    return "amd" if (modules / "amdgpu").exists() and not (modules / "nvidia").exists() else "nvidia"
