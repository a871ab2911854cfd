"""`training_program.py GPU_UUID`, run by an interpreter that has PyTorch. Small layers: a step is mostly Python, as it
is on a GPU. Sent `on` or `off` and a number, it trains so many steps with the probe switched so, and tells how long
each took.
"""

import json
import sys
import time

import torch

from benchmarks import cuda_stand_in
from benchmarks.training_probe import SwitchedProbe

WIDTH, DEPTH, BATCH = 128, 24, 32


def main() -> None:
    torch.set_num_threads(1)
    model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH)))
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    batch = torch.randn(BATCH, WIDTH)
    cuda_stand_in.stand_in(sys.argv[1])

    def step() -> float:
        began = time.perf_counter()
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
        return time.perf_counter() - began

    print(json.dumps({"blocks": cuda_stand_in.BLOCKS}), flush=True)
    for line in sys.stdin:
        switch, steps = line.split()
        SwitchedProbe.is_on = switch == "on"
        print(json.dumps({"seconds": [step() for _ in range(int(steps))]}), flush=True)


main()
