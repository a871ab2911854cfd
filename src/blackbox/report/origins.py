"""Evidence out of files: a dump, a data directory, a PyTorch memory snapshot."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import structs

from blackbox.errors import FailureError
from blackbox.merge import merge
from blackbox.model.sample import Allocator, Event, OutOfMemory
from blackbox.model.snapshot import Moment
from blackbox.recorder import Recording
from blackbox.recorder.dumps.file import Dump
from blackbox.report.evidence import SUMMARIES_MAX, Evidence, Inside, from_moments, from_summaries, pace
from blackbox.sources.memory_snapshot import read as read_snapshot_file
from blackbox.sources.memory_snapshot.history import History
from blackbox.sources.memory_snapshot.moment import moment_of

AFTER_SECONDS = 10.0
"""After a failure: the exit of the process and what else fell with it."""


def of_dump(path: Path) -> Evidence:
    """What is in a dump. Raises `FailureError`."""
    dump = Dump(path)
    events = dump.events()
    until, step = pace(events, dump.span())
    evidence = from_moments(f"dump {path.name}", dump.moments_apart(step, until), events, dump.span())
    if evidence is None:
        raise FailureError(f"{path}: no moment in this dump can be read")
    return _with_notes(evidence, _damage(dump, path))


def of_recording(recording: Recording, since: float, until: float, origin: str) -> Evidence | None:
    """What a data directory holds of a range of Unix seconds; None where that is nothing."""
    events = [recorded.event for recorded in recording.events(since, until + AFTER_SECONDS)]
    moments = _moments(recording, since, *pace(events, (since, until)))
    evidence = from_moments(origin, moments, events, (since, until))
    if evidence is None or not recording.damaged:
        return evidence
    return _with_notes(evidence, [f"{recording.damaged} damaged records were skipped"])


def of_snapshot_file(path: Path) -> Evidence:
    """What is in a PyTorch memory snapshot: one process, at one instant, and its history. Raises `FailureError`."""
    contents = read_snapshot_file(path)
    allocators = contents.sample.allocators
    if not allocators:
        raise FailureError(f"{path}: it holds no GPU memory")
    histories = {f"device-{history.device}": history for history in contents.histories}
    failures = [
        _failure(allocator, history, history.refusal.time_us)
        for allocator in allocators
        if (history := histories.get(allocator.gpu_uuid)) is not None and history.refusal is not None
    ]
    shown = max(allocators, key=lambda allocator: allocator.reserved_bytes)
    evidence = from_summaries(f"PyTorch snapshot {path.name}", [], merge(moment_of(path, contents)), failures)
    if evidence.inside is None:
        history = histories.get(shown.gpu_uuid)
        evidence = _with_inside(evidence, shown, history)
    return evidence


def _moments(recording: Recording, since: float, until: float, step: float) -> Iterator[Moment]:
    """What was recorded at instants so far apart, each moment once."""
    before = float("-inf")
    for place in range(SUMMARIES_MAX + 1):
        moment = recording.moment_at(min(until, since + place * step) if place < SUMMARIES_MAX else until)
        if moment is not None and moment.timestamp > before:
            before = moment.timestamp
            yield moment


def _with_inside(evidence: Evidence, allocator: Allocator, history: History | None) -> Evidence:
    inside = Inside(
        allocator=allocator, trace=history.trace if history else (), stacks=history.stacks if history else ()
    )
    return structs.replace(evidence, inside=inside)


def _failure(allocator: Allocator, history: History, time_us: int | None) -> Event:
    refusal = history.refusal
    assert refusal is not None
    return Event(
        kind="oom",
        timestamp=(time_us or 0) / 1e6,
        message=f"out of memory: tried to allocate {refusal.requested_bytes} bytes",
        gpu_uuid=allocator.gpu_uuid,
        pid=allocator.pid,
        oom=OutOfMemory(
            source=allocator.source,
            requested_bytes=refusal.requested_bytes,
            thread_id=None,
            device_total_bytes=None,
            device_free_bytes=refusal.device_free_bytes,
            allocator=allocator,
            trace=history.trace,
            stacks=history.stacks,
        ),
    )


def _damage(dump: Dump, path: Path) -> list[str]:
    notes: list[str] = []
    if dump.damaged:
        notes.append(f"{dump.damaged} parts of {path.name} are damaged and were skipped")
    if dump.is_cut:
        notes.append(f"{path.name} was cut off: its end is missing")
    return notes


def _with_notes(evidence: Evidence, notes: Sequence[str]) -> Evidence:
    return structs.replace(evidence, notes=(*evidence.notes, *notes))
