"""Failed allocations as the server has them of agents: their blocks are arrays."""

from typing import Any

from msgspec import structs

from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.event import Event, OutOfMemory
from tests.block_arrays import OneBlock, Report
from tests.moments import GIB, TIMESTAMP, TRAINER, allocator


def listed(rows: int, text: str = "weights") -> ListedBlocks:
    """So many blocks."""
    blocks = tuple(OneBlock(place % 3, 1 + place % 5, 1, place % 4, place % 2, 3, 2, 7) for place in range(rows))
    return ListedBlocks(Report(blocks, labels=((text, "module"), (None, None))).arrays())


def refusal(timestamp: float = TIMESTAMP, uid: int | None = 1000, pid: int = TRAINER, **told: Any) -> Event:
    """A failed allocation of which no more is told than that."""
    bare = OutOfMemory(
        source="pytorch",
        requested_bytes=GIB,
        thread_id=None,
        device_total_bytes=None,
        device_free_bytes=None,
        allocator=None,
        trace=(),
        stacks=(),
    )
    oom = structs.replace(bare, **told)
    return Event(kind="oom", timestamp=timestamp, message="refused", gpu_uuid="GPU-0", pid=pid, uid=uid, oom=oom)


def with_blocks(blocks: ListedBlocks, **about: Any) -> Event:
    """One with blocks, each with its stack."""
    stacks = (("train.py:1 step",), ("train.py:2 loss",))
    numbers = tuple(place % 2 for place in range(len(blocks)))
    return refusal(allocator=structs.replace(allocator(), blocks=blocks), stacks=stacks, block_stacks=numbers, **about)
