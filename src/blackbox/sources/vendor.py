"""Whose GPUs a machine has, by the kernel modules that are loaded."""

from pathlib import Path
from typing import Literal, get_args

from blackbox.errors import UsageError
from blackbox.sources.base import SourceOption

MODULES = Path("/sys/module")

Vendor = Literal["nvidia", "amd"]


def parse_vendor(text: str) -> Vendor:
    """A vendor by name. Raises `UsageError`."""
    for known in get_args(Vendor):
        if text.lower() == known:
            return known
    raise UsageError(f"{text!r} is not a vendor of GPUs ({', '.join(get_args(Vendor))})")


VENDOR: SourceOption[Vendor | None] = SourceOption(
    "vendor", "text", None, "whose GPUs: nvidia or amd (default: by the driver loaded)", "NAME", parse_vendor
)


def vendor_of(wanted: Vendor | None, modules: Path = MODULES) -> Vendor:
    """What was asked for; else AMD where its driver is loaded and NVIDIA's is not. A processor's small graphics unit
    beside cards of NVIDIA does not count, and a machine without any driver is told what NVIDIA's would need."""
    if wanted is not None:
        return wanted
    return "amd" if (modules / "amdgpu").exists() and not (modules / "nvidia").exists() else "nvidia"
