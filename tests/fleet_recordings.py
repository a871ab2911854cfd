"""Recordings of a small fleet's machines, and what their rows must be: worked out from the moments themselves, not from
what the recorder made of them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from blackbox.merge import merge
from blackbox.model.event import Event, ProcessLife
from blackbox.model.moment import Moment
from blackbox.model.parts import Workload
from blackbox.model.snapshot import Process
from tests import moments
from tests.moments import GIB, MIB, SERVER, SILENT, TRAINER

STEP_SECONDS = 20
MINUTE = 60
REUSED = 4800
"""A pid that is given to a second process."""
SECRETS = ("SECRET_ARGUMENT", "SECRET_MESSAGE", "SecretError", "secret_frame", "someone")
"""Words that a machine knows and never ships by default."""
METRICS = ("used_bytes", "reserved_bytes", "allocated_bytes")


def machine_moments(start: float, minutes: int, number: int = 0) -> Iterator[Moment]:
    """A machine from a whole minute on, three moments a minute: a trainer that grows, a server in a pod, a process of
    unknown size, and a pid that two processes have one after the other; the last moment begins one minute more."""
    boot = start - 3600
    for place in range(minutes * MINUTE // STEP_SECONDS + 1):
        time = start + place * STEP_SECONDS
        minute = place * STEP_SECONDS // MINUTE
        growth = place * MIB + number * 17
        processes = [
            moments.process(TRAINER, used_bytes=5 * GIB + growth, start_time=boot),
            moments.process(
                SERVER,
                used_bytes=4 * GIB,
                name="VLLM::Worker",
                start_time=boot,
                container="c0ffee" * 10,
                workload=Workload(runtime="containerd", pod_uid=f"pod-{number}", namespace="ml", pod=f"chat-{number}"),
            ),
            moments.process(
                SILENT, used_bytes=None, start_time=boot, unknown={"used_bytes": "the driver does not tell"}
            ),
        ]
        if minute not in (3, 4):
            life = boot if minute < 3 else start + 5 * MINUTE
            processes.append(moments.process(REUSED, "GPU-1", used_bytes=GIB, start_time=life, name="notebook"))
        seen = moments.sample(
            (moments.device(0), moments.device(1)),
            processes,
            allocators=(moments.allocator(TRAINER, start_time=boot, allocated_bytes=3 * GIB),),
            engines=(moments.engine(),),
        )
        yield moments.moment(seen, seq=place + 1, timestamp=time, host=f"host-{number}")


def machine_events(start: float) -> list[Event]:
    """The end of the first process of the reused pid, and a crash with things that are not to be shipped."""
    life = ProcessLife(
        name="notebook",
        start_time=start - 3600,
        used_bytes=GIB,
        peak_used_bytes=GIB,
        peak_at=start,
        ended="exception",
        exit_code=1,
        exception="SecretError",
    )
    at = start + 3 * MINUTE + 5
    common = {"gpu_uuid": "GPU-1", "pid": REUSED, "uid": 1000, "process": life}
    return [
        Event(kind="process_exit", timestamp=at, message="SECRET_MESSAGE", **common),
        Event(kind="crash", timestamp=at, message="SECRET_MESSAGE of SecretError", **common),
        Event(kind="xid", timestamp=at + 1, message="SECRET_MESSAGE", gpu_uuid="GPU-0", code=79),
    ]


def expected_processes(seen: Iterable[Moment]) -> list[dict[str, Any]]:
    """Rows of `process` for every closed minute of these moments; in the order of their keys."""
    rows: list[dict[str, Any]] = []
    for minute, group in groupby(seen, key=lambda moment: moment.timestamp // MINUTE * MINUTE):
        rows += _of_minute(minute, [(moment, merge(moment).processes) for moment in group])
    newest = max(row["ts"] for row in rows)
    closed = [row for row in rows if row["ts"] < newest]
    return sorted(closed, key=lambda row: (row["ts"], row["gpu_uuid"], row["pid"], row["start_ms"]))


def _of_minute(minute: float, seen: Sequence[tuple[Moment, Sequence[Process]]]) -> Iterator[dict[str, Any]]:
    last, newest = seen[-1]
    keys = {_key(process) for _, processes in seen for process in processes}
    for key in keys:
        mine = [process for _, processes in seen for process in processes if _key(process) == key]
        now = next((process for process in newest if _key(process) == key), None)
        row: dict[str, Any] = {"ts": int(minute), "moment_ms": round(last.timestamp * 1000), "present": now is not None}
        row |= dict(zip(("gpu_uuid", "pid", "start_ms"), key, strict=True)) | {"name": mine[-1].name}
        row["pod"] = None if now is None or now.workload is None else now.workload.pod
        for metric in METRICS:
            values = [value for process in mine if (value := _known(process, metric)) is not None]
            row[metric] = None if now is None else _known(now, metric)
            row[f"{metric}_min"] = min(values, default=None)
            row[f"{metric}_mean"] = _stepped_mean(values) if values else None
            row[f"{metric}_max"] = max(values, default=None)
        yield row


def _stepped_mean(values: Sequence[int]) -> int:
    """To the next 64 KiB, and within the values."""
    return sorted((min(values), round(fmean(values) / 65_536) * 65_536, max(values)))[1]


def _key(process: Process) -> tuple[str, int, int]:
    start = -1 if process.start_time is None else round(process.start_time * 1000)
    return process.gpu_uuid, process.pid, start


def _known(process: Process, metric: str) -> int | None:
    return None if metric in process.unknown else getattr(process, metric)


SHIPPED_PROCESSES = (
    "SELECT toUnixTimestamp(ts) AS ts, toUnixTimestamp64Milli(moment) AS moment_ms, present, gpu_uuid, pid, start_ms, "
    "name, pod, "
    + ", ".join(f"{metric}{end}" for metric in METRICS for end in ("", "_min", "_mean", "_max"))
    + " FROM blackbox.process FINAL WHERE machine = '{machine}' ORDER BY ts, gpu_uuid, pid, start_ms"
)
"""The same of the engine."""
