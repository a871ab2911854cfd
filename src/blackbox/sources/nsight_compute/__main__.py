"""The child that reads a report: python -m blackbox.sources.nsight_compute FILE.ncu-rep

Writes the packed kernels to stdout; exit code 1 and one line on stderr where that cannot be done.
"""

import importlib
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from blackbox.sources.nsight_compute.counters import METRICS
from blackbox.sources.nsight_compute.kernel import Kernel, kernel
from blackbox.sources.nsight_compute.report_blocks import CutError, ReportProcess, processes_of

READER_MISSING = (
    "reading it needs NVIDIA's reader, which is not part of Blackbox: 'pip install ncu-report' beside it; or write a"
    " table with 'ncu --import FILE --csv --page raw --print-units base > FILE.csv' and import that"
)
MEMORY_BYTES_BASE = 2 << 30
"""Python and the reader, and their address space."""
MEMORY_PER_FILE_BYTE = 64
"""A genuine report takes about 10 times its size."""
NOBODY = ReportProcess(0, "", "")
"""Of kernels whose process is not told."""


def main() -> int:
    memory_bytes = MEMORY_BYTES_BASE + MEMORY_PER_FILE_BYTE * os.stat(sys.argv[1]).st_size  # noqa: PTH116 - one number
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    output = os.dup(1)
    os.dup2(2, 1)  # the reader is free to chat
    try:
        reader: Any = importlib.import_module("ncu_report")
    except ImportError:
        return _fail(READER_MISSING)
    try:
        report = reader.load_report(sys.argv[1])
        kernels = list(_kernels(report, _processes(report, Path(sys.argv[1]))))
    except CutError as error:
        return _fail(str(error))
    except MemoryError:
        return _fail(f"it would take more than {memory_bytes >> 20} MiB to read")
    except Exception as error:  # whatever a foreign library raises at a broken file
        return _fail(f"NVIDIA's reader cannot read it: {error or type(error).__name__}")
    with os.fdopen(output, "wb") as packed:
        packed.write(msgspec.msgpack.encode(kernels))
    return 0


def _processes(report: Any, path: Path) -> Sequence[ReportProcess | None]:
    """Whose each kernel is, in the reader's order, which is that of the file while there is one range. Raises
    `CutError`.
    """
    counts = [report.range_by_idx(number).num_actions() for number in range(report.num_ranges())]
    found = processes_of(path, sum(counts))
    return found if len(counts) == 1 or len(set(found)) == 1 else [None] * sum(counts)


def _kernels(report: Any, processes: Sequence[ReportProcess | None]) -> Iterator[Kernel]:
    whose = iter(processes)
    for number in range(report.num_ranges()):
        profiled = report.range_by_idx(number)
        for place in range(profiled.num_actions()):
            process = next(whose) or NOBODY
            figures = _figures(profiled.action_by_idx(place))
            yield kernel(process.pid, figures, process.host, process.program or None)


def _figures(action: Any) -> Iterator[tuple[str, float, str]]:
    for name in METRICS.intersection(action.metric_names()):
        metric = action.metric_by_name(name)
        if metric is not None and metric.has_value() and metric.kind() not in _texts(metric):
            yield name, float(metric.as_double()), metric.unit()


def _texts(metric: Any) -> tuple[int, ...]:
    return metric.ValueKind_STRING, metric.ValueKind_ANY, metric.ValueKind_UNKNOWN


def _fail(reason: str) -> int:
    print(f"\n{' '.join(reason.split())}", file=sys.stderr)  # on a line of its own, whatever the reader has said
    return 1


if __name__ == "__main__":
    sys.exit(main())
