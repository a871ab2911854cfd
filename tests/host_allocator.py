"""A model of PyTorch's allocator of pinned host memory, and of what it records from 2.14 on.

A block is a segment of its own, and as large as the next power of two; freed ones are kept for requests of that size.
"""

from typing import Any

from tests.caching_allocator import Frames


class HostAllocator:
    """All pinned memory of a program."""

    def __init__(self, start: int = 0x10_0000_0000) -> None:
        self.blocks: dict[int, tuple[int, bool]] = {}
        """Address -> size, and whether it is in use."""
        self.frames: dict[int, Frames] = {}
        self.entries: list[dict[str, Any]] = []
        self.allocated: list[int] = [0]
        """Before the first entry, and after each."""
        self._next, self._time = start, 1_790_000_000_000_000

    def alloc(self, requested: int, frames: Frames | None = None) -> int:
        size = 1 << max(0, requested - 1).bit_length()
        free = (address for address, (held, used) in self.blocks.items() if held == size and not used)
        address = next(free, None)
        if address is None:
            address, self._next = self._next, self._next + size
            self._write("segment_alloc", address, size, frames)
        self.blocks[address] = size, True
        self.frames[address] = frames or []
        self._write("alloc", address, size, frames)
        return address

    def free(self, address: int) -> None:
        size, used = self.blocks[address]
        assert used
        self.blocks[address] = size, False
        self._write("free_requested", address, size)
        self._write("free_completed", address, size)

    def empty_cache(self) -> None:
        for address, (size, used) in list(self.blocks.items()):
            if not used:
                del self.blocks[address]
                self._write("segment_free", address, size)

    def keys(self) -> dict[str, Any]:
        """What a snapshot holds of it."""
        return {"host_segments": [self._segment(address) for address in self.blocks], "host_traces": self.entries}

    def _write(self, action: str, address: int, size: int, frames: Frames | None = None) -> None:
        self._time += 3
        entry = {"action": action, "addr": address, "size": size, "stream": 0, "time_us": self._time}
        self.entries.append(entry | {"user_metadata": "", "frames": frames or []})
        self.allocated.append(sum(size for size, used in self.blocks.values() if used))

    def _segment(self, address: int) -> dict[str, Any]:
        size, used = self.blocks[address]
        state = "active_allocated" if used else "inactive"
        block = {"address": address, "size": size, "requested_size": size, "state": state}
        return {
            "address": address,
            "total_size": size,
            "allocated_size": size if used else 0,
            "active_size": size if used else 0,
            "requested_size": size if used else 0,
            "stream": 0,
            "segment_type": "large",
            "segment_pool_id": (0, 0),
            "is_expandable": False,
            "frames": [],
            "blocks": [block | {"frames": self.frames[address] if used else []}],
        }
