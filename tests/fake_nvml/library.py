"""Compiling the fake `libnvidia-ml.so.1`, and other libraries of tests."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

SOURCES = tuple(Path(__file__).with_name(name) for name in ("fake_nvml.c", "live.c", "machine.c"))
SONAME = "libnvidia-ml.so.1"
OPTIONS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread")
KEPT = Path(__file__).parents[2] / "build" / "test-libraries"
"""What is compiled already, by all that it depends on: every process of the tests wants the same."""
COMPILE_SECONDS_MAX = 120
Driver = Literal[580, 535, 470, 450]
"""Generation of the driver, as far as its symbols go: 580 has today's, 535 process rows of 32 bytes, 470 neither `*_v3`
lists nor memory v2, 450 process lists of version 1 only."""


def compiler() -> str | None:
    """A C compiler, if the machine has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(directory: Path, driver: Driver = 580) -> Path:
    """The library in `directory`, which then serves as `LD_LIBRARY_PATH`. Raises CalledProcessError."""
    return compiled(directory / SONAME, SOURCES, (*OPTIONS, f"-DDRIVER={driver}"))


def compiled(library: Path, sources: Sequence[Path], options: Sequence[str]) -> Path:
    """Makes a shared library of C sources, or copies what was made of the same. Raises CalledProcessError."""
    command = [compiler() or "cc", *options, f"-Wl,-soname,{library.name}"]
    kept = KEPT / _digest(command, sources)
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
            made = Path(scratch, library.name)
            subprocess.run([*command, "-o", made, *sources], check=True, timeout=COMPILE_SECONDS_MAX)
            made.rename(kept)
    library.unlink(missing_ok=True)  # a process that has it loaded keeps what it has
    shutil.copy(kept, library)
    return library


def _digest(command: Sequence[str], sources: Sequence[Path]) -> str:
    """Of the command, the compiler, and all that lies beside the sources for them to include."""
    digest = hashlib.sha256("\0".join(command).encode())
    program = shutil.which(command[0])
    if program is not None:
        about = Path(program).stat()
        digest.update(f"{about.st_size} {about.st_mtime_ns}".encode())
    for path in sorted({beside for source in sources for beside in (source, *source.parent.glob("*.[hd]*"))}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
