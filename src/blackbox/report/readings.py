"""A snapshot boiled down to what a report compares over time: who held how much, and what for."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import NamedTuple

from msgspec import Struct

from blackbox.model.snapshot import Block, BlockGroup, Process, Snapshot

FREE_IN_CACHE = "free in the cache"
OUTSIDE = "outside the allocator"
KV_USED, KV_CACHED, KV_FREE = "KV cache in use", "KV cache, cached prefixes", "KV cache, free pages"
PENDING = "waiting to be freed"
WORDS = {"weight": "weights", "activation": "activations", "gradient": "gradients", "optimizer": "optimizer state"}


class GpuReading(Struct, frozen=True):
    index: int
    name: str
    total_bytes: int
    used_bytes: int
    free_bytes: int
    driver_reserved_bytes: int


class Holder(NamedTuple):
    """A process on a GPU."""

    gpu_uuid: str
    pid: int
    start_time: float | None


class Held(NamedTuple):
    name: str
    user: str | None
    used_bytes: int
    uses: dict[str, int]
    """What for -> bytes, largest first; empty where no allocator tells."""


class Reading(NamedTuple):
    """One instant."""

    time: float
    """Unix seconds."""
    gpus: dict[str, GpuReading]
    """By UUID; only those whose memory was measured."""
    holders: dict[Holder, Held]


def read(snapshot: Snapshot) -> Reading:
    """The instant of a snapshot, whose blocks may be whole or summed up."""
    uuids = {(row.pid, row.gpu_uuid): Holder(row.gpu_uuid, row.pid, row.start_time) for row in snapshot.processes}
    uses = _uses_by_process(snapshot)
    return Reading(
        time=datetime.fromisoformat(snapshot.timestamp).timestamp(),
        gpus={
            gpu.uuid: GpuReading(
                gpu.index, gpu.name, gpu.total_bytes, gpu.used_bytes, gpu.free_bytes, gpu.driver_reserved_bytes
            )
            for gpu in snapshot.gpus
            if "total_bytes" not in gpu.unknown
        },
        holders={
            uuids[row.pid, row.gpu_uuid]: Held(
                row.name, row.user, row.used_bytes, _uses(row, uses.get((row.pid, row.gpu), {}))
            )
            for row in snapshot.processes
        },
    )


def uses_of(blocks: Iterable[Block | BlockGroup]) -> dict[str, int]:
    """Bytes by what they are for, largest first."""
    sums: dict[str, int] = defaultdict(int)
    for block in blocks:
        sums[use_of(block)] += block.size
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def use_of(block: Block | BlockGroup) -> str:
    """What a block is for, in words."""
    return _words(block.type, block.subtype, block.allocated, block.utilized)


@cache
def _words(kind: str, subtype: str | None, allocated: bool, utilized: bool) -> str:
    if kind == "kv_cache":
        if utilized:
            return KV_USED
        return KV_CACHED if allocated else KV_FREE
    if not allocated:
        return FREE_IN_CACHE
    if not utilized:
        return PENDING
    return OUTSIDE if subtype == "opaque" else words(kind, subtype)


def words(kind: str, subtype: str | None) -> str:
    """What live memory is for."""
    name = subtype or kind
    return WORDS.get(name, name.replace("_", " "))


def _uses(row: Process, uses: dict[str, int]) -> dict[str, int]:
    """Empty where no allocator tells."""
    return {} if row.allocated_bytes is None else uses


def _uses_by_process(snapshot: Snapshot) -> dict[tuple[int, int], dict[str, int]]:
    blocks: dict[tuple[int, int], list[Block | BlockGroup]] = defaultdict(list)
    for block in snapshot.blocks or snapshot.blocks_summary or ():
        blocks[block.pid, block.gpu].append(block)
    return {place: uses_of(rows) for place, rows in blocks.items()}
