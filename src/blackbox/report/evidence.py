"""The input of a report, whatever its origin: a recording, a dump, a server, or a PyTorch snapshot."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from blackbox.analysis.trace.device_findings import DeviceFindings, RefusedRequest
from blackbox.analysis.trace.situations import HISTORY_MIN
from blackbox.analysis.usage import SnapshotSummary, summary_of
from blackbox.merge import merge
from blackbox.model.event import Event, TraceStep
from blackbox.model.identity import StartTimes
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator
from blackbox.model.snapshot import Snapshot
from blackbox.report.refused_trace import replayed_refusal
from blackbox.sources.memory_snapshot.replayed import Replayed

SUMMARIES_MAX = 80
"""Instants summarised: one per ten pixels of the chart."""
DYING_SECONDS = 60.0
"""A process that crashes so soon after its out-of-memory has crashed because of it."""
TOGETHER_SECONDS = 10.0
"""When one process of a distributed job crashes, the others crash after it, one by one, within this time."""
FAILURES = ("oom", "crash")
"""Kinds of events that a report is about."""
FAILURES_MAX = 20
"""Newest failures searched for the last one that is not a consequence of another."""
ALMOST = 0.999
"""Tolerance for rounded times: moments that are exactly as far apart as wanted are all read."""


class Inside(Struct, frozen=True, kw_only=True):
    """One process's allocator, as seen from inside at the instant in question."""

    allocator: Allocator
    trace: tuple[TraceStep, ...] = ()
    """Its last steps, oldest first."""
    stacks: tuple[tuple[str, ...], ...] = ()
    """Innermost first."""


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything that is known of the failure, and of the time before it."""

    origin: str
    """Where it came from, for people."""
    last: Snapshot
    """The machine at the refusal, just before another failure, or as it was last seen."""
    summaries: tuple[SnapshotSummary, ...]
    """The time before it, oldest first; the last one is of `last`."""
    failure: Event | None = None
    """The out-of-memory, or the crash, that the report is about."""
    about: Event | None = None
    """What the report is about, where that is no failure: a threshold, an Xid, a growth."""
    inside: Inside | None = None
    replayed: Replayed | None = None
    """What the traces of a snapshot file tell, or the one an agent shipped; `inside` is then of the moment that it
    names."""
    events: tuple[Event, ...] = ()
    """Of the same time, oldest first."""
    notes: tuple[str, ...] = ()
    """What is missing or damaged."""


def newest_failure(events: Iterable[Event]) -> Event | None:
    """The last out-of-memory, or the last crash that does not follow from another failure."""
    failures = [event for event in events if event.kind in FAILURES]
    independent = [event for event in failures if event.kind == "oom" or not _follows_from_one_of(failures, event)]
    return max(independent, key=lambda event: event.timestamp, default=None)


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


def told_device(evidence: Evidence) -> DeviceFindings | None:
    """The traced device that the report is about."""
    replayed = evidence.replayed
    if replayed is None:
        return None
    return next(device for device in replayed.devices if device.gpu == replayed.told.device)


def refusal_of(evidence: Evidence) -> RefusedRequest | None:
    """The one that the report is about, out of a trace."""
    device = told_device(evidence)
    return device.refusals[-1] if device is not None and device.refusals else None


def lacks_history(evidence: Evidence) -> bool:
    """An agent told of a refusal in a program that records no history: of its blocks, and what they are for, it tells
    more than a replay."""
    replayed, inside = evidence.replayed, evidence.inside
    return replayed is not None and inside is not None and bool(inside.trace) and replayed.told.steps < HISTORY_MIN


def from_moments(
    origin: str,
    moments: Iterable[Moment],
    events: Sequence[Event],
    span: tuple[float, float],
    notes: Sequence[str] = (),
    about: Event | None = None,
) -> Evidence | None:
    """Evidence of the last failure among the events, or else of the last moment; None where there is no moment.

    `span` is the time that `moments` cover, in Unix seconds. `about`: of this one event instead.
    """
    until, step = pace(events, span, about)
    due = span[0]
    summaries: list[SnapshotSummary] = []
    last: Moment | None = None
    for moment in moments:
        if last is not None and moment.timestamp > until:
            break
        last = moment
        if moment.timestamp >= due:
            summaries.append(summary_of(merge(moment)))
            due = moment.timestamp + step * ALMOST
    if last is None:
        return None
    failure = about or newest_failure(events)
    then = last if failure is None else _at_failure(last, failure)
    return from_summaries(origin, summaries, merge(then), events, notes, about)


def _at_failure(last: Moment, failure: Event) -> Moment:
    from blackbox.recorder.query.refusal import at_refusal  # with all of the recorder, which a file has no need of

    return at_refusal(last, failure)


def pace(events: Iterable[Event], span: tuple[float, float], about: Event | None = None) -> tuple[float, float]:
    """The instant to report on, and how far apart the moments before it are to be read, in seconds."""
    failure = about or newest_failure(events)
    until = failure.timestamp if failure is not None else span[1]
    return until, max(0.0, until - span[0]) / SUMMARIES_MAX


def from_summaries(
    origin: str,
    summaries: Sequence[SnapshotSummary],
    last: Snapshot,
    events: Sequence[Event],
    notes: Sequence[str] = (),
    about: Event | None = None,
) -> Evidence:
    """Evidence of the last failure among the events, `last` being the moment of a refusal itself; or of the instant
    `last`. `about`: of this one event instead."""
    failure = newest_failure(events) if about is None else about if about.kind in FAILURES else None
    inside = inside_of(failure)
    replayed = _replayed(failure, last)
    final = summary_of(last)
    return Evidence(
        origin=origin,
        last=last,
        summaries=_by_process((*(summary for summary in summaries if summary.time < final.time), final)),
        failure=failure,
        about=about if failure is None else None,
        inside=inside,
        replayed=replayed,
        events=tuple(events),
        notes=(*notes, *(() if replayed is None else replayed.told.notes)),
    )


def _replayed(failure: Event | None, last: Snapshot) -> Replayed | None:
    """The trace that an agent shipped with the failure, replayed."""
    if failure is None or failure.oom is None:
        return None
    index = next((gpu.index for gpu in last.gpus if gpu.uuid == failure.gpu_uuid), 0)
    return replayed_refusal(failure.oom, index)


def _by_process(summaries: Iterable[SnapshotSummary]) -> tuple[SnapshotSummary, ...]:
    """The readings, each process under one key in all of them, whichever time of boot its start time was read with."""
    starts = StartTimes()
    return tuple(
        summary._replace(
            processes={
                key._replace(start_time=starts.first((key.gpu_uuid, key.pid), key.start_time)): held
                for key, held in summary.processes.items()
            }
        )
        for summary in summaries
    )
