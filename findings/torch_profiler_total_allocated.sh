#!/bin/sh
# "Total Allocated" in a trace of PyTorch's profiler is no level: what was freed between two profiles stays in it.
#
# Expected: `Total Allocated` of a `[memory]` event on the CPU is what is allocated then. What happens: the counter takes
# notice while a profile with `profile_memory=True` runs, and never starts anew. Memory from before is not in it; memory
# that was allocated in one profile and freed after it stays in the total of every later one; and where the allocator
# gives the same address out again, the old bytes stay as well. A program that profiles every hundredth step sees a leak
# that is none. `Total Reserved` is 0 throughout. With torch 2.13.0, any build.
#
# So: of such events only the differences inside one profile mean something; levels come from elsewhere.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0
evidence <<'PYTHON'
import json
import tempfile
from pathlib import Path

from evidence import Evidence


import torch
from torch.profiler import ProfilerActivity, profile

MIB = 1 << 20
kept = {}


def keep(mebibytes: int) -> None:
    kept["tensor"] = torch.empty(mebibytes * MIB, dtype=torch.uint8)


def profiled(mebibytes: int) -> tuple[int, int, int]:
    """(bytes, total allocated, total reserved) in MiB of the one allocation."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        keep(mebibytes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        seen.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    (arguments,) = [event["args"] for event in events if event["name"] == "[memory]"]
    return tuple(arguments[name] // MIB for name in ("Bytes", "Total Allocated", "Total Reserved"))


evidence = Evidence()
older = torch.empty(64 * MIB, dtype=torch.uint8)
evidence.see("first profile, 64 MiB older: 100 MiB allocated, total, reserved", profiled(100), (100, 100, 0))
kept.clear()
evidence.see("freed; second profile: 1 MiB allocated, total, reserved", profiled(1), (1, 101, 0))
kept.clear()
evidence.see("freed; third profile", profiled(2), (2, 103, 0))
evidence.close()
PYTHON
