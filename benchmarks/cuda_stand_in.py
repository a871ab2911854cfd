"""A PyTorch for CPUs that says what one on a GPU would: its allocator lists so many blocks, and all tensors lie there.

What the agent does in a training program is then what it does on a GPU, but for the driver's part of it.
"""

from typing import Any

import torch

BLOCKS = 15_000
BLOCKS_OF_SEGMENT = 150
BLOCK_BYTES = 4096
BASE = 0x7F00_0000_0000
RESERVED_BYTES = BLOCKS * BLOCK_BYTES


def _segments(**_: object) -> list[dict[str, Any]]:
    """New objects at each call, as PyTorch makes them. Every other block is free."""
    return [_segment(first) for first in range(0, BLOCKS, BLOCKS_OF_SEGMENT)]


def _segment(first: int) -> dict[str, Any]:
    address, size = BASE + first * BLOCK_BYTES, BLOCKS_OF_SEGMENT * BLOCK_BYTES
    blocks = [
        {
            "address": address + number * BLOCK_BYTES,
            "size": BLOCK_BYTES,
            "requested_size": BLOCK_BYTES - 96,
            "state": "inactive" if number % 2 else "active_allocated",
            "frames": [],
        }
        for number in range(BLOCKS_OF_SEGMENT)
    ]
    return {
        "device": 0,
        "address": address,
        "total_size": size,
        "allocated_size": size // 2,
        "active_size": size // 2,
        "requested_size": size // 2,
        "stream": 0,
        "segment_type": "large",
        "segment_pool_id": (0, 0),
        "is_expandable": False,
        "frames": [],
        "blocks": blocks,
    }


def _stats(_: object = None) -> dict[str, Any]:
    sizes = {"allocated": 2, "active": 2, "requested": 2, "inactive_split": 2, "reserved": 1}
    return {f"{name}_bytes": {"all": {"current": RESERVED_BYTES // part}} for name, part in sizes.items()}


def stand_in(gpu_uuid: str) -> None:
    """From now on."""
    cuda: Any = torch.cuda
    cuda.is_initialized = lambda: True
    cuda.device_count = lambda: 1
    cuda.memory_snapshot = _segments
    cuda.memory_stats_as_nested_dict = _stats
    cuda.memory.get_allocator_backend = lambda: "native"
    cuda.get_device_properties = lambda _: type("Properties", (), {"uuid": gpu_uuid.removeprefix("GPU-")})
    tensor: Any = torch.Tensor
    tensor.is_cuda = True
