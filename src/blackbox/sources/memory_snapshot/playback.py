"""A snapshot's history as moments, for a replay: the allocator at some hundreds of its steps, and what was refused."""

import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.analysis.trace.moments import highest, refusals
from blackbox.analysis.trace.replay import Instant, instants
from blackbox.errors import FailureError
from blackbox.model.event import Event, OutOfMemory
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, Device, Memory
from blackbox.model.sample import Sample
from blackbox.model.text import size
from blackbox.sources.memory_snapshot.choice import chosen
from blackbox.sources.memory_snapshot.contents import NO_DRIVER, NOT_TOLD, device_of, process_of, whole_of
from blackbox.sources.memory_snapshot.device_replay import (
    MICROSECONDS,
    DeviceReplay,
    allocator_at,
    replayed_device,
)
from blackbox.sources.memory_snapshot.growth import growths
from blackbox.sources.memory_snapshot.moment import status_of, which
from blackbox.sources.memory_snapshot.nested import Nested
from blackbox.sources.memory_snapshot.parts import PID, SOURCE, TAKEN_AT, device_uuid
from blackbox.sources.memory_snapshot.reading import read_packed
from blackbox.sources.memory_snapshot.traces import HOST, read_traces

MOMENTS_MAX = 240
"""Of all devices: two minutes at the pace of a live server."""
BLOCKS_MAX = 2_000_000
"""Of all moments together; of larger allocators fewer moments are told."""
MOMENTS_MIN = 20
REFUSALS_MAX = 60
"""Played of each device, the last ones."""
TOTAL_UNKNOWN = f"{NOT_TOLD}; the most that this process held or was told to be free"
_LENGTH = struct.Struct("<I")
"""Before what is known of the file, and each moment, packed and compressed: how many bytes follow."""
_FACTS = msgspec.msgpack.Decoder(dict[str, str])


class PlayedMoment(Struct, frozen=True):
    """What holds from one place in the history on."""

    time: float | None
    """Unix seconds."""
    sample: Sample


def packed_playback(found: Sequence[Nested], rules: CategoryRules = NO_RULES) -> bytes:
    """All moments of a file, as the child writes them. Raises what `read_traces` does."""
    one = chosen(found, rules)
    moments = played(whole_of(one.snapshot), rules)
    packed = [zlib.compress(msgspec.msgpack.encode(moment), 1) for moment in moments]
    facts = msgspec.msgpack.encode(which(one.place, len(found)))
    return b"".join(_LENGTH.pack(len(part)) + part for part in (facts, *packed)) if packed else b""


def moments_of_file(path: Path, rules: CategoryRules = NO_RULES) -> Iterator[Moment]:
    """The history of a snapshot file, oldest first; read at once, told one by one. `rules` of the user's own tell what
    its memory is for. Raises `FailureError`."""
    packed = read_packed(path, "playback", rules)
    if not packed:
        raise FailureError(f"{path}: it holds no GPU memory")
    return _moments(path, packed, path.stat().st_mtime)


def played(snapshot: Mapping[str, Any], rules: CategoryRules = NO_RULES) -> Iterator[PlayedMoment]:
    """The moments; none where the file holds no memory of a GPU."""
    traces = read_traces(snapshot, rules)
    devices = [replayed_device(one, traces, 1) for one in traces.devices if one.device != HOST]
    if not devices:
        return
    blocks = sum(max(len(device.recorded.end.address), len(device.run.start_address)) for device in devices)
    count = max(MOMENTS_MIN, min(MOMENTS_MAX, BLOCKS_MAX // max(1, blocks))) // len(devices)
    marks = sorted(mark for number, device in enumerate(devices) for mark in _marks(device, number, max(2, count)))
    stops: list[set[int]] = [{0} for _ in devices]
    for _, number, done in marks:
        stops[number].add(done)
    walks = [instants(device.run, sorted(stop)) for device, stop in zip(devices, stops, strict=True)]
    now = [next(walk) for walk in walks]
    grown = [deque(growths(device)) for device in devices]
    for place, number, done in marks:
        while now[number].done < done:
            now[number] = next(walks[number])
        time = place if devices[number].run.trace.time_us is not None else None
        yield _moment(devices, now, number, time, _due(grown[number], done))


def _due(grown: deque[tuple[int, Event]], done: int) -> list[Event]:
    """What was noticed up to there, and not told yet."""
    found: list[Event] = []
    while grown and grown[0][0] <= done:
        found.append(grown.popleft()[1])
    return found


def _marks(device: DeviceReplay, number: int, count: int) -> Iterator[tuple[float, int, int]]:
    """(When, which device, entries replayed): the highest of each stretch, the peak, refusals, and both ends.

    Without times the share of the history stands for the time.
    """
    run = device.run
    wanted = {0, run.steps, highest(run).done}
    wanted |= {place + 1 - run.first for place in refusals(run)[-REFUSALS_MAX:]}
    length = -(-(run.steps + 1) // count)
    for start in range(0, run.steps + 1, length):
        stretch = run.allocated[start : start + length]
        wanted.add(start + stretch.index(max(stretch)))
    times = run.trace.time_us
    for done in sorted(wanted):
        last = min(run.first + max(0, done - 1), run.trace.steps - 1)  # of a trace that agrees with nothing: its end
        timed = times is not None and run.trace.steps > 0
        when = times[last] / MICROSECONDS if times is not None and timed else done / max(1, run.steps)
        yield when, number, done


def _moment(
    devices: Sequence[DeviceReplay], now: Sequence[Instant], number: int, time: float | None, grown: Sequence[Event]
) -> PlayedMoment:
    allocators = [allocator_at(device, instant, with_stacks=True) for device, instant in zip(devices, now, strict=True)]
    refused = _refusal(devices[number], now[number], allocators[number], time)
    return PlayedMoment(
        time,
        Sample(
            source=SOURCE,
            taken_at=TAKEN_AT,
            devices=tuple(map(_device, devices, allocators)),
            processes=tuple(process_of(device.recorded.device) for device in devices),
            processes_taken_at=TAKEN_AT,
            allocators=tuple(allocators),
            events=(*grown, *(() if refused is None else (refused,))),
        ),
    )


def _device(device: DeviceReplay, allocator: Allocator) -> Device:
    """As large as its process was ever seen to fill it, which is all that the file tells."""
    run = device.run
    at_refusals = (run.reserved[place - run.first] + run.trace.device_free.get(place, 0) for place in refusals(run))
    total = max(max(run.reserved), *at_refusals, 0)
    told = device_of(device.recorded.device, total)
    held = allocator.reserved_bytes
    return structs.replace(
        told,
        memory=Memory(
            total_bytes=total, used_bytes=held, free_bytes=total - held, driver_reserved_bytes=0, source=NO_DRIVER
        ),
        unknown={**told.unknown, "total_bytes": TOTAL_UNKNOWN, "free_bytes": TOTAL_UNKNOWN},
    )


def _refusal(device: DeviceReplay, instant: Instant, allocator: Allocator, time: float | None) -> Event | None:
    run = device.run
    place = run.first + instant.done - 1
    if not instant.done or place not in refusals(run)[-REFUSALS_MAX:]:
        return None
    requested = run.trace.size[place]
    return Event(
        kind="oom",
        timestamp=time or 0.0,
        message=f"out of memory: tried to allocate {size(requested)}",
        gpu_uuid=device_uuid(device.recorded.device),
        pid=PID,
        oom=OutOfMemory(
            source=SOURCE,
            requested_bytes=requested,
            thread_id=None,
            device_total_bytes=None,
            device_free_bytes=run.trace.device_free.get(place),
            allocator=structs.replace(allocator, blocks=None, stacks=None),
            trace=(),
            stacks=(),
        ),
    )


def _moments(path: Path, packed: bytes, written: float) -> Iterator[Moment]:
    decoder = msgspec.msgpack.Decoder(PlayedMoment)
    (length,) = _LENGTH.unpack_from(packed)
    at = _LENGTH.size + length
    status = status_of(path, _FACTS.decode(packed[_LENGTH.size : at]))
    uid = os.getuid()  # whose process it was, no file tells; who plays it could read it, and may look inside
    seq = 0
    while at < len(packed):
        (length,) = _LENGTH.unpack_from(packed, at)
        at += _LENGTH.size + length
        found = decoder.decode(zlib.decompress(packed[at - length : at]))
        time = written if found.time is None else found.time
        events = tuple(structs.replace(event, timestamp=time, uid=uid) for event in found.sample.events)
        processes = tuple(structs.replace(process, uid=uid) for process in found.sample.processes)
        yield Moment(
            seq=seq,
            timestamp=time,
            taken_at=TAKEN_AT,
            host="",
            samples=(structs.replace(found.sample, events=events, processes=processes),),
            sources=(status,),
        )
        seq += 1
