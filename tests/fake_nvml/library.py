"""Compiling the fake `libnvidia-ml.so.1`."""

import shutil
import subprocess
from pathlib import Path
from typing import Literal

SOURCES = tuple(Path(__file__).with_name(name) for name in ("fake_nvml.c", "live.c", "machine.c"))
SONAME = "libnvidia-ml.so.1"
OPTIONS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread")
Driver = Literal[580, 535, 470, 450]
"""Generation of the driver, as far as its symbols go: 580 has today's, 535 process rows of 32 bytes, 470 neither `*_v3`
lists nor memory v2, 450 process lists of version 1 only."""


def compiler() -> str | None:
    """A C compiler, if the machine has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(directory: Path, driver: Driver = 580) -> Path:
    """Compiles the library into `directory`, which then serves as `LD_LIBRARY_PATH`. Raises CalledProcessError."""
    library = directory / SONAME
    variant = (f"-DDRIVER={driver}", f"-Wl,-soname,{SONAME}")
    subprocess.run([compiler() or "cc", *OPTIONS, *variant, "-o", library, *SOURCES], check=True, timeout=120)
    return library
