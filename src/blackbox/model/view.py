"""Ways to ask for a snapshot, and what each leaves out."""

from collections.abc import Collection
from itertools import groupby
from typing import Literal, NamedTuple

from msgspec import structs

from blackbox.model.snapshot import Block, BlockGroup, Snapshot

BlockDetail = Literal["full", "summary", "none"]
ShapeDetail = Literal["full", "summary", "none", "columns"]
"""`columns`: the blocks alone, as `blackbox.model.block_table`."""
Encoding = Literal["identity", "gzip", "zstd"]


class Shape(NamedTuple):
    """One way to ask for a snapshot; every shape is merged and encoded once per sample, however many ask."""

    gpu: str | None = None
    """Index or UUID of a GPU, UUID of a MIG instance; None for all."""
    blocks: ShapeDetail = "full"
    viewer_uid: int | None = None
    """See inside the processes of this user only; None to see inside all."""


class UnknownGpuError(LookupError):
    """The machine has no such GPU."""


def with_blocks(snapshot: Snapshot, detail: ShapeDetail, blocks_max: int) -> Snapshot:
    """The snapshot with at most `blocks_max` blocks, summed up, or without; sums and counts stay whole."""
    if detail == "full":
        omitted = max(0, len(snapshot.blocks) - blocks_max)
        if omitted == 0:
            return snapshot
        return structs.replace(snapshot, blocks=snapshot.blocks[:blocks_max], blocks_omitted=omitted)
    return structs.replace(
        snapshot,
        blocks=(),
        blocks_omitted=len(snapshot.blocks),
        blocks_summary=summarise(snapshot.blocks) if detail == "summary" else None,
        stacks=None,
    )


def summarise(blocks: Collection[Block]) -> tuple[BlockGroup, ...]:
    """Blocks counted by GPU, process, type, subtype and use."""
    groups: list[BlockGroup] = []
    for _, alike in groupby(sorted(blocks, key=_likeness), key=_likeness):
        members = list(alike)
        first = members[0]
        groups.append(
            BlockGroup(
                pid=first.pid,
                gpu=first.gpu,
                type=first.type,
                allocated=first.allocated,
                utilized=first.utilized,
                count=len(members),
                size=sum(block.size for block in members),
                subtype=first.subtype,
            )
        )
    return tuple(groups)


def _likeness(block: Block) -> tuple[int, int, str, str, bool, bool]:
    return block.gpu, block.pid, block.type, block.subtype or "", block.allocated, block.utilized
