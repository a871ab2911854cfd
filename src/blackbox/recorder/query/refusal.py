"""The moment of a refusal itself: the last reading before it, with the process that was refused as its own agent saw
it at that instant."""

from msgspec import structs

from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, Device, Memory
from blackbox.model.sample import Sample


def at_refusal(before: Moment, event: Event) -> Moment:
    """The moment of an event, out of the last moment before it; that moment where the event tells no allocator."""
    oom = event.oom
    if oom is None or oom.allocator is None:
        return before
    told = structs.replace(oom.allocator, taken_at=before.taken_at)
    place = _place(before, told)
    samples = tuple(_with(sample, told, oom, holds=number == place) for number, sample in enumerate(before.samples))
    return structs.replace(before, timestamp=event.timestamp, samples=samples)


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
