"""Reports of Nsight Compute: their kernels as the `nsight_metrics` object of `GET /vram`."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from blackbox.errors import FailureError
from blackbox.merge.kernels import kernel_entry
from blackbox.sources.isolation.reader import require_file, within_limits
from blackbox.sources.nsight_compute import report, table
from blackbox.sources.nsight_compute.counters import counters
from blackbox.sources.nsight_compute.kernel import Kernel

MEMORY_BYTES_MAX = 4 << 30
"""Address space, to read a table: one of 100 MB takes a tenth of it."""
CPU_SECONDS_MAX = 300
"""Ten times what such a table takes."""
REPORT_SUFFIX = ".ncu-rep"
_NAMED = re.compile(r"rep_([0-9]+)\.ncu-rep")
"""As 'blackbox run --ncu' names them; for kernels whose process the report does not tell."""


def read(path: Path) -> bytes:
    """The JSON of the kernels in the file, by process. Raises `FailureError`."""
    require_file(path)
    kernels, source = _contents(path)
    if not kernels:
        raise FailureError(f"{path}: no kernel in it; did the program launch any?")
    return msgspec.json.encode({str(one.pid): kernel_entry(one) for one in counters(kernels, source)})


def _contents(path: Path) -> tuple[Sequence[Kernel], str]:
    """The kernels, and what kind of file told of them."""
    if not path.name.lower().endswith(REPORT_SUFFIX):
        with within_limits(path, MEMORY_BYTES_MAX, CPU_SECONDS_MAX):
            kernels, rounded = table.read(path)
        return kernels, "ncu_csv_rounded" if rounded else "ncu_csv"
    named = _NAMED.fullmatch(path.name)
    pid = int(named[1]) if named else 0
    kernels = [kernel if kernel.pid else structs.replace(kernel, pid=pid) for kernel in report.read(path)]
    _refuse_equal_pids(path, kernels)
    return kernels, "ncu_report"


def _refuse_equal_pids(path: Path, kernels: Sequence[Kernel]) -> None:
    """Of processes on several hosts: they cannot be told apart by what the answer calls them."""
    hosts: dict[int, str] = {}
    for kernel in kernels:
        other = hosts.setdefault(kernel.pid, kernel.host)
        if other != kernel.host:
            raise FailureError(f"{path}: process {kernel.pid} is one on {other} and another on {kernel.host}")
