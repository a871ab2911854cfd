"""Evidence of an event of a recording, or of a dump, as a viewer may see it."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import structs

from blackbox.errors import FailureError
from blackbox.merge.selection import sees_all, select
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.recorder import Recording
from blackbox.recorder.dumps.file import Dump
from blackbox.recorder.query.visibility import visible
from blackbox.report.evidence import FAILURES, FAILURES_MAX, Evidence, from_moments, newest_failure, pace
from blackbox.report.origins import AFTER_SECONDS, recorded_moments

BEFORE_SECONDS = 600.0
"""Time before an event that its report tells of, as `blackbox report` has it."""


def newest(recording: Recording, viewer_uid: int | None) -> Evidence:
    """What was recorded of the last failure, or of the last minutes where there was none. Raises `FailureError`."""
    found = recording.events(kind=FAILURES, limit=FAILURES_MAX)
    failure = newest_failure(one.event for one in found)
    number = next((one.id for one in found if one.event is failure), None)
    if number is not None:
        return of_event(recording, number, viewer_uid)
    span = recording.span()
    if span is None:
        raise FailureError("nothing was recorded")
    return _evidence(recording, max(span[0], span[1] - BEFORE_SECONDS), span[1], [], viewer_uid)


def of_event(recording: Recording, number: int, viewer_uid: int | None) -> Evidence:
    """What was recorded of the event with this id. Raises `FailureError`."""
    found = recording.event(number)
    if found is None:
        raise FailureError(f"there is no event {number}")
    event = visible(found, viewer_uid)
    since = event.timestamp - BEFORE_SECONDS
    recorded = recording.events(since, event.timestamp + AFTER_SECONDS)
    events = [visible(one.event, viewer_uid) for one in recorded if one.id == number or not _is_later(one.event, event)]
    return _evidence(recording, since, event.timestamp, events, viewer_uid)


def _evidence(
    recording: Recording, since: float, until: float, events: Sequence[Event], viewer_uid: int | None
) -> Evidence:
    moments = recorded_moments(recording, since, *pace(events, (since, until)))
    seen = as_seen_by(moments, viewer_uid)
    evidence = from_moments("the server's recording", seen, events, (since, until))
    if evidence is None:
        raise FailureError("nothing is left of the time before it")
    return evidence


def of_dump(path: Path, viewer_uid: int | None) -> Evidence:
    """What is in a dump. Raises `FailureError`."""
    dump = Dump(path)
    events = [visible(event, viewer_uid) for event in dump.events()]
    until, step = pace(events, dump.span())
    moments = as_seen_by(dump.moments_apart(step, until), viewer_uid)
    evidence = from_moments(f"dump {path.name}", moments, events, dump.span())
    if evidence is None:
        raise FailureError(f"{path.name}: no moment in this dump can be read")
    return evidence


def as_seen_by(moments: Iterable[Moment], viewer_uid: int | None) -> Iterator[Moment]:
    """The moments without what this viewer may not see."""
    for moment in moments:
        yield moment if sees_all(moment, viewer_uid) else _without_others(moment, viewer_uid)


def _without_others(moment: Moment, viewer_uid: int | None) -> Moment:
    """By the rule of every answer: what `select` leaves out is left out here."""
    selection = select(moment, None, viewer_uid)
    shown = {id(one) for reports in selection.allocators.values() for one in reports}
    shown |= set(map(id, selection.kernels.values()))
    samples = [
        structs.replace(
            sample,
            allocators=tuple(one for one in sample.allocators if id(one) in shown),
            kernels=tuple(one for one in sample.kernels if id(one) in shown),
            engines=selection.engines if place == 0 else (),
        )
        for place, sample in enumerate(moment.samples)
    ]
    return structs.replace(moment, samples=tuple(samples))


def _is_later(other: Event, event: Event) -> bool:
    """Whether another failure is not before the one in question."""
    return other.kind in FAILURES and other.timestamp >= event.timestamp
