"""A framework that does not exist, with blocks as PyTorch lists them: the agent's work without PyTorch's."""

from collections.abc import Callable
from typing import Any

from tests.fake_nvml import gpu_uuid

BASE = 0x7F00_0000_0000
SIZE = 512
GPU = gpu_uuid(0)
blocks: list[dict[str, Any]] = []
on_begin: list[Callable[[], None]] = []


def fill(count: int) -> None:
    """So many blocks, every third of them free."""
    blocks[:] = [
        {
            "address": BASE + number * SIZE,
            "size": SIZE,
            "requested_size": SIZE - 12,
            "state": "active_allocated" if number % 3 else "inactive",
        }
        for number in range(count)
    ]


def begin() -> None:
    """What a framework does when it is first used in a process."""
    for hook in on_begin:
        hook()
