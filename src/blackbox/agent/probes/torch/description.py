"""Makes the report of one device from its blocks and what is known of the tensors. No side effects."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from blackbox.agent.probes.torch import kinds
from blackbox.agent.probes.torch.allocator import Counters
from blackbox.agent.probes.torch.owners import sums
from blackbox.wire.message import BLOCKS_MAX
from blackbox.wire.report import NO_STACK, NO_THREAD, AllocatorReport, BlockColumns
from blackbox.wire.segments import ACTIVE, INACTIVE, DeviceMemory
from blackbox.wire.stacks import OwnedBlocks, Purpose

UNNAMED = (kinds.UNTOLD, kinds.RESIDUAL)
NOT_NAMED = ""
"""The UUID until the probe sets it."""


class Purposes(NamedTuple):
    """What is known of the program's tensors at one instant."""

    places: list[tuple[int, int]]
    """(address, code of `kinds`) of tensors whose purpose is known."""
    has_modules: bool
    """Whether blocks without a known purpose are likely to hold a network's activations."""
    gradients: tuple[tuple[int, int], ...] = ()
    """(address, bytes) of storages of gradients at the last step of their optimizer."""


def with_blocks(
    memory: DeviceMemory,
    purposes: Purposes,
    owners: Mapping[int, int] | None,
    times: Mapping[int, float] | None = None,
) -> AllocatorReport:
    """The whole report, but for stacks. Address -> thread that allocated there (`owners`), and when (`times`, Unix
    seconds)."""
    report = AllocatorReport(
        NOT_NAMED,
        memory.reserved_bytes,
        memory.allocated_bytes,
        inactive_split_bytes=memory.inactive_split_bytes,
        requested_bytes=memory.requested_bytes,
        largest_free_bytes=memory.largest_free_bytes,
    )
    if memory.requested_bytes is None:
        report = report._replace(unknown={"requested_bytes": "this version of PyTorch does not tell it"})
    count = len(memory.blocks.address)
    if count > BLOCKS_MAX:
        return report._replace(unknown={**report.unknown, "blocks": f"{count} blocks are more than a report can hold"})
    state, size = memory.blocks.state, memory.blocks.size
    label = kinds_of(memory, purposes)
    blocks = memory.blocks._replace(type=[kinds.TYPE_OF[kind] for kind in label], label=label, labels=kinds.LABELS)
    if times is not None:
        blocks = blocks._replace(allocated_ms=_allocated_ms(blocks, times))
    if owners is None:
        return report._replace(blocks=blocks)
    owner = owners.get
    live = [
        owner(address, NO_THREAD) if state[place] == ACTIVE else NO_THREAD
        for place, address in enumerate(blocks.address)
    ]
    return report._replace(blocks=blocks._replace(thread=live), threads=sums(live, size))


def with_stacks(report: AllocatorReport, owned: OwnedBlocks | None) -> AllocatorReport:
    """With the stacks of its blocks; None: of none of them one is recorded."""
    stacks, place_at = owned or ((), {})
    blocks = report.blocks
    if blocks is None or not stacks:
        return report._replace(stacks=stacks)
    column = [place_at.get(address, NO_STACK) for address in blocks.address]
    return report._replace(stacks=stacks, blocks=blocks._replace(stack=column))


def _allocated_ms(blocks: BlockColumns, times: Mapping[int, float]) -> list[int]:
    at = times.get
    return [
        int(at(address, 0.0) * 1000) if blocks.state[place] == ACTIVE else 0
        for place, address in enumerate(blocks.address)
    ]


def without_blocks(counters: Counters, sleeping: DeviceMemory | None) -> AllocatorReport:
    """The counters alone, less the memory that is asleep."""
    if sleeping is None:
        return AllocatorReport(
            NOT_NAMED,
            counters.reserved_bytes,
            counters.allocated_bytes,
            inactive_split_bytes=counters.inactive_split_bytes,
            requested_bytes=counters.requested_bytes,
            unknown=counters.unknown,
        )
    return AllocatorReport(
        NOT_NAMED,
        max(0, counters.reserved_bytes - sleeping.reserved_bytes),
        max(0, counters.allocated_bytes - sleeping.allocated_bytes),
        inactive_split_bytes=_less(counters.inactive_split_bytes, sleeping.inactive_split_bytes),
        requested_bytes=_less(counters.requested_bytes, sleeping.requested_bytes),
        unknown=counters.unknown,
    )


def purposes_of(report: AllocatorReport) -> dict[int, Purpose]:
    """Address -> what the block there is for."""
    blocks = report.blocks
    if blocks is None or blocks.label is None:
        return {}
    return {
        address: (kinds.TYPE_OF[code], kinds.LABELS[code][0])
        for address, code in zip(blocks.address, blocks.label)  # noqa: B905 - Python 3.9
    }


def kinds_of(memory: DeviceMemory, purposes: Purposes) -> list[int]:
    """The code of `kinds` of each block."""
    left_over = kinds.RESIDUAL if purposes.has_modules else kinds.UNTOLD
    pool = memory.blocks.pool or ()
    found = [
        (kinds.POOL if pool[place] else left_over)
        if state == ACTIVE
        else (kinds.FREE if state == INACTIVE else kinds.PENDING)
        for place, state in enumerate(memory.blocks.state)
    ]
    starts, sizes = memory.blocks.address, memory.blocks.size
    for address, kind in _distinct(purposes.places):
        place = bisect_right(starts, address) - 1
        if place >= 0 and address < starts[place] + sizes[place] and found[place] >= kinds.UNTOLD:
            found[place] = max(found[place], kind)
    _name_gradients(found, memory, purposes.gradients)
    return found


def _name_gradients(found: list[int], memory: DeviceMemory, gradients: Iterable[tuple[int, int]]) -> None:
    """Where a live block of exactly that size is at the address, and has no other purpose."""
    starts, asked = memory.blocks.address, memory.blocks.requested
    if asked is None:
        return
    for address, size in gradients:
        place = bisect_right(starts, address) - 1
        if place >= 0 and starts[place] == address and asked[place] == size and found[place] in UNNAMED:
            found[place] = kinds.GRADIENT


def _distinct(places: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """Each once: tied weights and views share a storage."""
    return dict.fromkeys(places)


def _less(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else max(0, whole - part)
