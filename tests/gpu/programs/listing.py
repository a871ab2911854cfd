"""Times PyTorch's list of blocks, and an allocation with and without callbacks: `listing.py BLOCKS`."""

import json
import statistics
import sys
import threading
import time

import torch
from torch.cuda import _gpu_trace

ROUNDS = 7
ALLOCATIONS = 20_000
HISTORY = 20_000


def median_seconds(call, rounds=ROUNDS):
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def allocate():
    for _ in range(ALLOCATIONS):
        torch.empty(1000, device="cuda")


def listed():
    return torch.cuda.memory_snapshot(include_traces=False)


def main():
    kept = [torch.empty(200, device="cuda") for _ in range(int(sys.argv[1]))]
    told = {
        "blocks": sum(len(segment["blocks"]) for segment in listed()),
        "list_seconds": median_seconds(listed),
        "counters_seconds": median_seconds(lambda: torch.cuda.memory_stats_as_nested_dict(0)),
        "allocation_seconds": median_seconds(allocate, 3) / ALLOCATIONS,
    }
    torch.cuda.memory._record_memory_history(max_entries=HISTORY)
    allocate()
    told |= {"history": HISTORY, "history_seconds": median_seconds(listed)}
    torch.cuda.memory._record_memory_history(enabled=None)
    torch._C._activate_gpu_trace()
    owners = {}
    _gpu_trace.register_callback_for_memory_allocation(lambda at: owners.__setitem__(at, threading.get_native_id()))
    _gpu_trace.register_callback_for_memory_deallocation(lambda at: owners.pop(at, None))
    told["traced_seconds"] = median_seconds(allocate, 3) / ALLOCATIONS
    del kept
    print(json.dumps(told))


main()
