#!/bin/sh
# Three totals of PyTorch's `_memory_viz` on one snapshot are not what their names say.
#
# Expected: `stats` tells what `memory_allocated()` told, and as free what can be given out; "TOTAL MEM" below `trace` is
# memory. What happens: `total_allocated` is the sizes as they were asked for, not as they were allocated; blocks that were
# freed and wait for a stream, which PyTorch counts as active and gives to nobody, are "free", "external"; and "TOTAL MEM"
# is the number of the last step, printed as bytes - plus its size, where that step allocates: 6 MiB instead of 9.
# With torch 2.13.0. The file runs on its own, without PyTorch, which is not loaded here.
#
# So: figures to compare with come from the segments' `allocated_size` and `active_size`, not from this tool.

. "$(dirname "$0")/evidence.sh"

PIP_NO_DEPS=1
export PIP_NO_DEPS
install torch==2.13.0
evidence <<'PYTHON'
import re
import runpy
import sysconfig

from evidence import Evidence

viz = runpy.run_path(sysconfig.get_path("purelib") + "/torch/cuda/_memory_viz.py")
MIB = 1 << 20
START = 0x7F0000000000


def block(at: int, size: int, requested: int, state: str) -> dict[str, object]:
    return {"address": START + at * MIB, "size": size * MIB, "requested_size": requested * MIB, "state": state, "frames": []}


def step(action: str, at: int, size: int) -> dict[str, object]:
    return {"action": action, "addr": START + at * MIB, "size": size * MIB, "stream": 0, "time_us": 1, "frames": []}


segment = {
    "device": 0,
    "address": START,
    "total_size": 20 * MIB,
    "allocated_size": 4 * MIB,
    "active_size": 10 * MIB,
    "requested_size": 9 * MIB,
    "stream": 0,
    "segment_type": "large",
    "segment_pool_id": (0, 0),
    "is_expandable": False,
    "frames": [],
    "blocks": [block(0, 4, 3, "active_allocated"), block(4, 6, 6, "active_pending_free"), block(10, 10, 0, "inactive")],
}
steps = [step("segment_alloc", 0, 20), step("alloc", 0, 3), step("alloc", 4, 6), step("free_requested", 4, 6)]
snapshot = {"segments": [segment], "device_traces": [steps]}


def total(text: str, name: str) -> str:
    return re.search(rf"^{name}: (\S+)", text, re.M)[1]


stats = viz["segsum"](snapshot)

evidence = Evidence()
evidence.see("allocated, by the segment", f"{segment['allocated_size'] / MIB}MiB", "4.0MiB")
evidence.see("total_allocated, by stats", total(stats, "total_allocated"), "3.0MiB")
evidence.see("neither allocated nor waiting, by the blocks", f"{segment['blocks'][2]['size'] / MIB}MiB", "10.0MiB")
evidence.see("total_free, by stats", total(stats, "total_free"), "17.0MiB")
for count in (2, 3, 4):
    held = viz["trace"]({"segments": [segment], "device_traces": [steps[:count]]})
    found = {2: "3.0MiB", 3: "6.0MiB", 4: "3.0B"}[count]
    evidence.see(f"TOTAL MEM, by trace, of {count} steps", total(held, "TOTAL MEM"), found)
evidence.close()
PYTHON
