"""Adds one to device memory for ever, from one place to another, and tells how fast.

`copying.py`; each line sent asks for the rate since the last.
"""

import json
import select
import sys
import time

import torch

BYTES = 2 << 30
BATCH = 20


def main():
    source = torch.rand(BYTES // 4, device="cuda")
    target = torch.empty_like(source)
    copied, began = 0, time.perf_counter()
    print(json.dumps({"bytes": BYTES}), flush=True)
    while True:
        for _ in range(BATCH):
            torch.add(source, 1, out=target)  # a plain copy is no kernel
        torch.cuda.synchronize()
        copied += 2 * BATCH * BYTES  # read and written
        if select.select([sys.stdin], [], [], 0)[0]:
            if not sys.stdin.readline():
                return
            now = time.perf_counter()
            print(json.dumps({"bytes_per_second": copied / (now - began)}), flush=True)
            copied, began = 0, now


main()
