"""A framework that does not exist: an allocator of invented memory, for programs under test to import."""

import threading
import time

GPU = "GPU-0"
BASE = 0x7F00_0000_0000
owners: dict[int, tuple[int, int]] = {}
"""Address -> (size, thread that allocated it), in order of address."""
on_start: list = []
"""Called when a program begins to use it, which may be in a child after a fork."""
on_out_of_memory: list = []
limit = 1 << 40


def start() -> None:
    for hook in on_start:
        hook()


def alloc(size: int) -> int:
    held = sum(size for size, _ in owners.values())
    if held + size > limit:
        for hook in on_out_of_memory:
            hook(size)
        raise MemoryError(f"out of invented memory: {size}")
    address = max((address + size for address, (size, _) in owners.items()), default=BASE)
    owners[address] = size, threading.get_native_id()
    start()
    return address


def live(seconds: float) -> None:
    """Lives on for a while, in small steps, as programs do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
