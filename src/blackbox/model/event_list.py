"""Events for lists: without what only one of them is looked at for, and those alike as one."""

from collections.abc import Hashable, Iterable
from typing import Any

from msgspec import Struct, structs

from blackbox.model.event import Event, OutOfMemory, TraceSettings, TraceStep
from blackbox.model.parts import OwningStack
from blackbox.model.query import NumberedEvent, Repeats

MAIN_SHARE = 0.5
"""Of what the allocator held at a refusal: a stack with less of it is not what filled the memory."""


class AllocatorSketch(Struct, frozen=True):
    """Of an allocator what a list is made of. Whoever decodes one skips its blocks."""

    allocated_bytes: int
    stacks: tuple[OwningStack, ...] | None = None


class OutOfMemorySketch(Struct, frozen=True, kw_only=True):
    """Of a refusal likewise: its blocks, which take all the memory, are not read."""

    source: str
    requested_bytes: int
    thread_id: int | None
    device_total_bytes: int | None
    device_free_bytes: int | None
    allocator: AllocatorSketch | None
    trace: tuple[TraceStep, ...]
    stacks: tuple[tuple[str, ...], ...]
    settings: TraceSettings | None = None

    @property
    def is_light(self) -> bool:
        """There is nothing to leave out."""
        return self.allocator is None and not self.trace


class EventSketch(Event, frozen=True, kw_only=True):
    """An event to be told in a list."""

    oom: OutOfMemorySketch | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


def blamed_stack(oom: OutOfMemory | OutOfMemorySketch) -> tuple[str, ...] | None:
    """The stack that held most of what the allocator had, or else the one that asked for what was refused; None where
    neither is told."""
    held = oom.allocator.allocated_bytes if oom.allocator is not None else 0
    told = oom.allocator.stacks if oom.allocator is not None else None
    largest = max(told or (), key=lambda stack: stack.allocated_bytes, default=None)
    if largest is not None and largest.frames and largest.allocated_bytes >= MAIN_SHARE * held:
        return largest.frames
    last = oom.trace[-1] if oom.trace else None
    return oom.stacks[last.stack] if last is not None and last.action == "oom" and last.stack is not None else None


def light(event: Event) -> Event:
    """A refusal without its allocator and its history; of its stacks, the one to blame."""
    oom = event.oom
    if oom is None:
        return event
    if oom.allocator is None and not oom.trace:
        return event
    return structs.replace(event, oom=_light(oom))


def light_of(sketch: EventSketch) -> Event:
    """The event that a sketch is of, as a list has it. Its refusal must not be light already."""
    told: dict[str, Any] = {name: getattr(sketch, name) for name in Event.__struct_fields__}
    told["oom"] = None if sketch.oom is None else _light(sketch.oom)
    return Event(**told)


def _light(oom: OutOfMemory | OutOfMemorySketch) -> OutOfMemory:
    blamed = blamed_stack(oom)
    return OutOfMemory(
        source=oom.source,
        requested_bytes=oom.requested_bytes,
        thread_id=oom.thread_id,
        device_total_bytes=oom.device_total_bytes,
        device_free_bytes=oom.device_free_bytes,
        allocator=None,
        trace=(),
        stacks=() if blamed is None else (blamed,),
        settings=oom.settings,
    )


def folded(events: Iterable[NumberedEvent]) -> list[NumberedEvent]:
    """Of light events that are alike the newest, with how often they came; oldest first."""
    newest: dict[Hashable, NumberedEvent] = {}
    for event in events:
        key = _sameness(event)
        before = newest.pop(key, None)
        newest[key] = event if before is None else structs.replace(event, repeats=_one_more(before, event))
    return list(newest.values())


def _one_more(before: NumberedEvent, event: NumberedEvent) -> Repeats:
    known = before.repeats
    if known is None:
        return Repeats(count=2, first_at=before.timestamp, last_at=event.timestamp, first_id=before.id)
    return structs.replace(known, count=known.count + 1, last_at=event.timestamp)


def _sameness(event: NumberedEvent) -> Hashable:
    """What events have to share to be told as one: what happened, where, and to which program."""
    life, growth, crossing = event.process, event.growth, event.threshold
    return (
        event.kind,
        event.gpu_uuid,
        event.code,
        event.uid,
        None if event.oom is None else event.oom.stacks,
        None if life is None else (life.name, life.ended, life.signal, life.exit_code, life.exception),
        None if growth is None else growth.name,
        None if crossing is None else (crossing.threshold_percent, crossing.above),
    )
