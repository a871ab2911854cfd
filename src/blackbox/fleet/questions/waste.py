"""Memory held in vain: reserved by an allocator and never used, and GPUs that a job was given and left empty."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from blackbox.fleet.questions.at import KEY_EXPRESSIONS
from blackbox.fleet.questions.cover import EVERYWHERE, IN_SCOPE, SCOPE, FleetScope, cover, known_machines
from blackbox.fleet.reader import FleetReader
from blackbox.fleet.schema import ALLOCATION, GPU, MACHINE, OWNER_KEYS, PROCESS_HOUR, hours
from blackbox.model.fleet import FleetEmptyGpu, FleetMachine, FleetWaste, FleetWaster
from blackbox.model.holder import HolderKey

HOUR_SECONDS = 3600
MACHINES = f"(tenant, machine) GLOBAL IN (SELECT tenant, machine FROM {MACHINE.name} WHERE {SCOPE})"  # noqa: S608 - parameters
PROCESS_HOURS = f"""
    SELECT tenant, machine, gpu_uuid, pid, start_ms, hour, bitCount(groupBitOr(minutes)) / 60 AS hours,
        min(reserved_bytes_min) AS held, max(allocated_bytes_max) AS lived, max(name) AS name,
        {", ".join(f"max({key}) AS {key}" for key in OWNER_KEYS)}
    FROM {PROCESS_HOUR.name}
    WHERE hour >= toDateTime({{since:Int64}}, 'UTC') AND hour < toDateTime({{until:Int64}}, 'UTC') AND {MACHINES}
    GROUP BY tenant, machine, gpu_uuid, pid, start_ms, hour
"""  # noqa: S608 - parameters
"""Every process and hour as one row: the least that it held, the most that lived in it, and how long it was there."""
HOURS = hours("toDateTime({since:Int64}, 'UTC')", "toDateTime({until:Int64}, 'UTC')")
REPORTED = "held IS NOT NULL AND lived IS NOT NULL"
IDENTITY = "tenant, machine, gpu_uuid, pid, start_ms"
GIVEN = f"""
    SELECT tenant, host, gpu_uuid, scheduler, job, since AS given, until AS returned, user AS owner
    FROM {ALLOCATION.name} FINAL
    WHERE since < toDateTime({{until:Int64}}, 'UTC') AND (until IS NULL OR until > toDateTime({{since:Int64}}, 'UTC'))
        AND ({{tenant:String}} = '' OR tenant = {{tenant:String}})
        AND ({{machine:String}} = '' OR host = {{machine:String}}
            OR host GLOBAL IN (SELECT host FROM {MACHINE.name} WHERE {SCOPE}))
"""  # noqa: S608 - parameters
"""What schedulers gave within the range."""


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
        allocations, empty = _empty(reader, parameters)
        return _Wasted(known, wasters, silent, allocations, empty)

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
    key = "machine" if by == "host" else KEY_EXPRESSIONS[by]
    ranked = f"""
        SELECT {key} AS holder, uniqExact({IDENTITY}) AS processes, uniqExact(tenant, machine) AS machines,
            sum(held * hours) AS held_hours, sum(if(held > lived, held - lived, 0) * hours) AS vain_hours
        FROM ({PROCESS_HOURS}) WHERE {REPORTED}
        GROUP BY holder HAVING vain_hours > 0 ORDER BY vain_hours DESC, holder LIMIT {{limit:UInt32}}
    """  # noqa: S608 - parameters
    silent = f"SELECT uniqExact({IDENTITY}) AS silent FROM ({PROCESS_HOURS}) WHERE NOT ({REPORTED})"  # noqa: S608
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


def _empty(reader: FleetReader, parameters: Mapping[str, object]) -> tuple[int, tuple[FleetEmptyGpu, ...]]:
    """How many GPUs were given to jobs, and those of them that were empty for some time."""
    (row,) = reader.rows(f"SELECT count() AS given FROM ({GIVEN})", parameters)  # noqa: S608 - parameters
    if not row["given"]:
        return 0, ()
    query = f"""
        SELECT tenant, host, gpu_uuid, scheduler, job, owner, toUnixTimestamp(given) AS given_at,
            toUnixTimestamp(returned) AS returned_at, count() AS seen, countIf(processes = 0) AS empty
        FROM (
            SELECT tenant, host, gpu_uuid, ts, processes FROM {GPU.name} FINAL
            WHERE ts >= toDateTime({{since:Int64}}, 'UTC') AND ts < toDateTime({{until:Int64}}, 'UTC') AND {HOURS}
                AND processes IS NOT NULL AND {IN_SCOPE}
        ) AS minutes
        GLOBAL INNER JOIN ({GIVEN}) AS gifts USING (tenant, host, gpu_uuid)
        WHERE ts >= given AND (returned IS NULL OR ts < returned)
        GROUP BY tenant, host, gpu_uuid, scheduler, job, owner, given, returned
        HAVING empty > 0 ORDER BY empty DESC, host, gpu_uuid, job LIMIT {{limit:UInt32}}
    """  # noqa: S608 - parameters
    return row["given"], tuple(
        FleetEmptyGpu(
            tenant=found["tenant"],
            host=found["host"],
            gpu_uuid=found["gpu_uuid"],
            scheduler=found["scheduler"],
            job=found["job"],
            user=found["owner"],
            since=found["given_at"],
            until=found["returned_at"],
            empty_minutes=found["empty"],
            seen_minutes=found["seen"],
        )
        for found in reader.rows(query, parameters)
    )
