"""Memory put to sleep: unmapped from the GPU, yet still counted by PyTorch as held (vLLM's sleep mode)."""

from __future__ import annotations

import sys
from typing import Any

from blackbox.wire.segments import DeviceMemory, read_segments

ALLOCATOR_MODULE = "vllm.device_allocator.cumem"


class SleepingSegments:
    """The segments that were asleep when they were last listed."""

    def __init__(self) -> None:
        self._addresses: frozenset[int] = frozenset()
        self._memory: dict[int, DeviceMemory] = {}
        """What lay in them, by device."""

    @property
    def changed(self) -> bool:
        """Whether other segments are asleep now, so that all must be listed again."""
        return _asleep() != self._addresses

    def of(self, device: int) -> DeviceMemory | None:
        """What PyTorch counts on a device although it is unmapped; None where nothing is."""
        return self._memory.get(device)

    def split_off(self, segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The segments that are awake; the others are remembered."""
        self._addresses = addresses = _asleep()
        if not addresses:
            self._memory = {}
            return segments
        self._memory = read_segments(segment for segment in segments if segment["address"] in addresses)
        return [segment for segment in segments if segment["address"] not in addresses]


def _asleep() -> frozenset[int]:
    allocator = getattr(getattr(sys.modules.get(ALLOCATOR_MODULE), "CuMemAllocator", None), "instance", None)
    pieces = getattr(allocator, "pointer_to_data", None)
    if not pieces:
        return frozenset()
    return frozenset(address for address, piece in list(pieces.items()) if getattr(piece, "is_asleep", False))
