"""Moments without the blocks of the failed allocations that they tell of: a recording and a dump keep these once, with
the event itself."""

from collections.abc import Callable, Iterable

from msgspec import structs

from blackbox.model.event import Event
from blackbox.model.event_blocks import split, without_blocks
from blackbox.model.moment import Moment

ELSEWHERE = "kept with the event, not with the moment"


def without_event_blocks(moment: Moment) -> Moment:
    """The moment as it is kept."""
    return _changed(moment, _has_blocks, lambda event: without_blocks(event, ELSEWHERE))


def with_event_blocks(moment: Moment, events: Callable[[], Iterable[Event]]) -> Moment:
    """The moment as it was, with what is still among the `events` that are kept."""

    def whole(event: Event) -> Event:
        bare = structs.replace(event, oom=None)
        return next((known for known in events() if structs.replace(known, oom=None) == bare), event)

    return _changed(moment, _is_without, whole)


def _changed(moment: Moment, which: Callable[[Event], bool], change: Callable[[Event], Event]) -> Moment:
    """The moment with some of its events changed."""
    if not any(which(event) for sample in moment.samples for event in sample.events):
        return moment
    return structs.replace(
        moment,
        samples=tuple(
            structs.replace(sample, events=tuple(change(event) if which(event) else event for event in sample.events))
            for sample in moment.samples
        ),
    )


def _has_blocks(event: Event) -> bool:
    return split(event)[1] is not None


def _is_without(event: Event) -> bool:
    allocator = None if event.oom is None else event.oom.allocator
    return allocator is not None and allocator.unknown.get("blocks") == ELSEWHERE
