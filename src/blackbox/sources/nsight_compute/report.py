"""`.ncu-rep` files, read by NVIDIA's own reader in a process of its own.

The format is NVIDIA's and changes with every release, so nobody else's reader could vouch for its numbers. Theirs
(`ncu_report`) is proprietary: the user installs it, Blackbox only calls it.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from blackbox.errors import FailureError
from blackbox.sources.nsight_compute.kernel import Kernel
from blackbox.sources.nsight_compute.report_blocks import MAGIC

SECONDS_MAX = 300
"""A megabyte takes milliseconds; a report of gigabytes, minutes."""
LINE_CHARS_MAX = 300

_decoder = msgspec.msgpack.Decoder(list[Kernel])


def read(path: Path) -> list[Kernel]:
    """The kernels in the report, with pid 0 where it does not tell whose they are. Raises `FailureError`."""
    _check(path)
    command = [sys.executable, "-P", "-m", "blackbox.sources.nsight_compute", path.absolute()]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise FailureError(f"{path}: not read within {SECONDS_MAX} s") from None
    if done.returncode < 0:
        raise FailureError(f"{path}: NVIDIA's reader crashed on it (signal {-done.returncode})")
    if done.returncode > 0:
        raise FailureError(f"{path}: {_last_line(done.stderr)}")
    return _decoder.decode(done.stdout)


def _check(path: Path) -> None:
    """The reader takes any file for an empty report."""
    try:
        with path.open("rb") as file:
            is_report = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror}") from None
    if not is_report:
        raise FailureError(f"{path}: not a report of Nsight Compute")


def _last_line(text: bytes) -> str:
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:LINE_CHARS_MAX] if lines else "reading it failed"
