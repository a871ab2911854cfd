"""What a report is made from, wherever it came from: a recording, a dump, a server, or a PyTorch snapshot."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from blackbox.merge import merge
from blackbox.merge.blocks import block_rows
from blackbox.model.identity import StartTimes
from blackbox.model.sample import Allocator, Event, TraceStep
from blackbox.model.snapshot import Moment, Snapshot
from blackbox.report.readings import OUTSIDE, Reading, read, uses_of

READINGS_MAX = 80
"""Instants compared: one per ten pixels of the chart."""
DYING_SECONDS = 60.0
"""A process that dies so soon after its out-of-memory has died of that."""
TOGETHER_SECONDS = 10.0
"""Of a job of many processes the first to die takes the others along, one after the other."""
FAILURES = ("oom", "crash")
"""Kinds of events that a report is about."""
ALMOST = 0.999
"""Moments that come as far apart as wanted are all read, whatever rounding did to their times."""


class Inside(Struct, frozen=True, kw_only=True):
    """One process's allocator, as seen from inside at the instant in question."""

    allocator: Allocator
    trace: tuple[TraceStep, ...] = ()
    """Its last steps, oldest first."""
    stacks: tuple[tuple[str, ...], ...] = ()
    """Innermost first."""


class Evidence(Struct, frozen=True, kw_only=True):
    """All that is known."""

    origin: str
    """Where it came from, for people."""
    last: Snapshot
    """The machine just before the failure, or as it was last seen."""
    readings: tuple[Reading, ...]
    """The time before it, oldest first; the last one is of `last`."""
    failure: Event | None = None
    """The out-of-memory, or the crash, that the report is about."""
    inside: Inside | None = None
    events: tuple[Event, ...] = ()
    """Of the same time, oldest first."""
    notes: tuple[str, ...] = ()
    """What is missing or damaged."""


def newest_failure(events: Iterable[Event]) -> Event | None:
    """The last out-of-memory, or the last crash that does not follow from another failure."""
    failures = [event for event in events if event.kind in FAILURES]
    told = [event for event in failures if event.kind == "oom" or not _follows_from_one_of(failures, event)]
    return max(told, key=lambda event: event.timestamp, default=None)


def _follows_from_one_of(failures: Sequence[Event], crash: Event) -> bool:
    for event in failures:
        ago = crash.timestamp - event.timestamp
        if event.kind == "oom" and event.pid == crash.pid and 0 <= ago < DYING_SECONDS:
            return True
        if event.kind == "crash" and 0 < ago < TOGETHER_SECONDS:
            return True
    return False


def inside_of(failure: Event | None) -> Inside | None:
    """What the agent in the failed process saw; None where there was no agent."""
    oom = failure.oom if failure is not None else None
    if oom is None or oom.allocator is None:
        return None
    return Inside(allocator=oom.allocator, trace=oom.trace, stacks=oom.stacks)


def from_moments(
    origin: str,
    moments: Iterable[Moment],
    events: Sequence[Event],
    span: tuple[float, float],
    notes: Sequence[str] = (),
) -> Evidence | None:
    """Evidence of the last failure among the events, or else of the last moment; None where there is no moment.

    `span` is the time that `moments` cover, in Unix seconds.
    """
    until, step = pace(events, span)
    due = span[0]
    readings: list[Reading] = []
    last: Moment | None = None
    for moment in moments:
        if last is not None and moment.timestamp > until:
            break
        last = moment
        if moment.timestamp >= due:
            readings.append(read(merge(moment)))
            due = moment.timestamp + step * ALMOST
    if last is None:
        return None
    return from_readings(origin, readings, merge(last), events, notes)


def pace(events: Iterable[Event], span: tuple[float, float]) -> tuple[float, float]:
    """The instant to report on, and how far apart the moments before it are to be read, in seconds."""
    failure = newest_failure(events)
    until = failure.timestamp if failure is not None else span[1]
    return until, max(0.0, until - span[0]) / READINGS_MAX


def from_readings(
    origin: str,
    readings: Sequence[Reading],
    last: Snapshot,
    events: Sequence[Event],
    notes: Sequence[str] = (),
) -> Evidence:
    """Evidence of the last failure among the events, or of the instant `last`."""
    failure = newest_failure(events)
    inside = inside_of(failure)
    final = _with_inside(read(last), inside)
    return Evidence(
        origin=origin,
        last=last,
        readings=_by_process((*(reading for reading in readings if reading.time < final.time), final)),
        failure=failure,
        inside=inside,
        events=tuple(events),
        notes=tuple(notes),
    )


def _by_process(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """The readings, each process under one key in all of them, whichever time of boot its start time was read with."""
    starts = StartTimes()
    return tuple(
        reading._replace(
            holders={
                holder._replace(start_time=starts.first((holder.gpu_uuid, holder.pid), holder.start_time)): held
                for holder, held in reading.holders.items()
            }
        )
        for reading in readings
    )


def _with_inside(reading: Reading, inside: Inside | None) -> Reading:
    """The reading, its failed process as the agent saw it at that instant; what is outside stays as last seen."""
    if inside is None or inside.allocator.blocks is None:
        return reading
    allocator = inside.allocator
    seen = uses_of(block_rows(allocator.pid, 0, (allocator,)))
    holders = {
        holder: held._replace(uses=seen | {use: count for use, count in held.uses.items() if use == OUTSIDE})
        if (holder.pid, holder.gpu_uuid) == (allocator.pid, allocator.gpu_uuid)
        else held
        for holder, held in reading.holders.items()
    }
    return reading._replace(holders=holders)
