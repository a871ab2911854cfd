"""A snapshot reduced to what a report compares over time: how much each process held, and what for (its uses)."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from msgspec import Struct

from blackbox.model.parts import MigInstance
from blackbox.model.snapshot import Block, BlockGroup, Process, Snapshot
from blackbox.model.text import rfc3339_seconds

FREE_IN_CACHE = "free in the cache"
OUTSIDE = "outside the allocator"
KV_USED, KV_CACHED, KV_FREE = "KV cache in use", "KV cache, cached prefixes", "KV cache, free pages"
PENDING = "waiting to be freed"
USE_NAMES = {
    "weight": "weights",
    "activation": "activations",
    "gradient": "gradients",
    "optimizer": "optimizer state",
    "workspace": "workspaces",
    "communication": "communication buffers",
}


class GpuSummary(Struct, frozen=True):
    index: int
    name: str
    total_bytes: int
    used_bytes: int
    free_bytes: int
    driver_reserved_bytes: int
    mig: MigInstance | None = None


class ProcessOnGpu(NamedTuple):
    """A process on a GPU; the same key in every summary."""

    gpu_uuid: str
    pid: int
    start_time: float | None


class ProcessUsage(NamedTuple):
    name: str
    user: str | None
    used_bytes: int
    uses: dict[str, int]
    """Use of memory -> bytes, largest first; empty where no allocator reports."""


class SnapshotSummary(NamedTuple):
    """The memory of a machine at one instant."""

    time: float
    """Unix seconds."""
    gpus: dict[str, GpuSummary]
    """By UUID; only GPUs whose memory was measured."""
    processes: dict[ProcessOnGpu, ProcessUsage]


def summary_of(snapshot: Snapshot) -> SnapshotSummary:
    """The summary of a snapshot, which may hold its blocks or only their sums."""
    uuids = {(row.pid, row.gpu_uuid): ProcessOnGpu(row.gpu_uuid, row.pid, row.start_time) for row in snapshot.processes}
    uses = _uses_by_process(snapshot)
    return SnapshotSummary(
        time=rfc3339_seconds(snapshot.timestamp),
        gpus={
            gpu.uuid: GpuSummary(
                gpu.index, gpu.name, gpu.total_bytes, gpu.used_bytes, gpu.free_bytes, gpu.driver_reserved_bytes, gpu.mig
            )
            for gpu in snapshot.gpus
            if "total_bytes" not in gpu.unknown
        },
        processes={
            uuids[row.pid, row.gpu_uuid]: ProcessUsage(
                row.name, row.user, row.used_bytes, _uses(row, uses.get((row.pid, row.gpu), {}))
            )
            for row in snapshot.processes
        },
    )


def uses_of(blocks: Iterable[Block | BlockGroup]) -> dict[str, int]:
    """Bytes by use of memory, largest first."""
    sums: dict[str, int] = defaultdict(int)
    for block in blocks:
        sums[use_of(block)] += block.size
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def use_of(block: Block | BlockGroup) -> str:
    """What a block is used for, for people: `weights`, `KV cache in use`, `free in the cache`."""
    return _block_use_name(block.type, block.subtype, block.allocated, block.utilized)


@cache
def _block_use_name(kind: str, subtype: str | None, allocated: bool, utilized: bool) -> str:
    if kind == "kv_cache":
        if utilized:
            return KV_USED
        return KV_CACHED if allocated else KV_FREE
    if not allocated:
        return FREE_IN_CACHE
    if not utilized:
        return PENDING
    return OUTSIDE if subtype == "opaque" else use_name(kind, subtype)


def use_name(kind: str, subtype: str | None) -> str:
    """The name of a use of live memory, for people."""
    name = subtype or kind
    return USE_NAMES.get(name, name.replace("_", " "))


def _uses(row: Process, uses: dict[str, int]) -> dict[str, int]:
    """Empty where no allocator reports."""
    return {} if row.allocated_bytes is None else uses


def _uses_by_process(snapshot: Snapshot) -> dict[tuple[int, int], dict[str, int]]:
    blocks: dict[tuple[int, int], list[Block | BlockGroup]] = defaultdict(list)
    for block in snapshot.blocks or snapshot.blocks_summary or ():
        blocks[block.pid, block.gpu].append(block)
    return {place: uses_of(rows) for place, rows in blocks.items()}
