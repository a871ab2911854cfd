#!/bin/sh
# PyTorch's `_memory_viz` leaves out of a comparison, and of a filtered plot, memory that lives.
#
# Expected: `compare` of two snapshots shows what grew between them; `trace_plot(..., filter_freed=True)` leaves out what
# was freed, and leaves the snapshot alone. What happens: `compare` knows segments by address and size, so that whatever
# grew in one that was there before is not shown: 10 MiB more, and the answer is empty. From the command line it fails at
# every file that `_dump_snapshot` writes, since it takes lists of segments. The filter drops each allocation whose free
# was asked for, also one that waits for its stream and is still taken, and deletes the steps in the caller's own
# snapshot: one saved after the plot has lost them. With torch 2.13.0. The file runs on its own, without PyTorch.
#
# So: compare blocks, by address, and plot a copy.

. "$(dirname "$0")/evidence.sh"

PIP_NO_DEPS=1
export PIP_NO_DEPS
install torch==2.13.0
evidence <<'PYTHON'
import contextlib
import copy
import io
import pickle
import runpy
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from evidence import Evidence

SCRIPT = sysconfig.get_path("purelib") + "/torch/cuda/_memory_viz.py"
viz = runpy.run_path(SCRIPT)
MIB = 1 << 20
START = 0x7F0000000000


def block(at: int, size: int, state: str) -> dict[str, object]:
    return {"address": START + at * MIB, "size": size * MIB, "requested_size": size * MIB, "state": state, "frames": []}


def step(action: str, at: int, size: int) -> dict[str, object]:
    return {"action": action, "addr": START + at * MIB, "size": size * MIB, "stream": 0, "time_us": 1, "frames": []}


def snapshot(last: str) -> dict[str, object]:
    """A segment of 20 MiB: 4 allocated, 6 that wait for a stream, 10 as `last` says."""
    blocks = [block(0, 4, "active_allocated"), block(4, 6, "active_pending_free"), block(10, 10, last)]
    segment = {"device": 0, "address": START, "total_size": 20 * MIB, "stream": 0, "is_expandable": False, "blocks": blocks}
    steps = [step("segment_alloc", 0, 20), step("alloc", 0, 4), step("alloc", 4, 6), step("free_requested", 4, 6)]
    return {"segments": [segment], "device_traces": [steps]}


def compared(before: list[object], after: list[object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()):
        return viz["compare"](before, after, format_flamegraph=str)


before, after = snapshot("inactive"), snapshot("active_allocated")
elsewhere = copy.deepcopy(after)
elsewhere["segments"][0]["address"] += 64 * MIB
evidence = Evidence()
evidence.see("10 MiB more in a segment that was there", compared(before["segments"], after["segments"]), "")
evidence.see("lines, in another segment", len(compared(before["segments"], elsewhere["segments"]).splitlines()), 6)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "snapshot.pickle")
    path.write_bytes(pickle.dumps(before))
    command = [sys.executable, SCRIPT, "compare", str(path), str(path), "-o", f"{folder}/out.svg"]
    done = subprocess.run(command, capture_output=True, text=True)
evidence.see("the command", (done.returncode, done.stderr.splitlines()[-1].partition(":")[0]), (1, "TypeError"))
evidence.see("steps before a filtered plot", len(before["device_traces"][0]), 4)
viz["trace_plot"](before, filter_freed=True)
left = [one["action"] for one in before["device_traces"][0]]
evidence.see("steps in the caller's snapshot after it", left, ["segment_alloc", "alloc"])
evidence.see("the 6 MiB still stand among its blocks", before["segments"][0]["blocks"][1]["state"], "active_pending_free")
evidence.close()
PYTHON
