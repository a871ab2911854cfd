"""Runs a few kernels whose work is known, and ends: made to run under Nsight Compute."""

import json

import torch

COPIED_BYTES = 512 << 20
ATOMICS = 1 << 20
WIDTH = 2048


def main():
    source = torch.empty(COPIED_BYTES // 4, device="cuda")
    target = torch.empty_like(source)
    index = torch.zeros(ATOMICS, dtype=torch.int64, device="cuda")
    ones = torch.ones(ATOMICS, device="cuda")
    matrix = torch.ones(WIDTH, WIDTH, device="cuda")
    torch.add(source, 1, out=target)
    torch.zeros(16, device="cuda").index_add_(0, index, ones)
    torch.mm(matrix, matrix)
    torch.cuda.synchronize()
    print(json.dumps({"copied_bytes": COPIED_BYTES, "atomics": ATOMICS}), flush=True)


main()
