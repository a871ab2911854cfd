"""Recorded reports of Nsight Compute, as kernels and as the tables that ncu writes."""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from blackbox.sources.nsight_compute.kernel import Kernel, kernel
from tests.protobuf import message, number

FOLDER = Path(__file__).parent / "recorded" / "ncu"
COLUMNS = (
    "ID",
    "Process ID",
    "Process Name",
    "Host Name",
    "Kernel Name",
    "Context",
    "Stream",
    "Block Size",
    "Grid Size",
)
CHATTER = '==PROF== Connected to process 4711 (/usr/bin/python3)\n==PROF== Profiling "add" - 0: 0%....100% - 9 passes\n'
Figures = dict[str, tuple[float, str]]
"""Metric -> value and unit."""


def recorded(name: str) -> list[Figures]:
    """The figures of each kernel."""
    kernels: list[Figures] = []
    with (FOLDER / f"{name}.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["kernel"]) == len(kernels):
                kernels.append({})
            kernels[-1][row["metric"]] = float(row["value"]), row["unit"]
    return kernels


def as_kernels(figures: Sequence[Figures], pid: int = 0) -> list[Kernel]:
    return [kernel(pid, ((name, value, unit) for name, (value, unit) in one.items())) for one in figures]


def raw_page(figures: Sequence[Figures], pid: int = 4711) -> str:
    """`ncu --csv --page raw --print-units base`: one column per metric, a row of units."""
    names = sorted({name for one in figures for name in one})
    units = [next(one[name][1] for one in figures if name in one) for name in names]
    rows = [[*COLUMNS, *names], [*([""] * len(COLUMNS)), *units]]
    for place, one in enumerate(figures):
        rows.append([*_launch(place, pid, one), *(repr(one[name][0]) if name in one else "" for name in names)])
    return CHATTER + _text(rows)


def details_page(figures: Sequence[Figures], pid: int = 4711) -> str:
    """`ncu --csv --metrics ...`: one row per kernel and metric."""
    rows = [[*COLUMNS, "Section Name", "Metric Name", "Metric Unit", "Metric Value"]]
    for place, one in enumerate(figures):
        for name, (value, unit) in one.items():
            rows.append([*_launch(place, pid, one), "Command line profiler metrics", name, unit, repr(value)])
    return CHATTER + _text(rows)


def _launch(number: int, pid: int, one: Figures) -> list[str]:
    """What ncu tells of every launch; the sizes in the newer of its two ways to write them."""
    block, grid = (int(one[name][0]) for name in ("launch__block_size", "launch__grid_size"))
    name = "void add<float, int>(float*, int)"
    return [str(number), str(pid), "python3", "127.0.0.1", name, "1", "7", f"({block}, 1, 1)", f"({grid}, 1, 1)"]


def _text(rows: Sequence[Sequence[str]]) -> str:
    text = StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


def report_file(*processes: tuple[int, str, str, int], payload: bytes = b"figures") -> bytes:
    """The frame of a `.ncu-rep`: (pid, host, program, kernels) of each block. No reader finds figures in it."""
    found = bytearray(b"NVR\0" + _framed(number(1, 7)))
    for pid, host, program, kernels in processes:
        process = message(6, number(1, pid), message(2, host.encode()), message(3, program.encode()))
        found += _framed(number(1, 0) + number(2, kernels) + number(5, len(payload)) + process) + payload
    return bytes(found)


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content
