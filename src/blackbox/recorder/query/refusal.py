"""The moment of a refusal itself: the last reading before it, with the process that was refused as its own agent saw
it at that instant."""

from collections import defaultdict

from msgspec import structs

from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, AllocatorBlock, BlockType, Device, Memory, OwningStack
from blackbox.model.sample import Sample

STACKS_MAX = 256
"""Told by themselves, the largest: four times what an agent tells while its program runs."""
Owner = tuple[int, BlockType, str | None]
"""Number of a stack, type and subtype of its blocks."""


def at_refusal(before: Moment, event: Event) -> Moment:
    """The moment of an event, out of the last moment before it; that moment where the event tells no allocator."""
    oom = event.oom
    if oom is None or oom.allocator is None:
        return before
    told = structs.replace(_with_stacks(oom, oom.allocator), taken_at=before.taken_at)
    place = _place(before, told)
    samples = tuple(_with(sample, told, oom, holds=number == place) for number, sample in enumerate(before.samples))
    return structs.replace(before, timestamp=event.timestamp, samples=samples)


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


def _with(sample: Sample, told: Allocator, oom: OutOfMemory, *, holds: bool) -> Sample:
    devices = tuple(_device(device, told.gpu_uuid, oom) for device in sample.devices)
    others = tuple(one for one in sample.allocators if not _is_same(one, told))
    return structs.replace(sample, devices=devices, allocators=(*others, told) if holds else others)


def _device(device: Device, uuid: str, oom: OutOfMemory) -> Device:
    memory, free = device.memory, oom.device_free_bytes
    if device.uuid != uuid or memory is None or free is None:
        return device
    used = memory.total_bytes - memory.driver_reserved_bytes - free
    return structs.replace(device, memory=_memory(memory, used, free)) if used >= 0 else device


def _memory(memory: Memory, used: int, free: int) -> Memory:
    return structs.replace(memory, used_bytes=used, free_bytes=free)
