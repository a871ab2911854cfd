"""A fleet made by hand: what servers would have shipped, and the same as Python values to compare answers with."""

import json
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from blackbox.fleet.setup import INSERT_SETTINGS
from tests.clickhouse_rig import ClickHouse

GIB = 1024**3
DAY_SECONDS = 86_400
START = int(time.time()) // DAY_SECONDS * DAY_SECONDS - 2 * DAY_SECONDS + 1_200
"""A full minute, and no full hour, some days ago: the engine drops what is older than it shall keep."""
MINUTE = 60


def utc(seconds: float) -> str:
    """As servers write times."""
    from blackbox.model.text import rfc3339

    return rfc3339(seconds)


def insert(node: ClickHouse, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Stores rows; columns that they leave out have their defaults."""
    for columns, alike in _by_columns(rows).items():
        body = "\n".join(json.dumps(row) for row in alike).encode()
        names = ", ".join(columns)
        answer = node.ask(f"INSERT INTO blackbox.{table} ({names}) FORMAT JSONEachRow", body=body, **INSERT_SETTINGS)
        assert answer.status == 200, answer.text


def _by_columns(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row), []).append(row)
    return found


def statistics(**values: int | None) -> dict[str, int | None]:
    """Each as the last, least, mean and largest of its minute."""
    return {f"{key}{end}": value for key, value in values.items() for end in ("", "_min", "_mean", "_max")}


class MadeProcess(NamedTuple):
    """A process on a GPU in a minute."""

    gpu_uuid: str
    pid: int
    user: str | None
    slurm_job: str | None
    used_bytes: int | None
    reserved_bytes: int | None
    allocated_bytes: int | None


class MadeMinute(NamedTuple):
    """A machine in a minute."""

    host: str
    ts: int
    moment: float
    total_bytes: dict[str, int]
    """By GPU."""
    used_bytes: dict[str, int]
    """By GPU."""
    processes: list[MadeProcess]


def gpu_rows(minute: MadeMinute) -> list[dict[str, Any]]:
    """Of the table `gpu`."""
    return [
        {
            "machine": f"id-{minute.host}",
            "host": minute.host,
            "ts": utc(minute.ts),
            "moment": utc(minute.moment),
            "gpu_uuid": uuid,
            "gpu": place,
            "simulated": True,
            "omitted_processes": 0,
            "omitted_used_bytes": 0,
            "processes": sum(one.gpu_uuid == uuid for one in minute.processes),
            "batch": 1,
            **statistics(
                total_bytes=total,
                used_bytes=minute.used_bytes[uuid],
                free_bytes=total - minute.used_bytes[uuid],
                driver_reserved_bytes=0,
                unattributed_bytes=minute.used_bytes[uuid]
                - sum(one.used_bytes or 0 for one in minute.processes if one.gpu_uuid == uuid),
            ),
        }
        for place, (uuid, total) in enumerate(minute.total_bytes.items())
    ]


def process_rows(minute: MadeMinute) -> list[dict[str, Any]]:
    """Of the table `process`."""
    return [
        {
            "machine": f"id-{minute.host}",
            "host": minute.host,
            "ts": utc(minute.ts),
            "moment": utc(minute.moment),
            "gpu_uuid": one.gpu_uuid,
            "pid": one.pid,
            "start_ms": (START - one.pid) * 1000,
            "present": True,
            "gpu": 0,
            "name": "python",
            "user": one.user,
            "slurm_job": one.slurm_job,
            "batch": 1,
            **statistics(
                used_bytes=one.used_bytes, reserved_bytes=one.reserved_bytes, allocated_bytes=one.allocated_bytes
            ),
        }
        for one in minute.processes
    ]


def machine_row(host: str, shipped_until: float | None, **changes: Any) -> dict[str, Any]:
    """Of the table `machine`."""
    return {
        "machine": f"id-{host}",
        "host": host,
        "recording": "00000000-0000-0000-0000-000000000001",
        "version": "1.0",
        "simulated": False,
        "shipped_until": None if shipped_until is None else utc(shipped_until),
        "recorded_until": None if shipped_until is None else utc(shipped_until + 1.5),
        "gaps": 0,
        "updated": utc((shipped_until or START) + 2),
        **changes,
    }


def made_fleet(hosts: Iterable[str], minutes: int, chance: random.Random) -> list[MadeMinute]:
    """Machines that lose and gain processes, whose newest values are at times not known."""
    found: list[MadeMinute] = []
    for host in hosts:
        gpus = [f"GPU-{host}-{number}" for number in range(chance.randint(1, 3))]
        totals = dict.fromkeys(gpus, 80 * GIB)
        for number in range(minutes):
            ts = START + number * MINUTE
            if chance.random() < 0.1:  # the server was off
                continue
            processes = [
                _made_process(uuid, 100 + pid, chance) for uuid in gpus for pid in range(4) if chance.random() < 0.7
            ]
            used = {uuid: GIB + sum(one.used_bytes or 0 for one in processes if one.gpu_uuid == uuid) for uuid in gpus}
            found.append(MadeMinute(host, ts, ts + 59.5, totals, used, processes))
    return found


def _made_process(uuid: str, pid: int, chance: random.Random) -> MadeProcess:
    used = chance.choice([None, chance.randint(1, 10) * GIB])
    reserved = None if used is None or chance.random() < 0.3 else used - chance.randint(0, GIB)
    allocated = None if reserved is None else reserved - chance.randint(0, reserved)
    return MadeProcess(
        uuid, pid, chance.choice(["ann", "bob", None]), chance.choice(["7", "8", None]), used, reserved, allocated
    )


def store(node: ClickHouse, made: Iterable[MadeMinute], until: float, tenant: str = "") -> None:
    """Ships them all, with what each machine's server says of itself: that it shipped until then."""
    made = list(made)
    told = {"tenant": tenant}
    insert(node, "gpu", [row | told for minute in made for row in gpu_rows(minute)])
    insert(node, "process", [row | told for minute in made for row in process_rows(minute)])
    insert(node, "machine", [machine_row(host, until) | told for host in {minute.host for minute in made}])
