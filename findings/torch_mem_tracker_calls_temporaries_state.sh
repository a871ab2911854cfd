#!/bin/sh
# PyTorch's own memory tracker books what an optimizer's step takes for a moment as the optimizer's state.
#
# Expected: in a snapshot of the peak "Optstate" is what the optimizer keeps, two tensors for each parameter with AdamW,
# and what lives for a moment is "Temp". What happens: whatever is made inside a step is state. With AdamW and `foreach`
# the peak has half as much again of it, without still three times the largest parameter; "Temp" is 0. The batch
# that goes in is in no line and not in the total, as is all that was there before. With torch 2.13.0, any build.
#
# So: the state is read in the snapshot after the step, and the peak's total is that of what the tracker saw made.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0
evidence <<'PYTHON'
from evidence import Evidence


import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

MIB = 1 << 20


def tracked(foreach: bool) -> dict[str, dict[str, int]]:
    """MiB by kind, at the peak and after the last of two steps: 16 MiB of parameters, a batch of 1."""
    with FakeTensorMode():
        model = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024, bias=False) for _ in range(4)))
        batch = torch.zeros(256, 1024)
        optimizer = torch.optim.AdamW(model.parameters(), foreach=foreach)
        tracker = MemTracker()
        tracker.track_external(model, optimizer)
        with tracker:
            for _ in range(2):
                model(batch).sum().backward()
                optimizer.step()
                optimizer.zero_grad()
                tracker.reset_mod_stats()
        told = {moment: tracker.get_tracker_snapshot(moment)[torch.device("cpu")] for moment in ("peak", "current")}
    return {moment: mebibytes(one) for moment, one in told.items()}


def mebibytes(sizes: dict[object, int]) -> dict[str, int]:
    return {str(getattr(kind, "value", kind)): size // MIB for kind, size in sizes.items()}


evidence = Evidence()
for foreach, at_peak in ((True, 48), (False, 44)):
    seen = tracked(foreach)
    evidence.see(f"MiB of state after the step, foreach={foreach}", seen["current"]["Optstate"], 32)
    evidence.see("at the peak", seen["peak"]["Optstate"], at_peak)
    evidence.see("temporary there, in total", (seen["peak"]["Temp"], seen["peak"]["Total"]), (0, 32 + at_peak))
evidence.close()
PYTHON
