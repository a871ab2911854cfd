"""Rows of what happened: events of the recording, and gaps in what is shipped. The same recording makes the same rows,
until the moment in which the process of an event is looked up has been thinned.
"""

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from blackbox.fleet.rows import Origin, Rows, TableRow, clean, exact_time, owner, start_ms, whole_time
from blackbox.fleet.schema import EVENT, LIFE, OWNER_KEYS
from blackbox.model.event import Event, ProcessLife
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from blackbox.recorder import RecordedEvent


def event_rows(events: Iterable[RecordedEvent], origin: Origin, moment_at: Callable[[float], Moment | None]) -> Rows:
    """Rows of some events, and of the lives that they end."""
    found: Rows = {EVENT.name: [], LIFE.name: []}
    for recorded in events:
        event = recorded.event
        process = None if event.pid is None else _process_of(event, moment_at)
        row = origin.where | _event_row(recorded, process, origin)
        found[EVENT.name].append(row)
        life = _ended_life(event, row)
        if life is not None:
            found[LIFE.name].append(life)
    return found


def gap_row(origin: Origin, since: float, until: float, reason: str, **more: object) -> TableRow:
    """A stretch that never came, or a row that no table takes, as an event."""
    detail = {"since": exact_time(since), "until": exact_time(until), "reason": reason} | more
    text = msgspec.json.encode(detail).decode()
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
    return origin.where | {"kind": "gap", "ts": exact_time(until), "event_id": number, "detail": text}


def _process_of(event: Event, moment_at: Callable[[float], Moment | None]) -> DeviceProcess | None:
    """The process of an event as the driver listed it then, or shortly before: it may be about its end."""
    for seconds_before in (0.0, 2.0, 60.0):
        moment = moment_at(event.timestamp - seconds_before)
        for sample in () if moment is None else moment.samples:
            for process in sample.processes:
                if process.pid == event.pid and event.gpu_uuid in (None, process.gpu_uuid):
                    return process
    return None


def _event_row(recorded: RecordedEvent, process: DeviceProcess | None, origin: Origin) -> TableRow:
    event = recorded.event
    life, oom = event.process, event.oom
    allocator = None if oom is None else oom.allocator
    start_time = life.start_time if life is not None else None if process is None else process.start_time
    name = life.name if life is not None else None if process is None else process.name
    return {
        "kind": event.kind,
        "ts": exact_time(event.timestamp),
        "event_id": recorded.id,
        "gpu_uuid": event.gpu_uuid,
        "pid": event.pid,
        "start_ms": None if start_time is None else start_ms(start_time),
        "name": None if name is None else clean(name),
        **owner(process, origin),
        "code": event.code,
        "used_bytes": _used_bytes(event),
        "peak_used_bytes": None if life is None else life.peak_used_bytes,
        "requested_bytes": None if oom is None else oom.requested_bytes,
        "device_total_bytes": None if oom is None else oom.device_total_bytes,
        "device_free_bytes": None if oom is None else oom.device_free_bytes,
        "reserved_bytes": None if allocator is None else allocator.reserved_bytes,
        "allocated_bytes": None if allocator is None else allocator.allocated_bytes,
        "ended": None if life is None else life.ended,
        "detail": _detail(event),
    }


def _used_bytes(event: Event) -> int | None:
    if event.process is not None:
        return event.process.used_bytes
    return None if event.growth is None else event.growth.used_bytes


def _detail(event: Event) -> str:
    """Numbers alone: neither message nor stack nor the type of an exception."""
    found: TableRow = {}
    if event.growth is not None:
        found["growth"] = {key: value for key, value in msgspec.to_builtins(event.growth).items() if key != "name"}
    if event.threshold is not None:
        found["threshold"] = msgspec.to_builtins(event.threshold)
    if event.process is not None:
        found |= {key: getattr(event.process, key) for key in ("signal", "exit_code")}
    return msgspec.json.encode({key: value for key, value in found.items() if value is not None}).decode()


def _ended_life(event: Event, row: TableRow) -> TableRow | None:
    life: ProcessLife | None = event.process
    if event.kind not in ("process_exit", "crash") or life is None or event.gpu_uuid is None or event.pid is None:
        return None
    minute = whole_time(event.timestamp // 60 * 60)
    found: TableRow = {column.name: None for column in LIFE.shipped}
    found |= {key: row[key] for key in ("tenant", "machine", "host", "gpu_uuid", "pid", "name", *OWNER_KEYS)}
    return found | {
        "start_ms": start_ms(life.start_time),
        "first_seen": minute,
        "last_seen": minute,
        "peak_used_bytes": life.peak_used_bytes,
        "ended_at": row["ts"],
        "ended": life.ended,
        "signal": life.signal,
        "exit_code": life.exit_code,
    }
