"""Memory held in vain: reserved by an allocator and never used, and GPUs that a job was given and left empty."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from blackbox.fleet.questions.at import KEY_EXPRESSIONS
from blackbox.fleet.questions.cover import EVERYWHERE, IN_SCOPE, SCOPE, FleetScope, cover, known_machines
from blackbox.fleet.questions.twins import WHO, twins
from blackbox.fleet.reader import FleetReader, array, quoted
from blackbox.fleet.schema import ALLOCATION, ALLOCATION_HOUR, GPU, MACHINE, OWNER_KEYS, PROCESS_HOUR, hours
from blackbox.model.fleet import FleetEmptyGpu, FleetMachine, FleetWaste, FleetWaster
from blackbox.model.holder import HolderKey

HOUR_SECONDS = 3600
MACHINES = f"(tenant, machine) GLOBAL IN (SELECT tenant, machine FROM {MACHINE.name} WHERE {SCOPE})"  # noqa: S608 - parameters
IN_HOURS = "hour >= toDateTime({since:Int64}, 'UTC') AND hour < toDateTime({until:Int64}, 'UTC')"
PROCESS_HOURS = f"""
    SELECT tenant, machine, gpu_uuid, pid, start_ms, hour, bitCount(groupBitOr(minutes)) / 60 AS hours,
        min(reserved_bytes_min) AS held, max(allocated_bytes_max) AS lived, max(name) AS name,
        {", ".join(f"max({key}) AS {key}" for key in OWNER_KEYS)}
    FROM {PROCESS_HOUR.name}
    WHERE {IN_HOURS} AND {MACHINES}
    GROUP BY tenant, machine, gpu_uuid, pid, start_ms, hour
"""  # noqa: S608 - parameters
"""Every process and hour as one row: the least that it held, the most that lived in it, and how long it was there."""
HOURS = hours("toDateTime({since:Int64}, 'UTC')", "toDateTime({until:Int64}, 'UTC')")
REPORTED = "held IS NOT NULL AND lived IS NOT NULL"
ALONE = f"SELECT *, machine AS who FROM ({PROCESS_HOURS})"  # noqa: S608 - parameters
IDENTITY = "tenant, who, gpu_uuid, pid, start_ms"
ONCE = f"""
    SELECT *, {WHO} AS who, argMax(machine, (hours, machine)) OVER (PARTITION BY tenant, who, gpu_uuid, hour) AS counted
    FROM ({PROCESS_HOURS})
"""  # noqa: S608 - parameters
"""The same where machines have two recordings: of a GPU and an hour the one counts that saw the longest of it, since
the other may know the same processes by other pids."""
GIVEN = f"""
    SELECT tenant, host, gpu_uuid, scheduler, job, since AS given, until AS returned, user AS owner
    FROM {ALLOCATION.name} FINAL
    WHERE since < toDateTime({{until:Int64}}, 'UTC') AND (until IS NULL OR until > toDateTime({{since:Int64}}, 'UTC'))
        AND ({{tenant:String}} = '' OR tenant = {{tenant:String}})
        AND ({{machine:String}} = '' OR host = {{machine:String}}
            OR host GLOBAL IN (SELECT host FROM {MACHINE.name} WHERE {SCOPE}))
"""  # noqa: S608 - parameters
"""What schedulers gave within the range."""
POD_HOURS = f"""
    SELECT tenant, host, gpu_uuid, concat(namespace, '/', pod, '/', container) AS job, hour,
        groupBitOr(minutes) AS given, groupBitOr(seen) AS known, groupBitOr(busy) AS used
    FROM {ALLOCATION_HOUR.name} WHERE {IN_HOURS} AND {IN_SCOPE} GROUP BY tenant, host, gpu_uuid, job, hour
"""  # noqa: S608 - parameters
"""What kubelets gave to pods, by the hour; whatever several recordings of a machine told of it is one."""


def waste(
    reader: FleetReader, since: float, until: float, by: HolderKey, scope: FleetScope = EVERYWHERE, limit: int = 20
) -> FleetWaste:
    """Of the hours that the range touches; the `limit` largest of each kind. Raises `EngineError`, `FailureError`."""
    first = math.floor(since / HOUR_SECONDS) * HOUR_SECONDS
    last = math.ceil(until / HOUR_SECONDS) * HOUR_SECONDS
    parameters: dict[str, object] = {"since": first, "until": last, "limit": limit, **scope.parameters}

    def question(reader: FleetReader) -> _Wasted:
        known = known_machines(reader, scope, first, until)
        wasters, silent = _wasters(reader, by, parameters, known)
        jobs, left_by_jobs = _left_by_jobs(reader, parameters)
        pods, left_by_pods = _left_by_pods(reader, parameters)
        empty = sorted((*left_by_jobs, *left_by_pods), key=lambda one: (-one.empty_minutes, one.host, one.gpu_uuid))
        return _Wasted(known, wasters, silent, jobs + pods, tuple(empty[:limit]))

    found, shards = reader.ask(question)
    return FleetWaste(
        since=first,
        until=last,
        by=by,
        cover=cover(found.known, shards),
        wasters=found.wasters,
        silent_processes=found.silent,
        allocations=found.allocations,
        empty=found.empty,
    )


class _Wasted(NamedTuple):
    """What was read of a range."""

    known: list[FleetMachine]
    wasters: tuple[FleetWaster, ...]
    silent: int
    allocations: int
    empty: tuple[FleetEmptyGpu, ...]


def _wasters(
    reader: FleetReader, by: HolderKey, parameters: Mapping[str, object], known: Sequence[FleetMachine]
) -> tuple[tuple[FleetWaster, ...], int]:
    """Those that held the most in vain, and how many processes tell nothing. In an hour that a process was there for a
    part of, the least that it held counts for that part."""
    found = twins(reader, known)
    parameters = {**parameters, **found.parameters}
    key = "who" if by == "host" else KEY_EXPRESSIONS[by]
    once = f"({ONCE}) WHERE machine = counted" if found.heads else f"({ALONE}) WHERE 1"
    ranked = f"""
        SELECT {key} AS holder, uniqExact({IDENTITY}) AS processes, uniqExact(tenant, who) AS machines,
            sum(held * hours) AS held_hours, sum(if(held > lived, held - lived, 0) * hours) AS vain_hours
        FROM {once} AND {REPORTED}
        GROUP BY holder HAVING vain_hours > 0 ORDER BY vain_hours DESC, holder LIMIT {{limit:UInt32}}
    """  # noqa: S608 - parameters
    silent = f"SELECT uniqExact({IDENTITY}) AS silent FROM {once} AND NOT ({REPORTED})"  # noqa: S608
    hosts = {one.machine: one.host for one in known}
    wasters = tuple(
        FleetWaster(
            name=hosts.get(row["holder"], row["holder"]) if by == "host" else row["holder"],
            processes=row["processes"],
            machines=row["machines"],
            held_byte_hours=row["held_hours"],
            never_used_byte_hours=row["vain_hours"],
        )
        for row in reader.rows(ranked, parameters)
    )
    (row,) = reader.rows(silent, parameters)
    return wasters, row["silent"]


def _left_by_jobs(reader: FleetReader, parameters: Mapping[str, object]) -> tuple[int, list[FleetEmptyGpu]]:
    """How many GPUs schedulers gave to jobs, and those of them that were empty for some time."""
    (row,) = reader.rows(f"SELECT count() AS given FROM ({GIVEN})", parameters)  # noqa: S608 - parameters
    if not row["given"]:
        return 0, []
    query = f"""
        SELECT tenant, host, gpu_uuid, scheduler, job, owner, toUnixTimestamp(given) AS given_at,
            toUnixTimestamp(returned) AS returned_at, count() AS seen, countIf(listed = 0) AS empty
        FROM (
            SELECT tenant, host, gpu_uuid, ts, max(processes) AS listed FROM {GPU.name} FINAL
            WHERE ts >= toDateTime({{since:Int64}}, 'UTC') AND ts < toDateTime({{until:Int64}}, 'UTC') AND {HOURS}
                AND processes IS NOT NULL AND {IN_SCOPE}
                AND (tenant, host, gpu_uuid) GLOBAL IN (SELECT tenant, host, gpu_uuid FROM ({GIVEN}))
            GROUP BY tenant, host, gpu_uuid, ts
        ) AS minutes
        GLOBAL INNER JOIN ({GIVEN}) AS gifts USING (tenant, host, gpu_uuid)
        WHERE ts >= given AND (returned IS NULL OR ts < returned)
        GROUP BY tenant, host, gpu_uuid, scheduler, job, owner, given, returned
        HAVING empty > 0 ORDER BY empty DESC, host, gpu_uuid, job LIMIT {{limit:UInt32}}
    """  # noqa: S608 - parameters
    return row["given"], [_empty_gpu(found, found["returned_at"]) for found in reader.rows(query, parameters)]


def _left_by_pods(reader: FleetReader, parameters: Mapping[str, object]) -> tuple[int, list[FleetEmptyGpu]]:
    """The same of what kubelets gave to containers of pods: since when, and until when, as far as the range tells."""
    (counted,) = reader.rows(f"SELECT uniqExact(tenant, host, gpu_uuid, job) AS given FROM ({POD_HOURS})", parameters)  # noqa: S608
    if not counted["given"]:
        return 0, []
    query = f"""
        SELECT tenant, host, gpu_uuid, 'kubernetes' AS scheduler, job, NULL AS owner,
            min(toUnixTimestamp(hour) + 60 * arrayMin(bitPositionsToArray(given))) AS given_at,
            max(toUnixTimestamp(hour) + 60 * (arrayMax(bitPositionsToArray(given)) + 1)) AS given_until,
            sum(bitCount(known)) AS seen, sum(bitCount(bitAnd(known, bitNot(used)))) AS empty
        FROM ({POD_HOURS}) GROUP BY tenant, host, gpu_uuid, job
        HAVING empty > 0 ORDER BY empty DESC, host, gpu_uuid, job LIMIT {{limit:UInt32}}
    """  # noqa: S608 - parameters
    rows = reader.rows(query, parameters)
    told_until = _told_until(reader, parameters, {row["gpu_uuid"] for row in rows}) if rows else {}
    found: list[FleetEmptyGpu] = []
    for row in rows:
        until = told_until.get((row["tenant"], row["host"], row["gpu_uuid"]), parameters["until"])
        found.append(_empty_gpu(row, None if row["given_until"] >= until else row["given_until"]))
    return counted["given"], found


def _told_until(
    reader: FleetReader, parameters: Mapping[str, object], gpu_uuids: Collection[str]
) -> dict[tuple[str, str, str], int]:
    """By tenant, host and GPU: until when kubelets told of it within the range. Of the minutes after that nobody knows
    whether what was given was given back; nor of any, where minutes are not kept any more."""
    query = f"""
        SELECT tenant, host, gpu_uuid, max(toUnixTimestamp(ts)) + 60 AS told FROM {GPU.name}
        WHERE ts >= toDateTime({{since:Int64}}, 'UTC') AND ts < toDateTime({{until:Int64}}, 'UTC') AND {HOURS}
            AND given_to IS NOT NULL AND gpu_uuid IN {{gpus:Array(String)}} AND {IN_SCOPE}
        GROUP BY tenant, host, gpu_uuid
    """  # noqa: S608 - parameters
    rows = reader.rows(query, {**parameters, "gpus": array(map(quoted, sorted(gpu_uuids)))})
    return {(row["tenant"], row["host"], row["gpu_uuid"]): row["told"] for row in rows}


def _empty_gpu(row: Mapping[str, Any], until: float | None) -> FleetEmptyGpu:
    return FleetEmptyGpu(
        tenant=row["tenant"],
        host=row["host"],
        gpu_uuid=row["gpu_uuid"],
        scheduler=row["scheduler"],
        job=row["job"],
        user=row["owner"],
        since=row["given_at"],
        until=until,
        empty_minutes=row["empty"],
        seen_minutes=row["seen"],
    )
