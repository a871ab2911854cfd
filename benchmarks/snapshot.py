"""`blackbox import` and `blackbox report` on large snapshot files of PyTorch, beside `pickle.load` and others."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import BrokenRunError, median
from benchmarks.plan import Benchmark, Plan, Row
from blackbox.sources.memory_snapshot.compiled.building import VARIABLE

MEGABYTES, MEGABYTES_LONG = (60,), (60, 600)
CPU_RATIO_MAX, MEMORY_RATIO_MAX, PEER_RATIO_MAX = 1.0, 0.5, 0.1
KIB_PER_MIB = 1024
MEMORY_VIZ = "BENCH_MEMORY_VIZ"
"""Path of a `torch/cuda/_memory_viz.py`, which runs without the rest of PyTorch."""
MOSAIC = "mosaic_get_memory_usage_peak"
"""The command of Meta's Mosaic (github.com/facebookresearch/mosaic), where it is on the path."""
LOAD = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"


class Side(NamedTuple):
    name: str
    command: Sequence[str]


class Spent(NamedTuple):
    cpu_seconds: float
    peak_mib: float


def run(plan: Plan) -> list[Row]:
    """CPU and peak memory of each side."""
    with tempfile.TemporaryDirectory() as folder:
        return [row for size in (MEGABYTES_LONG if plan.long else MEGABYTES) for row in _rows(size, Path(folder), plan)]


def _rows(megabytes: int, folder: Path, plan: Plan) -> list[Row]:
    path = folder / f"snapshot-{megabytes}.pickle"
    written = (sys.executable, "-m", "benchmarks.snapshot_file", str(path), str(megabytes))
    steps = int(subprocess.run(written, check=True, stdout=subprocess.PIPE).stdout)  # elsewhere: what a process that
    # starts another holds counts in the peak of that one
    load = Side("pickle.load", (sys.executable, "-c", LOAD, str(path)))
    ours, peers = _ours(path, folder), _peers(path, folder)
    spent: dict[str, list[Spent]] = {}
    for _ in range(plan.rounds):
        for side in (load, *ours, *peers):
            spent.setdefault(side.name, []).append(_spent(side))
    path.unlink()
    cpu = {name: median([one.cpu_seconds for one in rounds]) for name, rounds in spent.items()}
    peak = {name: median([one.peak_mib for one in rounds]) for name, rounds in spent.items()}
    what, note = f"{megabytes} MB", f"{steps:,} steps; all processes of the command"
    return [
        _row(f"{side.name}, {what}: {figure}", unit, of, (side.name, peer.name), most, more)
        for side in ours
        for peer in (load, *peers)
        for figure, unit, of, most, more in (
            ("CPU", "s", cpu, CPU_RATIO_MAX if peer is load else PEER_RATIO_MAX, note),
            ("memory", "MiB RSS", peak, MEMORY_RATIO_MAX if peer is load else None, "peak"),
        )
    ]


def _row(figure: str, unit: str, of: dict[str, float], sides: tuple[str, str], most: float | None, note: str) -> Row:
    ours, peer = sides
    ratio = of[ours] / of[peer]
    return Row(
        figure=figure,
        unit=unit,
        ours=of[ours],
        peer=peer,
        theirs=of[peer],
        target="" if most is None else f"≤ {most:g} ×",
        met=None if most is None else ratio <= most,
        note=note,
    )


def _ours(path: Path, folder: Path) -> list[Side]:
    command = (sys.executable, "-m", "blackbox")
    report = Side("report", (*command, "report", str(path), "-o", str(folder / "report.html")))
    return [
        Side("import", (*command, "import", str(path))),
        report,
        Side("report in Python alone", ("env", f"{VARIABLE}=0", *report.command)),
    ]


def _peers(path: Path, folder: Path) -> list[Side]:
    """Those that are to be had here."""
    found: list[Side] = []
    mosaic, viz = shutil.which(MOSAIC), os.environ.get(MEMORY_VIZ)
    if mosaic is not None:
        found.append(Side("Mosaic's peak by stack", (mosaic, "--snapshot", str(path))))
    if viz is not None:
        plot = ("trace_plot", str(path), "-o", str(folder / "trace.html"))
        found.append(Side("_memory_viz.py trace_plot", (sys.executable, viz, *plot)))
    return found


def _spent(side: Side) -> Spent:
    """What one run takes, its children counted. Raises `BrokenRunError`."""
    with tempfile.TemporaryFile() as said:
        started = subprocess.Popen(side.command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        if started.returncode != 0:
            said.seek(0)
            raise BrokenRunError(f"{side.name}: {said.read()[-500:].decode(errors='replace')}")
    return Spent(used.ru_utime + used.ru_stime, used.ru_maxrss / KIB_PER_MIB)


BENCHMARK = Benchmark(
    "snapshot",
    "Snapshot files of PyTorch, written by a model of its allocator with stacks as deep as in genuine files: CPU of "
    "the commands, and the peak of the largest of their processes, beside pickle.load of the same file and, where they "
    f"are to be had (`{MOSAIC}` on the path, `{MEMORY_VIZ}` naming `torch/cuda/_memory_viz.py`), Mosaic and PyTorch's "
    "own plot. The entries are read, and gone through, by the compiled part (docs/decisions/0011-compiled-entries.md). "
    "A report of a snapshot of some kilobytes takes as long as starting Python and loading the modules does: it is "
    "what `blackbox report` takes of any file at least, and about two fifths of what it takes of 60 MB. All sides are "
    "taken in turns, so that what else the machine does is in each of them.",
    run,
)
