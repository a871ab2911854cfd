"""Live memory by the stack that allocated it, over time: out of moments of the recording, some of a range."""

from collections.abc import Iterator
from typing import NamedTuple

from blackbox.merge import merged
from blackbox.merge.process_memory import ProcessMemory
from blackbox.model.identity import StartTimes
from blackbox.model.moment import Moment
from blackbox.model.parts import BlockType
from blackbox.model.query import StackHistory, StackSeries
from blackbox.model.view import UnknownGpuError
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.subjects import without_maps

STACKS_MAX = 50
"""In one answer: a picture tells some ten apart. Those with the highest peaks are kept, the rest counted."""


class StackFilter(NamedTuple):
    """Whose stacks are wanted."""

    gpu: str | None
    pid: int | None
    viewer_uid: int | None


class _Key(NamedTuple):
    gpu_uuid: str
    pid: int
    start_time: float | None
    frames: tuple[str, ...]
    type: BlockType
    subtype: str | None


class _Found(NamedTuple):
    process: ProcessMemory
    """The newest seen."""
    bytes: dict[int, int]
    """By the place of the moment."""


def stack_history(recording: Recording, since: float, until: float, wanted: StackFilter, points: int) -> StackHistory:
    """The answer to `/vram/stacks`: of as many moments, evenly spaced, as there are."""
    moments = list(_moments(recording, since, until, points))
    found: dict[_Key, _Found] = {}
    telling: dict[tuple[str, int, float | None], set[int]] = {}
    starts = StartTimes()
    for place, moment in enumerate(moments):
        for row in _rows(moment, wanted):
            process = row.process
            identity = starts.first((process.gpu_uuid, process.pid), process.start_time)
            if row.stacks:
                telling.setdefault((process.gpu_uuid, process.pid, identity), set()).add(place)
            for stack in row.stacks:
                key = _Key(process.gpu_uuid, process.pid, identity, stack.frames, stack.type, stack.subtype)
                sums = found[key].bytes if key in found else {}
                sums[place] = sums.get(place, 0) + stack.allocated_bytes
                found[key] = _Found(row, sums)
    largest = sorted(found, key=lambda key: -max(found[key].bytes.values()))
    kept = sorted(largest[:STACKS_MAX], key=lambda key: (found[key].process.process.gpu, key.pid, largest.index(key)))
    return StackHistory(
        from_=since,
        to=until,
        times=tuple(moment.timestamp for moment in moments),
        series=tuple(_series(key, found[key], telling[key[:3]], len(moments)) for key in kept),
        series_omitted=len(largest) - len(kept),
    )


def _moments(recording: Recording, since: float, until: float, points: int) -> Iterator[Moment]:
    step = (until - since) / points
    last = None
    for place in range(1, points + 1):
        moment = recording.moment_at(since + place * step)
        if moment is not None and moment.timestamp >= since and moment.timestamp != last:
            last = moment.timestamp
            yield moment


def _rows(moment: Moment, wanted: StackFilter) -> list[ProcessMemory]:
    try:
        rows = merged(without_maps(moment), wanted.gpu, wanted.viewer_uid).rows
    except UnknownGpuError:  # it was not there then
        return []
    return [row for row in rows if wanted.pid in (None, row.process.pid)]


def _series(key: _Key, found: _Found, telling: set[int], moments: int) -> StackSeries:
    process = found.process.process
    return StackSeries(
        gpu=process.gpu,
        gpu_uuid=key.gpu_uuid,
        pid=key.pid,
        name=process.name,
        start_time=process.start_time,
        frames=key.frames,
        type=key.type,
        subtype=key.subtype,
        bytes=tuple(found.bytes.get(place, 0) if place in telling else None for place in range(moments)),
    )
