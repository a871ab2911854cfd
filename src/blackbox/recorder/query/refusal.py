"""The moment of a refusal itself: the last reading before it, with the process that was refused as its own agent saw
it at that instant."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import structs

from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, AllocatorBlock, BlockType, Device, DeviceProcess, Memory, OwningStack
from blackbox.model.sample import Sample
from blackbox.model.text import size

STACKS_MAX = 256
"""Told by themselves, the largest: four times what an agent tells while its program runs."""
Owner = tuple[int, BlockType, str | None]
"""Number of a stack, type and subtype of its blocks."""


PAGES_BEFORE = "which pages of its KV cache were in use is of the last reading before the refusal"


class _Refused(NamedTuple):
    """The process at the refusal."""

    told: Allocator
    """As its agent told it, with what only the reading before knows."""
    beside: tuple[Allocator, ...]
    """Its other allocators on the GPU, as last read."""
    held_before_bytes: int | None
    """By all of its allocators on the GPU at the reading before; None where none was read."""
    used_more_bytes: int | None
    """Memory of the GPU in use at the refusal, less that at the reading before; None where it was not told."""
    gpus: frozenset[str]
    """The GPU, and its parent."""


def at_refusal(before: Moment, event: Event) -> Moment:
    """The moment of an event, out of the last moment before it; that moment where the event tells no allocator."""
    oom = event.oom
    if oom is None or oom.allocator is None:
        return before
    told = structs.replace(_with_stacks(oom, oom.allocator), taken_at=before.taken_at)
    place = _place(before, told)
    refused = _refused(before, told, oom)
    samples = tuple(_with(sample, refused, holds=number == place) for number, sample in enumerate(before.samples))
    return structs.replace(before, timestamp=event.timestamp, samples=samples)


def _refused(before: Moment, told: Allocator, oom: OutOfMemory) -> _Refused:
    earlier = [one for sample in before.samples for one in sample.allocators if _is_same(one, told)]
    device = next((device for device in _devices(before) if device.uuid == told.gpu_uuid), None)
    parent = None if device is None else device.parent_uuid
    return _Refused(
        told=_with_pages(_with_details(told, earlier), earlier),
        beside=tuple(one for one in earlier if one.source != told.source and not one.kv_pools),
        held_before_bytes=sum(one.reserved_bytes for one in earlier) if earlier else None,
        used_more_bytes=None if device is None else _used_more(device, oom.device_free_bytes),
        gpus=frozenset((told.gpu_uuid,) if parent is None else (told.gpu_uuid, parent)),
    )


def _devices(moment: Moment) -> Iterable[Device]:
    return (device for sample in moment.samples for device in sample.devices)


def _used_more(device: Device, free: int | None) -> int | None:
    memory = device.memory
    if memory is None or free is None or free > memory.total_bytes - memory.driver_reserved_bytes:
        return None
    return memory.free_bytes - free


def _with_details(told: Allocator, earlier: Iterable[Allocator]) -> Allocator:
    """With the blocks of the reading before, where the event has none and that is of the same state: a snapshot that is
    played has them in the moment alone."""
    if told.blocks is not None:
        return told
    whole = (one for one in earlier if one.source == told.source and one.blocks is not None)
    found = next((one for one in whole if _totals(one) == _totals(told)), None)
    return told if found is None else structs.replace(told, blocks=found.blocks, stacks=found.stacks)


def _totals(allocator: Allocator) -> tuple[int, int]:
    return allocator.reserved_bytes, allocator.allocated_bytes


def _with_pages(told: Allocator, earlier: Iterable[Allocator]) -> Allocator:
    """With the pages of its KV caches: an agent does not ask its engine while an allocation fails."""
    pools = tuple(pool for one in earlier for pool in one.kv_pools)
    if not pools or told.kv_pools:
        return told
    return structs.replace(told, kv_pools=pools, unknown={"purposes": PAGES_BEFORE} | told.unknown)


def _with_stacks(oom: OutOfMemory, allocator: Allocator) -> Allocator:
    """With the stack of each live block, where the agent told them with the history."""
    blocks = allocator.blocks
    if blocks is None or not oom.block_stacks or len(oom.block_stacks) != len(blocks):
        return allocator
    held: defaultdict[Owner, list[int]] = defaultdict(list)
    owners = [_owner(block, number) for block, number in zip(blocks, oom.block_stacks, strict=True)]
    for block, owner in zip(blocks, owners, strict=True):
        if owner is not None:
            held[owner].append(block.size)
    largest = sorted(held, key=lambda owner: -sum(held[owner]))[:STACKS_MAX]
    places = {owner: place for place, owner in enumerate(largest)}
    return structs.replace(
        allocator,
        blocks=tuple(
            structs.replace(block, stack=None if owner is None else places.get(owner))
            for block, owner in zip(blocks, owners, strict=True)
        ),
        stacks=tuple(
            OwningStack(oom.stacks[number], sum(held[owner]), len(held[owner]), type_, subtype, place)
            for place, owner in enumerate(largest)
            for number, type_, subtype in (owner,)
        ),
    )


def _owner(block: AllocatorBlock, number: int) -> Owner | None:
    """None of a free block, and where its stack is not known."""
    return (number, block.type, block.subtype) if number >= 0 and block.state == "active" else None


def _place(moment: Moment, told: Allocator) -> int:
    """The sample that the allocator belongs to: the one that has it, else the one that sees its device."""
    for number, sample in enumerate(moment.samples):
        if any(_is_same(one, told) for one in sample.allocators):
            return number
    for number, sample in enumerate(moment.samples):
        if any(device.uuid == told.gpu_uuid for device in sample.devices):
            return number
    return 0


def _is_same(one: Allocator, told: Allocator) -> bool:
    return (one.pid, one.gpu_uuid) == (told.pid, told.gpu_uuid)


def _with(sample: Sample, refused: _Refused, *, holds: bool) -> Sample:
    others = tuple(one for one in sample.allocators if not _is_same(one, refused.told))
    return structs.replace(
        sample,
        devices=tuple(_device(device, refused) for device in sample.devices),
        processes=tuple(_process(row, refused) for row in sample.processes),
        allocators=(*others, *refused.beside, refused.told) if holds else others,
    )


def _device(device: Device, refused: _Refused) -> Device:
    memory, more = device.memory, refused.used_more_bytes
    if device.uuid not in refused.gpus or memory is None or more is None:
        return device
    return device if more > memory.free_bytes else structs.replace(device, memory=_memory(memory, more))


def _memory(memory: Memory, more: int) -> Memory:
    return structs.replace(memory, used_bytes=memory.used_bytes + more, free_bytes=memory.free_bytes - more)


def _process(row: DeviceProcess, refused: _Refused) -> DeviceProcess:
    """With what it used at the refusal, where the rest is of that instant as well: what lies outside of its allocators
    (CUDA's context, libraries) stays as last read, while they gave back what they could before they refused."""
    told, before = refused.told, refused.held_before_bytes
    if (row.gpu_uuid, row.pid) != (told.gpu_uuid, told.pid) or before is None:
        return row
    if row.used_bytes is None or refused.used_more_bytes is None:
        return row
    outside = max(0, row.used_bytes - before)
    used = told.reserved_bytes + sum(one.reserved_bytes for one in refused.beside) + outside
    if used == row.used_bytes:
        return row
    why = f"what its allocator held at the refusal, and {size(outside)} beside it as the driver last said"
    return structs.replace(row, used_bytes=used, unknown=row.unknown | {"used_bytes": why})
