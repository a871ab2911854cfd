"""Has a snapshot file read by a child process, within limits."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.errors import FailureError
from blackbox.sources.memory_snapshot.contents import Contents
from blackbox.sources.memory_snapshot.parts import END, TRACES

FILE_BYTES_MAX = 1 << 30
"""Long histories with deep stacks take hundreds of megabytes."""
MEMORY_BYTES_BASE = 512 << 20
"""Python itself, and its address space."""
MEMORY_PER_FILE_BYTE = 24
"""A genuine history takes 8 to 12 times its size in the file."""
CPU_SECONDS_BASE = 20
FILE_BYTES_PER_CPU_SECOND = 10 << 20
"""A fifth of what one core of an old machine reads."""
PATIENCE = 5
"""The wall clock may run this much faster than the CPU's before the child is given up."""

_decoder = msgspec.msgpack.Decoder(Contents)


def read(path: Path, with_traces: bool = False, rules: CategoryRules = NO_RULES) -> Contents:
    """What is in the file; what its traces tell only where that is asked for, as it takes time.

    Raises `FailureError`; nothing in the file is executed, whatever it holds.
    """
    size = _size(path)
    cpu_seconds = CPU_SECONDS_BASE + size // FILE_BYTES_PER_CPU_SECOND
    memory_bytes = MEMORY_BYTES_BASE + size * MEMORY_PER_FILE_BYTE
    command = [sys.executable, "-P", "-m", "blackbox.sources.memory_snapshot", path.absolute()]
    try:
        done = subprocess.run(
            [*command, str(memory_bytes), str(cpu_seconds), TRACES if with_traces else END],
            input=msgspec.msgpack.encode(rules) if rules.names else b"",
            capture_output=True,
            check=False,
            timeout=cpu_seconds * PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise FailureError(f"{path}: not read within {cpu_seconds * PATIENCE} s") from None
    if done.returncode < 0:
        raise FailureError(f"{path}: {_ending(-done.returncode)}")
    if done.returncode > 0:
        raise FailureError(f"{path}: {_last_line(done.stderr)}")
    return _decoder.decode(done.stdout)


def _size(path: Path) -> int:
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror}") from None
    if not path.is_file():
        raise FailureError(f"{path}: not a file")
    if size > FILE_BYTES_MAX:
        raise FailureError(f"{path}: {size >> 20} MiB are more than the {FILE_BYTES_MAX >> 20} MiB that are read")
    return size


def _ending(number: int) -> str:
    if number in (signal.SIGXCPU, signal.SIGKILL):
        return "not a memory snapshot of PyTorch: reading it took too long or too much memory"
    return f"not a memory snapshot of PyTorch: reading it ended with {signal.Signals(number).name}"


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "reading it failed")
