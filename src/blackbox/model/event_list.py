"""Events for lists: without what only one of them is looked at for, and those alike as one."""

from collections.abc import Hashable, Iterable

from msgspec import structs

from blackbox.model.event import Event, OutOfMemory
from blackbox.model.query import NumberedEvent, Repeats

MAIN_SHARE = 0.5
"""Of what the allocator held at a refusal: a stack with less of it is not what filled the memory."""


def blamed_stack(oom: OutOfMemory) -> tuple[str, ...] | None:
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
    blamed = blamed_stack(oom)
    bare = structs.replace(
        oom,
        allocator=None,
        trace=(),
        stacks=() if blamed is None else (blamed,),
        block_stacks=(),
        segments=(),
        scopes=(),
    )
    return structs.replace(event, oom=bare)


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
