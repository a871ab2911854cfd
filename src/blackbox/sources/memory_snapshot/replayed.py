"""The moment that a snapshot's trace is about: its last refusal, else its peak, with the allocator as it was then."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.analysis.trace.device_findings import (
    STACKS_MAX,
    AllocationShare,
    DeviceFindings,
    shares,
)
from blackbox.analysis.trace.replay import Instant, Replay, instants
from blackbox.analysis.trace.situations import HISTORY_MIN, NO_TRACE
from blackbox.analysis.trace.timeline import Timeline, timeline
from blackbox.model.parts import Allocator
from blackbox.model.text import plural
from blackbox.sources.memory_snapshot.device_replay import DeviceReplay, allocator_at, replayed_device
from blackbox.sources.memory_snapshot.growth import step_levels, steps_of
from blackbox.sources.memory_snapshot.traces import HOST, Traces, read_traces

LEVELS_MAX = 400
"""Points of the level over time: two pixels of a chart each."""
STEPS_MAX = 1000
"""Steps of an optimizer whose levels are told: more do not make a leak any plainer."""
OTHERS_MAX = 15
"""GPUs whose timelines are told beside that of the one in question: machines have sixteen at most."""
ALL_STACKS_MAX = 50_000
"""Of the moment in question: more than programs have, and fewer than a file can claim."""
MICROSECONDS = 1e6

MomentKind = Literal["refusal", "peak", "end"]


class Told(Struct, frozen=True, kw_only=True):
    """The device in question at the moment in question."""

    device: int
    kind: MomentKind
    """`end`: the file has no history, or none that agrees with its end."""
    allocator: Allocator
    time: float | None
    """Unix seconds."""
    recent_bytes: int
    """Allocated within the trace, of what the program held at that moment."""
    freed_bytes: int
    """Freed before that moment, allocated before the trace."""
    steps: int
    """Entries up to it."""
    seconds: float | None
    """Time that they cover."""
    levels: tuple[tuple[float, int], ...]
    """(Unix seconds, bytes allocated) up to it; empty without times."""
    step_levels: tuple[int, ...]
    """Bytes allocated when each step of an optimizer, of a profiler or of inference began, up to that moment; the last
    ones of many. Where nothing is trained, without KV cache: it grows with what is generated, and is no leak."""
    step_peaks: tuple[int, ...]
    """The most that was allocated between one of these and the next."""
    steps_are_marked: bool
    """False: nothing marks them, they are rounds in which what was held rose, and fell back."""
    expandable: bool
    """Expandable segments were on."""
    max_split_bytes: int | None
    """`max_split_size_mb`; None: none was set, or the file does not tell."""
    memory_fraction: float | None
    """Of the GPU's memory, that the program may have; None: all, or the file does not tell."""
    notes: tuple[str, ...]
    """What a reader has to know of this device's figures."""
    timeline: Timeline | None
    """The whole trace; None where there is none, or nobody asked for it."""
    by_stack: tuple[AllocationShare, ...]
    """What was held then, by all of its stacks."""


class DeviceTimeline(Struct, frozen=True, kw_only=True):
    """A device over time."""

    device: int
    kind: MomentKind
    """Of the moment that its timeline names."""
    timeline: Timeline


class Replayed(Struct, frozen=True, kw_only=True):
    """What the traces of a file tell."""

    devices: tuple[DeviceFindings, ...]
    told: Told
    others: tuple[DeviceTimeline, ...] = ()
    """The other GPUs that have a history, where the timeline of that one was asked for."""


def read_replayed(
    snapshot: dict[str, Any],
    rules: CategoryRules = NO_RULES,
    stacks_max: int = STACKS_MAX,
    with_timeline: bool = True,
) -> Replayed | None:
    """None where the file holds no memory. Raises `SegmentError`, `KeyError` or the like where traces are malformed.

    `stacks_max` of each moment are told by themselves.
    """
    return replayed_of(read_traces(snapshot, rules), stacks_max, with_timeline)


def replayed_of(traces: Traces, stacks_max: int = STACKS_MAX, with_timeline: bool = True) -> Replayed | None:
    """The same of traces that were read."""
    devices = [replayed_device(recorded, traces, stacks_max) for recorded in traces.devices]
    on_gpus = [device for device in devices if device.recorded.device != HOST]
    if not on_gpus:
        return None
    first = max(on_gpus, key=_rank)
    told = _told(first, traces, with_timeline)
    others = [device for device in on_gpus if device is not first and _moment_of(device).kind != "end"][:OTHERS_MAX]
    return Replayed(
        devices=tuple(device.found for device in devices),
        told=told,
        others=tuple(_over_time(device, traces, len(others)) for device in others) if with_timeline else (),
    )


class _Moment(NamedTuple):
    kind: MomentKind
    done: int
    """Entries replayed."""


def _moment_of(device: DeviceReplay) -> _Moment:
    """The one that is told of a device: its last refusal, else its peak, else its end."""
    run, found = device.run, device.found
    if found.refusals:
        place, kind = found.refusals[-1].moment.step, "refusal"
    elif run.trace.steps >= HISTORY_MIN and run.steps:
        place, kind = found.peak.step, "peak"
    else:
        return _Moment("end", run.steps)
    return _Moment(kind, 0 if place is None else place + 1 - run.first)


def _over_time(device: DeviceReplay, traces: Traces, share: int) -> DeviceTimeline:
    kind, done = _moment_of(device)
    return DeviceTimeline(device=device.recorded.device, kind=kind, timeline=_timeline(device, traces, done, share))


def _rank(device: DeviceReplay) -> tuple[bool, float, int]:
    """The device with the last refusal comes first, else the one with the highest peak."""
    refusals = device.found.refusals
    return bool(refusals), (refusals[-1].moment.time or 0.0) if refusals else 0.0, device.found.peak.bytes


def _told(device: DeviceReplay, traces: Traces, with_timeline: bool) -> Told:
    run, found = device.run, device.found
    kind, done = _moment_of(device)
    (instant,) = instants(run, [done])
    last = run.first + done - 1
    times = run.trace.time_us
    timed = times is not None and done > 0
    steps = steps_of(device, done)
    begun = steps.begun[-STEPS_MAX:]
    return Told(
        device=device.recorded.device,
        kind=kind,
        allocator=allocator_at(
            device, instant, found.refusals[-1].free_certain.largest_bytes if found.refusals else None
        ),
        time=times[last] / MICROSECONDS if times is not None and last >= 0 else None,
        recent_bytes=sum(run.size[block] for block in instant.allocated if block < run.trace.steps),
        freed_bytes=_freed_of_the_start(run, instant),
        steps=done,
        seconds=(times[last] - times[run.first]) / MICROSECONDS if times is not None and timed else None,
        levels=tuple(_levels(run, done)),
        step_levels=tuple(step_levels(device, begun)),
        step_peaks=tuple(
            max(run.allocated[step - run.first : after - run.first + 1]) for step, after in pairwise(begun)
        ),
        steps_are_marked=steps.are_marked,
        expandable=run.rules.expandable,
        max_split_bytes=run.rules.max_split_bytes,
        memory_fraction=device.recorded.facts.memory_fraction,
        notes=(*(() if traces.has_traces else (NO_TRACE,)), *found.situations, *_of_refusal(found)),
        timeline=_timeline(device, traces, done) if with_timeline and kind != "end" else None,
        by_stack=shares(device.context, instant.allocated, ALL_STACKS_MAX),
    )


def _timeline(device: DeviceReplay, traces: Traces, done: int, share: int = 1) -> Timeline:
    scopes = ((scope.name, scope.start_us, scope.end_us) for scope in traces.evidence.annotations)
    return timeline(device.context, done, scopes, device.course.parts(), share)


def _of_refusal(found: DeviceFindings) -> Sequence[str]:
    if not found.refusals:
        return ()
    more = found.refusals_total - 1
    return (
        *found.refusals[-1].situations,
        *([f"{plural(more, 'request was', 'requests were')} refused before this one"] if more else []),
    )


def _freed_of_the_start(run: Replay, instant: Instant) -> int:
    gone = [block for block in run.start_blocks() if block not in instant.allocated and block not in instant.pending]
    return sum(run.size[block] for block in gone)


def _levels(run: Replay, done: int) -> Iterator[tuple[float, int]]:
    """The highest of each interval, so that no peak is lost, and the last."""
    times = run.trace.time_us
    if times is None or not done:
        return
    stretch = -(-done // LEVELS_MAX)
    for start in range(0, done, stretch):
        levels = run.allocated[start + 1 : min(done, start + stretch) + 1]
        highest = max(levels)
        yield times[run.first + start + levels.index(highest)] / MICROSECONDS, highest
    yield times[run.first + done - 1] / MICROSECONDS, run.allocated[done]
