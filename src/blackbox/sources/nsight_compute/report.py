"""`.ncu-rep` files, read by NVIDIA's own reader in a process of its own.

The format is NVIDIA's and changes with every release, so nobody else's reader could vouch for its numbers. Theirs
(`ncu_report`) is proprietary: the user installs it, Blackbox only calls it.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from blackbox.errors import FailureError
from blackbox.sources.isolation.outputs import Outputs, TooMuchWrittenError, outputs_of
from blackbox.sources.isolation.reader import last_line
from blackbox.sources.nsight_compute.kernel import Kernel
from blackbox.sources.nsight_compute.report_blocks import MAGIC

SECONDS_MAX = 300
"""A megabyte takes milliseconds; a report of gigabytes, minutes."""
OUTPUT_BYTES_MAX = 256 << 20
"""Of packed kernels: those with every figure that is read take a kilobyte each, so a quarter of a million."""

_decoder = msgspec.msgpack.Decoder(list[Kernel])


def read(path: Path) -> list[Kernel]:
    """The kernels in the report, with pid 0 where it does not tell whose they are. Raises `FailureError`."""
    _check(path)
    command = [sys.executable, "-P", "-m", "blackbox.sources.nsight_compute", path.absolute()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as child:
        outputs = _outputs(child, path)
    if child.returncode < 0:
        raise FailureError(f"{path}: NVIDIA's reader crashed on it (signal {-child.returncode})")
    if child.returncode > 0:
        raise FailureError(f"{path}: {last_line(outputs.said)}")
    try:
        return _decoder.decode(outputs.written)
    except msgspec.MsgspecError:
        raise FailureError(f"{path}: NVIDIA's reader made nonsense of it") from None


def _outputs(child: "subprocess.Popen[bytes]", path: Path) -> Outputs:
    try:
        return outputs_of(child, OUTPUT_BYTES_MAX, SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise FailureError(f"{path}: not read within {SECONDS_MAX} s") from None
    except TooMuchWrittenError:
        raise FailureError(f"{path}: its kernels take more than {OUTPUT_BYTES_MAX >> 20} MiB") from None


def _check(path: Path) -> None:
    """The reader takes any file for an empty report."""
    try:
        with path.open("rb") as file:
            is_report = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror}") from None
    if not is_report:
        raise FailureError(f"{path}: not a report of Nsight Compute")
