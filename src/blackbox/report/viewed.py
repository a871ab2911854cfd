"""Evidence of an event of a recording, or of a dump, as a viewer may see it."""

from collections.abc import Sequence
from pathlib import Path

from blackbox.errors import FailureError
from blackbox.model.event import Event
from blackbox.model.visibility import visible_event, visible_moment
from blackbox.recorder import RecordedEvent, Recording
from blackbox.recorder.dumps.file import Dump
from blackbox.report.evidence import FAILURES, FAILURES_MAX, Evidence, from_moments, newest_failure, pace
from blackbox.report.origins import AFTER_SECONDS, kept_for, recorded_moments

BEFORE_SECONDS = 600.0
"""Time before an event that its report tells of, as `blackbox report` has it."""


def newest(recording: Recording, viewer_uid: int | None) -> Evidence:
    """What was recorded of the last failure, or of the last minutes where there was none. Raises `FailureError`."""
    found = recording.events(kind=FAILURES, limit=FAILURES_MAX, light=True)
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
    event = visible_event(found, viewer_uid)
    since = event.timestamp - BEFORE_SECONDS
    recorded = recording.events(since, event.timestamp + AFTER_SECONDS)
    earlier = (found if one.id == number else one.event for one in recorded if not _is_later(one, number, event))
    events = [visible_event(one, viewer_uid) for one in earlier]
    return _evidence(recording, since, event.timestamp, events, viewer_uid, event)


def _evidence(
    recording: Recording,
    since: float,
    until: float,
    events: Sequence[Event],
    viewer_uid: int | None,
    about: Event | None = None,
) -> Evidence:
    moments = recorded_moments(recording, since, *pace(events, (since, until), about))
    seen = (visible_moment(moment, viewer_uid) for moment in moments)
    evidence = from_moments("the server's recording", seen, events, (since, until), about=about)
    if evidence is None:
        raise FailureError("nothing is left of the time before it")
    return evidence


def of_dump(path: Path, viewer_uid: int | None) -> Evidence:
    """What is in a dump. Raises `FailureError`."""
    dump = Dump(path)
    events = [visible_event(event, viewer_uid) for event in dump.events()]
    about = kept_for(dump, events)
    until, step = pace(events, dump.span(), about)
    moments = (visible_moment(moment, viewer_uid) for moment in dump.moments_apart(step, until))
    evidence = from_moments(f"dump {path.name}", moments, events, dump.span(), about=about)
    if evidence is None:
        raise FailureError(f"{path.name}: no moment in this dump can be read")
    return evidence


def _is_later(other: RecordedEvent, number: int, event: Event) -> bool:
    """Whether it is another failure, and not before the one in question."""
    return other.id != number and other.event.kind in FAILURES and other.event.timestamp >= event.timestamp
