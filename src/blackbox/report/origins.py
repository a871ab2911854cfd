"""Evidence out of files: a dump, a data directory, a PyTorch memory snapshot."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import structs

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.errors import FailureError
from blackbox.merge import merge
from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.model.text import size
from blackbox.recorder import Recording
from blackbox.recorder.dumps.file import Dump
from blackbox.report.evidence import SUMMARIES_MAX, Evidence, Inside, from_moments, from_summaries, pace
from blackbox.sources.isolation.reader import Progress
from blackbox.sources.memory_snapshot import read as read_snapshot_file
from blackbox.sources.memory_snapshot.contents import Contents, at_moment
from blackbox.sources.memory_snapshot.moment import moment_of
from blackbox.sources.memory_snapshot.parts import SnapshotParts
from blackbox.sources.memory_snapshot.replayed import Replayed, Told

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
    moments = recorded_moments(recording, since, *pace(events, (since, until)))
    evidence = from_moments(origin, moments, events, (since, until))
    if evidence is None or not recording.damaged:
        return evidence
    return _with_notes(evidence, [f"{recording.damaged} damaged records were skipped"])


def of_snapshot_file(
    path: Path,
    rules: CategoryRules = NO_RULES,
    progress: Progress | None = None,
    parts: SnapshotParts = "traces",
) -> Evidence:
    """What is in a PyTorch memory snapshot: one process, at one instant, and its history; `rules` of the user's own
    tell what its memory is for. Raises `FailureError`."""
    contents = read_snapshot_file(path, parts, rules, progress)
    origin, replayed = f"PyTorch snapshot {path.name}", contents.replayed
    if replayed is None:
        return _of_the_end(path, contents, origin)
    told = replayed.told
    failures = [_failure(told, replayed)] if told.kind == "refusal" else []
    moment = merge(moment_of(path, at_moment(contents, told)))
    evidence = from_summaries(origin, [], moment, failures, _moment_notes(told, replayed))
    return structs.replace(evidence, inside=Inside(allocator=told.allocator), replayed=replayed)


def _of_the_end(path: Path, contents: Contents, origin: str) -> Evidence:
    """Of the blocks alone, where no trace can be read."""
    allocators = contents.sample.allocators
    if not allocators:
        raise FailureError(f"{path}: it holds no GPU memory")
    shown = max(allocators, key=lambda allocator: allocator.reserved_bytes)
    evidence = from_summaries(origin, [], merge(moment_of(path, contents)), [])
    return structs.replace(evidence, inside=Inside(allocator=shown))


def _moment_notes(told: Told, replayed: Replayed) -> list[str]:
    end = next(device.end for device in replayed.devices if device.gpu == told.device)
    texts = {
        "refusal": "the blocks are those at the refusal",
        "peak": "nothing was refused: the blocks are those at the peak",
        "end": "the blocks are those at the end",
    }
    then = f"{size(end.allocated_bytes)} were allocated when the file was written"
    return [f"{texts[told.kind]}; {then}", *told.notes]


def recorded_moments(recording: Recording, since: float, until: float, step: float) -> Iterator[Moment]:
    """What was recorded at instants so far apart, each moment once."""
    before = float("-inf")
    for place in range(SUMMARIES_MAX + 1):
        moment = recording.moment_at(min(until, since + place * step) if place < SUMMARIES_MAX else until)
        if moment is not None and moment.timestamp > before:
            before = moment.timestamp
            yield moment


def _failure(told: Told, replayed: Replayed) -> Event:
    refusal = next(device.refusals[-1] for device in replayed.devices if device.gpu == told.device)
    return Event(
        kind="oom",
        timestamp=told.time or 0.0,
        message=f"out of memory: tried to allocate {refusal.requested_size} bytes",
        gpu_uuid=told.allocator.gpu_uuid,
        pid=told.allocator.pid,
        oom=OutOfMemory(
            source=told.allocator.source,
            requested_bytes=refusal.requested_size,
            thread_id=None,
            device_total_bytes=None,
            device_free_bytes=refusal.device_free_bytes,
            allocator=told.allocator,
            trace=(),
            stacks=(),
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
