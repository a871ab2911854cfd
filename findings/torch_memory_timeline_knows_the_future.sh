#!/bin/sh
# The memory timeline of PyTorch's profiler begins with what the profiled code is going to touch, not with what is there.
#
# Expected: the first sum of `export_memory_timeline` is what was allocated as the profile began, and its two formats,
# `.json` and `.raw.json.gz`, tell the same. What happens: memory from before the profile is in the timeline where an
# operator in it touches the memory, were it in the last one and one element of it; it is then there with all its bytes
# from the first instant on. What is merely held (a second model, a pool, a cache) is in no instant. So the same program
# has 64 MiB more from the start if it reads one number of an old tensor at its end. The rows of `.json` have nine columns
# without names, the first always 0: the number of a category in `.raw.json.gz` plus 1 is its column; and times are
# microseconds in one, nanoseconds in the other, where older memory has the time -1. With torch 2.13.0, on the CPU.
#
# So: levels of such a timeline are lower bounds, and two profiles are comparable only where they touch the same tensors.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0
evidence <<'PYTHON'
import gzip
import json
import tempfile
import warnings
from pathlib import Path

from evidence import Evidence

import torch
from torch.profiler import ProfilerActivity, profile

warnings.simplefilter("ignore")
MIB = 1 << 20
held = torch.zeros(64 * MIB, dtype=torch.uint8)
layer = torch.nn.Linear(512, 512, bias=False)  # 1 MiB


def timeline(touch: bool) -> tuple[list[int], list[list[int]], list[list[int]]]:
    """(times, sizes by category) of one format, and the entries of the other."""
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True, record_shapes=True, with_stack=True
    ) as seen:
        layer(torch.ones(512, 512)).sum().backward()
        if touch:
            held[:1] + 1
    with tempfile.TemporaryDirectory() as folder:
        rows, entries = Path(folder, "rows.json"), Path(folder, "entries.raw.json.gz")
        seen.export_memory_timeline(str(rows), device="cpu")
        seen.export_memory_timeline(str(entries), device="cpu")
        times, sizes = json.loads(rows.read_text())
        return times, sizes, json.loads(gzip.decompress(entries.read_bytes()))


def mebibytes(row: list[int]) -> float:
    return round(sum(row) / MIB, 1)


evidence = Evidence()
_, untouched, _ = timeline(touch=False)
layer.zero_grad()
times, touched, entries = timeline(touch=True)
evidence.see("held throughout: a tensor of 64 MiB, a layer of 1 MiB; first instant, MiB", mebibytes(untouched[0]), 1.0)
evidence.see("the same where one byte is read at the end: first instant, MiB", mebibytes(touched[0]), 65.0)
evidence.see("columns of a row; the first one's sum", (len(touched[0]), sum(row[0] for row in touched)), (9, 0))
parameters = {category for _, _, size, category in entries if size == MIB and category == 0}
evidence.see("number of the category that has the layer, its column", (parameters, touched[0].index(MIB)), ({0}, 1))
first = min(time for time, *_ in entries if time > 0)
evidence.see("digits of a time, in rows and in entries", (len(str(times[0])), len(str(first))), (16, 19))
evidence.see("what is older has the time", {time for time, action, *_ in entries if action == 1}, {-1})
evidence.close()
PYTHON
