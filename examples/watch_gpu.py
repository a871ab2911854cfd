"""Prints who holds a GPU's memory whenever that changes: python examples/watch_gpu.py [GPU [URL]]"""

import sys

import blackbox

MIB = 1024 * 1024

gpu = sys.argv[1] if len(sys.argv) > 1 else "0"
url = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:6767"

before = None
for event in blackbox.Client(url).stream(gpu=gpu, blocks="none"):
    holders = {process.pid: (process.name, process.used_bytes // MIB) for process in event.snapshot.processes}
    if holders == before:
        continue
    before = holders
    print(f"{event.snapshot.timestamp}  {event.snapshot.free_bytes // MIB} MiB free", flush=True)
    for pid, (name, used_mib) in sorted(holders.items()):
        print(f"  {used_mib:>8} MiB  {pid:>7}  {name}", flush=True)
