"""Ways to ask for a snapshot, and what each leaves out."""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from msgspec import structs

from blackbox.model.snapshot import Block, BlockGroup, Snapshot

BlockDetail = Literal["full", "summary", "none", "stacks"]
ShapeDetail = Literal["full", "summary", "none", "stacks", "columns", "coverage"]
"""`columns`: the blocks alone, as `blackbox.model.block_table`; `coverage`: what is known of each process."""
Encoding = Literal["identity", "gzip", "zstd"]


class Shape(NamedTuple):
    """One way to ask for a snapshot; every shape is merged and encoded once per sample, however many ask."""

    gpu: str | None = None
    """Index or UUID of a GPU, UUID of a MIG instance; None for all."""
    blocks: ShapeDetail = "full"
    viewer_uid: int | None = None
    """See inside the processes of this user only; None to see inside all."""


class UnknownGpuError(LookupError):
    """The machine has no such GPU. Its text is one line that says which there are."""

    def __init__(self, asked: str, indices: Iterable[int]) -> None:
        there = ", ".join(map(str, sorted(set(indices)))) or "none"
        super().__init__(f"no GPU {asked!a:.80}: there are {there}; UUIDs are taken, too")


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
        blocks_summary=None if detail == "none" else summarise(snapshot.blocks),
        stacks=snapshot.stacks if detail == "stacks" else None,
    )


def summarise(blocks: Collection[Block]) -> tuple[BlockGroup, ...]:
    """Blocks counted by GPU, process, type, subtype and use."""
    sums: dict[tuple[int, int, str, str, bool, bool], list[int]] = {}
    firsts: dict[tuple[int, int, str, str, bool, bool], Block] = {}
    for block in blocks:
        key = block.gpu, block.pid, block.type, block.subtype or "", block.allocated, block.utilized
        known = sums.get(key)
        if known is None:
            sums[key], firsts[key] = [1, block.size], block
        else:
            known[0] += 1
            known[1] += block.size
    return tuple(
        BlockGroup(
            pid=first.pid,
            gpu=first.gpu,
            type=first.type,
            allocated=first.allocated,
            utilized=first.utilized,
            count=sums[key][0],
            size=sums[key][1],
            subtype=first.subtype,
        )
        for key, first in sorted(firsts.items(), key=lambda item: item[0])
    )
