"""A program under NVIDIA's Nsight Compute: every kernel is measured, which takes many times as long as running it.

It starts the program, or from 2026.2.1 on attaches to one that runs already.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from blackbox.cli.commands.ncu_program import ATTACHES_SINCE, find_ncu
from blackbox.cli.common.child import EXIT_SIGNAL_BASE, run_to_end
from blackbox.errors import FailureError

REPORTS = "rep_*.ncu-rep"
SECTIONS = (
    "LaunchStats",
    "Occupancy",
    "SpeedOfLight",
    "MemoryWorkloadAnalysis",
    "MemoryWorkloadAnalysis_Chart",
    "MemoryWorkloadAnalysis_Tables",
)
"""Sections rather than metrics: each knows what its metrics are called on the GPU at hand."""
NO_NCU = "no ncu on PATH: Nsight Compute comes with the CUDA toolkit, or by itself from NVIDIA"


def run(program: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs it to its end, and prints how to read the report. Raises `FailureError` where there is no `ncu`."""
    return _measure([_ncu(), "--target-processes", "all", *_flags(), *program], environ)


def attach(pid: int, environ: Mapping[str, str]) -> int:
    """Measures a program that runs already, until it ends or ncu is told to; prints how to read the report. Raises
    `FailureError` where there is no `ncu` that can.
    """
    found = find_ncu(environ)
    if found is None:
        raise FailureError(NO_NCU)
    if not found.can_attach:
        since = ".".join(map(str, ATTACHES_SINCE))
        which = f"ncu {found.version}" if found.version else "an ncu that does not tell its version"
        raise FailureError(f"{found.path}: {which} attaches to no process; {since} and newer do")
    return _measure([found.path, "--mode", "attach", "--process-id", str(pid), *_flags()], environ)


def _ncu() -> str:
    ncu = shutil.which("ncu")
    if ncu is None:
        raise FailureError(NO_NCU)
    return ncu


def _measure(command: Sequence[str], environ: Mapping[str, str]) -> int:
    before = _reports()
    code = _run_to_end(command, {**environ, "LC_ALL": "C"})
    written = sorted(path for path, changed in _reports().items() if before.get(path) != changed)
    for path in written:
        print(f"blackbox run: see its nsight_metrics with: blackbox import {path}", file=sys.stderr)
    if not written:
        print("blackbox run: ncu wrote no report; if it said nothing, no kernel ran", file=sys.stderr)
    return code


def _flags() -> list[str]:
    """Without `--clock-control none`, ncu locks the clocks of the GPU, which slows whatever else runs on it."""
    sections = [word for section in SECTIONS for word in ("--section", section)]
    return ["--clock-control", "none", *sections, "-o", "rep_%p"]


def _reports() -> dict[Path, int]:
    """The reports in this folder, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in Path().glob(REPORTS)}


def _run_to_end(command: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        code = run_to_end(command, environ).code
    except OSError as error:
        raise FailureError(f"{command[0]}: {error.strerror}") from None
    return code if code >= 0 else EXIT_SIGNAL_BASE - code
