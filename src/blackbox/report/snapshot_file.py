"""Evidence out of a PyTorch memory snapshot. Nothing of the recorder is needed for it."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import structs

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.analysis.trace.device_findings import DeviceFindings
from blackbox.analysis.trace.ranks import history_of
from blackbox.errors import FailureError
from blackbox.merge import merge
from blackbox.model.event import Event, OutOfMemory
from blackbox.model.text import plural, size
from blackbox.report.evidence import Evidence, Inside, from_summaries
from blackbox.sources.isolation.reader import Progress
from blackbox.sources.memory_snapshot import read as read_snapshot_file
from blackbox.sources.memory_snapshot.contents import Contents, at_moment
from blackbox.sources.memory_snapshot.moment import moment_of
from blackbox.sources.memory_snapshot.parts import SnapshotParts
from blackbox.sources.memory_snapshot.replayed import Replayed, Told
from blackbox.sources.memory_snapshot.traces import HOST

MALFORMED = "its history is malformed, and nothing is told of it: the blocks are those at the end"
NO_TIMES = "the file tells no times: that of the report is when the file was written, or copied"


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
    then = at_moment(contents, told)
    moment = moment_of(path, then)
    failures = [_failure(told, replayed, moment.timestamp)] if told.kind == "refusal" else []
    notes = [*_moment_notes(told, replayed), *_of_times(then), *_of_others(contents)]
    evidence = from_summaries(origin, [], merge(moment), failures, notes)
    return structs.replace(evidence, inside=Inside(allocator=told.allocator), replayed=replayed)


def _of_the_end(path: Path, contents: Contents, origin: str) -> Evidence:
    """Of the blocks alone, where no trace can be read."""
    allocators = contents.sample.allocators
    if not allocators:
        raise FailureError(f"{path}: it holds no GPU memory")
    shown = max(allocators, key=lambda allocator: allocator.reserved_bytes)
    notes = [MALFORMED, *_of_times(contents), *_of_others(contents)]
    evidence = from_summaries(origin, [], merge(moment_of(path, contents)), [], notes)
    return structs.replace(evidence, inside=Inside(allocator=shown))


def _moment_notes(told: Told, replayed: Replayed) -> list[str]:
    end = next(device.end for device in replayed.devices if device.gpu == told.device)
    texts = {
        "refusal": "the blocks are those at the refusal",
        "peak": "nothing was refused: the blocks are those at the peak",
        "end": "the blocks are those at the end",
    }
    then = f"{size(end.allocated_bytes)} were allocated when the file was written"
    others = (_of_another(device) for device in replayed.devices if device.gpu != told.device)
    return [f"{texts[told.kind]}; {then}", *others, *told.notes]


def _of_times(contents: Contents) -> list[str]:
    return [] if contents.timestamp is not None else [NO_TIMES]


def _of_another(device: DeviceFindings) -> str:
    """What a report of one GPU says of the others that the program used."""
    name = "pinned on the host it" if device.gpu == HOST else f"on GPU {device.gpu} the program"
    refused = f", and {plural(device.refusals_total, 'request was', 'requests were')} refused there"
    refused = refused if device.refusals_total else ""
    history = history_of(device)
    if history == "none":
        return f"{name} held {size(device.end.allocated_bytes)} at the end{refused}"
    most = size(device.peak.bytes if device.peak.bytes_max is None else device.peak.bytes_max)
    known = " in the part of its history that is known" if history == "part" else ""
    return f"{name} held at most {most}{known}{refused}"


def _of_others(contents: Contents) -> Iterator[str]:
    """Of the snapshots beside the one that is told, where a file holds several."""
    beside = contents.beside
    if not beside:
        return
    yield (
        f"the file holds {len(beside) + 1} snapshots: this one is {contents.place}, and "
        "`blackbox compare FILE` has all of them in one table"
    )
    peaks = [(device.peak.bytes, one.place) for one in beside for device in one.devices if device.gpu != HOST]
    refused = sum(device.refusals_total for one in beside for device in one.devices)
    if peaks:
        most, place = max(peaks)
        requests = f"; {plural(refused, 'request was', 'requests were')} refused in the others" if refused else ""
        yield f"of the others {place} held most, {size(most)} at its peak{requests}"


def _failure(told: Told, replayed: Replayed, timestamp: float) -> Event:
    refusal = next(device.refusals[-1] for device in replayed.devices if device.gpu == told.device)
    return Event(
        kind="oom",
        timestamp=timestamp,
        message=f"out of memory: tried to allocate {size(refusal.requested_size)}",
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
