"""The GPUs behind the fake, and the state that PyTorch keeps in C++."""

import os
import time

from blackbox.sources.simulated.allocator import ACTIVATION, Block, CachingAllocator, OutOfMemoryError
from tests import torch_format

DEVICES = 2
VERSION: torch_format.Version = tuple(map(int, os.environ.get("FAKE_TORCH_VERSION", "2.13").split(".")[:2]))
BACKEND = os.environ.get("FAKE_TORCH_BACKEND", "native")
DEVICE_BYTES = int(os.environ.get("FAKE_TORCH_DEVICE_BYTES", 1 << 30))


class Gpu:
    """One device with its allocator."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.uuid = f"{number:08x}-1111-2222-3333-444444444444"
        self.free = DEVICE_BYTES
        self.allocator = CachingAllocator(self)
        self.trace: list[dict[str, object]] = []
        self.frames: dict[int, list[dict[str, object]]] = {}
        """Of the blocks allocated while a history was recorded."""

    def claim(self, size: int) -> bool:
        if size > self.free:
            return False
        self.free -= size
        return True

    def release(self, size: int) -> None:
        self.free += size

    def record(self, action: str, size: int, **more: object) -> None:
        if history:
            entry = {"action": action, "size": size, "stream": 0, "time_us": int(time.time() * 1e6), **more}
            self.trace = [*self.trace, entry | {"frames": [frame]}][-history["max_entries"] :]
            if action == "alloc":
                self.frames[more["addr"]] = [frame]


frame = {"filename": "train.py", "line": 7, "name": "step"}
gpus = [Gpu(number) for number in range(DEVICES)]
observers: list[object] = []
tracing = False
allocated: list[object] = []
freed: list[object] = []
history: dict[str, int] = {}


def allocate(device: int, size: int) -> Block:
    """A block; raises the simulator's `OutOfMemoryError` after the observers have been told."""
    gpu = gpus[device]
    try:
        block = gpu.allocator.allocate(size, ACTIVATION, thread_id=0)
    except OutOfMemoryError:
        gpu.record("oom", size, device_free=gpu.free)
        for observer in observers:
            observer(device, size, DEVICE_BYTES, gpu.free)
        raise
    gpu.record("alloc", block.size, addr=block.address)
    for callback in allocated if tracing else ():
        callback(block.address)
    return block


def free(device: int, block: Block) -> None:
    """Gives a block back to the cache."""
    for callback in freed if tracing else ():
        callback(block.address)
    gpus[device].record("free_completed", block.size, addr=block.address)
    gpus[device].allocator.free(block)
