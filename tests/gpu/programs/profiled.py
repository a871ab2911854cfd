"""Adds numbers for ever; `profiled.py SECONDS` does so for a while, then under PyTorch's profiler, which it reports."""

import json
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile

NAME = "elementwise"


def main():
    numbers = torch.ones(1 << 24, device="cuda")
    until = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < until:
        numbers.add_(1)
        torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(10):
            numbers.add_(1)
        torch.cuda.synchronize()
    kernels = [event for event in profiled.events() if NAME in event.name]
    print(json.dumps({"kernels": len(kernels)}), flush=True)
    while True:
        numbers.add_(1)
        torch.cuda.synchronize()


main()
