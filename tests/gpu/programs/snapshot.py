"""Writes what a training step leaves behind as PyTorch's memory snapshot: `snapshot.py FILE`.

Names of folders are left out of the stacks, since they tell of the machine.
"""

import json
import pickle
import sys
from pathlib import Path, PurePath

import torch

STEPS_KEPT = 400


def main():
    torch.cuda.memory._record_memory_history(max_entries=STEPS_KEPT)
    model = torch.nn.Sequential(torch.nn.Linear(1024, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 1024)).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    for size in (512, 768, 512):
        optimizer.zero_grad()
        loss = model(torch.randn(size, 1024, device="cuda")).square().mean()
        loss.backward()
        optimizer.step()
    torch.cuda.synchronize()
    stats = torch.cuda.memory_stats()
    snapshot = torch.cuda.memory._snapshot()
    strip(snapshot)
    Path(sys.argv[1]).write_bytes(pickle.dumps(snapshot, protocol=4))
    kept = ("reserved_bytes", "allocated_bytes", "active_bytes", "inactive_split_bytes", "requested_bytes")
    print(json.dumps({"torch": torch.__version__, **{name: stats[f"{name}.all.current"] for name in kept}}))


def strip(part):
    if isinstance(part, dict):
        if "filename" in part:
            part["filename"] = PurePath(part["filename"]).name
        for value in part.values():
            strip(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            strip(value)


main()
