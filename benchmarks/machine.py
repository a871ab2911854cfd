"""The machine and the versions behind a result."""

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

import psutil

from benchmarks import nginx
from benchmarks.harness import PeerMissingError

PACKAGES = ("msgspec", "uvloop", "httptools", "aiohttp", "uvicorn", "granian", "nvitop", "gpustat", "zstandard")


def describe() -> dict[str, str]:
    """What a reader needs to judge the numbers."""
    found = {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": platform.release().partition("-")[0],
        "Python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    with contextlib.suppress(PeerMissingError):
        found["nginx"] = nginx.version()
    return found


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
