"""Warns before a GPU's memory runs out: python examples/oom_guard.py [SECONDS [URL]]

Fits a line through the last samples of free memory; where it reaches zero within SECONDS (default 60), it names the
process that grew most meanwhile.
"""

import asyncio
import sys
from collections import deque
from statistics import linear_regression

import blackbox
from blackbox.model.snapshot import Gpu, Snapshot

SAMPLES = 20


def seconds_left(free: list[int], interval_seconds: float) -> float:
    """Until free memory is gone, if it goes on as it did."""
    slope, _ = linear_regression(range(len(free)), free)
    return free[-1] / -slope * interval_seconds if slope < 0 else float("inf")


def used_by_pid(snapshot: Snapshot, gpu: Gpu) -> dict[int, int]:
    return {process.pid: process.used_bytes for process in snapshot.processes if process.gpu == gpu.index}


def warn(snapshots: deque[Snapshot], warn_seconds: float, interval_seconds: float) -> None:
    first, last = snapshots[0], snapshots[-1]
    for gpu in last.gpus:
        free = [other.free_bytes for snapshot in snapshots for other in snapshot.gpus if other.uuid == gpu.uuid]
        left = seconds_left(free, interval_seconds) if len(free) == SAMPLES else float("inf")
        if left < warn_seconds:
            before = used_by_pid(first, gpu)
            grown = {pid: used - before.get(pid, 0) for pid, used in used_by_pid(last, gpu).items()}
            pid = max(grown, key=lambda pid: grown[pid], default=None)
            print(f"GPU {gpu.index} is full in {left:.0f} s; pid {pid} grew most", flush=True)


async def main(warn_seconds: float, url: str) -> None:
    clock = asyncio.get_running_loop().time
    snapshots: deque[Snapshot] = deque(maxlen=SAMPLES)
    arrivals: deque[float] = deque(maxlen=SAMPLES)
    async with blackbox.AsyncClient(url).stream(blocks="none") as stream:
        async for event in stream:
            snapshots.append(event.snapshot)
            arrivals.append(clock())
            if len(snapshots) == SAMPLES:
                warn(snapshots, warn_seconds, (arrivals[-1] - arrivals[0]) / (SAMPLES - 1))


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    asyncio.run(main(seconds, sys.argv[2] if len(sys.argv) > 2 else "http://localhost:6767"))
