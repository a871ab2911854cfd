"""Evidence out of what Blackbox recorded: a dump, a data directory."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import structs

from blackbox.errors import FailureError
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.recorder import Recording
from blackbox.recorder.dumps.file import Dump
from blackbox.report.evidence import FAILURES, SUMMARIES_MAX, Evidence, from_moments, pace

AFTER_SECONDS = 10.0
"""After a failure: the exit of the process and what else fell with it."""


def of_dump(path: Path) -> Evidence:
    """What is in a dump. Raises `FailureError`."""
    dump = Dump(path)
    events = dump.events()
    about = kept_for(dump, events)
    until, step = pace(events, dump.span(), about)
    evidence = from_moments(f"dump {path.name}", dump.moments_apart(step, until), events, dump.span(), about=about)
    if evidence is None:
        raise FailureError(f"{path}: no moment in this dump can be read")
    return _with_notes(evidence, _damage(dump, path))


def kept_for(dump: Dump, events: Iterable[Event]) -> Event | None:
    """The event that the dump was kept of, where that is no failure: a threshold, an Xid, a lost GPU."""
    others = (event for event in events if event.kind not in FAILURES)
    return max(
        (event for event in others if event.message == dump.head.reason),
        key=lambda event: event.timestamp,
        default=None,
    )


def of_recording(recording: Recording, since: float, until: float, origin: str) -> Evidence | None:
    """What a data directory holds of a range of Unix seconds; None where that is nothing."""
    events = [recorded.event for recorded in recording.events(since, until + AFTER_SECONDS)]
    moments = recorded_moments(recording, since, *pace(events, (since, until)))
    evidence = from_moments(origin, moments, events, (since, until))
    if evidence is None or not recording.damaged:
        return evidence
    return _with_notes(evidence, [f"{recording.damaged} damaged records were skipped"])


def recorded_moments(recording: Recording, since: float, until: float, step: float) -> Iterator[Moment]:
    """What was recorded at instants so far apart, each moment once."""
    before = float("-inf")
    for place in range(SUMMARIES_MAX + 1):
        moment = recording.moment_at(min(until, since + place * step) if place < SUMMARIES_MAX else until)
        if moment is not None and moment.timestamp > before:
            before = moment.timestamp
            yield moment


def _damage(dump: Dump, path: Path) -> list[str]:
    notes: list[str] = []
    if dump.damaged:
        notes.append(f"{dump.damaged} parts of {path.name} are damaged and were skipped")
    if dump.is_cut:
        notes.append(f"{path.name} was cut off: its end is missing")
    return notes


def _with_notes(evidence: Evidence, notes: Sequence[str]) -> Evidence:
    return structs.replace(evidence, notes=(*evidence.notes, *notes))
