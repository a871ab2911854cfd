"""Where the processes of a pod, job, user or container were, and every out-of-memory of a range."""

from typing import Any

from blackbox.fleet.questions.at import process_of
from blackbox.fleet.questions.cover import EVERYWHERE, IN_SCOPE, TENANT, FleetScope, cover, known_machines
from blackbox.fleet.questions.twins import WHO, twins
from blackbox.fleet.reader import FleetReader
from blackbox.fleet.rows import Origin
from blackbox.fleet.schema import EVENT, LIFE, OWNER_KEYS
from blackbox.model.fleet import FleetLife, FleetMachine, FleetOom, FleetOoms, FleetWhere

SOUGHT = ("pod", "pod_uid", "slurm_job", "user", "container")
"""What a name may be of. Each is asked for by itself: with OR no index would help."""
CONTAINER_CHARS_MIN = 12
"""Of an identity of a container: what tools show of it, and what its beginning is compared from."""
IDENTITY = "tenant, machine, gpu_uuid, pid, start_ms"
ONE_LIFE = f"tenant, {WHO}, gpu_uuid, pid, start_ms"
"""One life, however many recordings of its machine tell of it."""
LIVED = """max(last_seen) >= toDateTime({since:Int64}, 'UTC') AND min(first_seen) < toDateTime({until:Int64}, 'UTC')"""
RANGE = (
    "ts >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC') AND ts < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')"
)
OOMS_ONCE = f"""
    SELECT *, row_number() OVER (PARTITION BY tenant, machine, gpu_uuid, pid, ts ORDER BY event_id) AS nth
    FROM {EVENT.name} FINAL WHERE kind = 'oom' AND {RANGE} AND {IN_SCOPE}
    ORDER BY machine LIMIT 1 BY tenant, {WHO}, gpu_uuid, pid, ts, nth
"""  # noqa: S608 - parameters
"""Each told once: what two recordings of a machine tell of one GPU, process and instant is the same."""


def where(
    reader: FleetReader, what: str, since: float, until: float, scope: FleetScope = EVERYWHERE, limit: int = 100
) -> FleetWhere:
    """The lives of its processes within the range, the `limit` last seen. Raises `EngineError`, `FailureError`."""
    parameters: dict[str, object] = {"what": what, "since": int(since), "until": int(until), "limit": limit}
    parameters["user"] = Origin("", "", scope.tenant).user(what)  # as servers ship users unless they are told otherwise

    def question(reader: FleetReader) -> tuple[list[FleetMachine], tuple[str, ...], list[FleetLife], int]:
        known = known_machines(reader, scope, since, until)
        asked = parameters | scope.parameters
        matched = tuple(key for key in SOUGHT if _is_there(reader, key, what, asked))
        if not matched:
            return known, (), [], 0
        keys = " UNION DISTINCT ".join(_keys(key, what) for key in matched)
        asked |= twins(reader, known).parameters
        lives = [_life(row) for row in reader.rows(_lives(keys), asked)]
        count = f"SELECT count() AS found FROM (SELECT 1 FROM {LIFE.name} WHERE {_of(keys)} GROUP BY {ONE_LIFE} HAVING {LIVED})"  # noqa: E501, S608
        (row,) = reader.rows(count, asked)
        return known, matched, lives, row["found"]

    (known, matched, lives, count), shards = reader.ask(question)
    return FleetWhere(
        what=what,
        matched=matched,
        since=since,
        until=until,
        cover=cover(known, shards),
        lives=tuple(lives),
        omitted=max(0, count - len(lives)),
    )


def ooms(
    reader: FleetReader, since: float, until: float, scope: FleetScope = EVERYWHERE, limit: int = 100
) -> FleetOoms:
    """The `limit` newest out-of-memories of the range. Raises `EngineError`, `FailureError`."""
    parameters = {"since_ms": round(since * 1000), "until_ms": round(until * 1000), "limit": limit} | scope.parameters

    def question(reader: FleetReader) -> tuple[list[FleetMachine], list[FleetOom], int]:
        known = known_machines(reader, scope, since, until)
        asked = parameters | twins(reader, known).parameters
        query = f"""
            SELECT tenant, machine, host, toUnixTimestamp64Milli(ts) / 1000 AS timestamp, event_id, gpu_uuid, pid, name,
                user, namespace, pod, slurm_job, requested_bytes, device_free_bytes, device_total_bytes,
                reserved_bytes, allocated_bytes
            FROM ({OOMS_ONCE}) ORDER BY ts DESC, machine, event_id LIMIT {{limit:UInt32}}
        """  # noqa: S608 - parameters
        found = [FleetOom(**row) for row in reader.rows(query, asked)]
        (row,) = reader.rows(f"SELECT count() AS found FROM ({OOMS_ONCE})", asked)  # noqa: S608 - parameters
        return known, found, row["found"]

    (known, found, count), shards = reader.ask(question)
    return FleetOoms(
        since=since, until=until, cover=cover(known, shards), ooms=tuple(found), omitted=max(0, count - len(found))
    )


def _is_there(reader: FleetReader, key: str, what: str, parameters: dict[str, object]) -> bool:
    return bool(reader.rows(f"{_keys(key, what)} LIMIT 1", parameters))


def _keys(key: str, what: str) -> str:
    """Identities of the lives of which a row says so: other rows of the same life may not, until they are merged."""
    condition = f"{key} = {{what:String}}"
    if key == "user":
        condition = f"{key} IN ({{what:String}}, {{user:String}})"
    if key == "container" and len(what) >= CONTAINER_CHARS_MIN:
        condition = f"startsWith(ifNull({key}, ''), {{what:String}})"
    return f"SELECT {IDENTITY} FROM {LIFE.name} WHERE {condition} AND {TENANT}"  # noqa: S608 - one of `SOUGHT`


def _of(keys: str) -> str:
    return f"({IDENTITY}) GLOBAL IN ({keys})"


def _lives(keys: str) -> str:
    owners = ", ".join(f"max({key}) AS {key}" for key in OWNER_KEYS)
    bytes_ = ", ".join(f"max(peak_{key}_bytes) AS {key}_bytes" for key in ("used", "reserved", "allocated"))
    return f"""
        SELECT tenant, argMax(machine, (last_seen, machine)) AS told_by, gpu_uuid, pid, start_ms,
            if(start_ms < 0, NULL, start_ms / 1000) AS start, max(host) AS host_name, max(gpu) AS gpu,
            max(name) AS name, {owners}, {bytes_}, toUnixTimestamp(min(first_seen)) AS first,
            toUnixTimestamp(max(last_seen)) AS last, toUnixTimestamp64Milli(max(ended_at)) / 1000 AS end_time,
            max(ended) AS ended, max(signal) AS signal, max(exit_code) AS exit_code
        FROM {LIFE.name} WHERE {_of(keys)} GROUP BY {ONE_LIFE} HAVING {LIVED}
        ORDER BY last DESC, told_by, gpu_uuid, pid, start_ms LIMIT {{limit:UInt32}}
    """  # noqa: S608 - parameters


def _life(row: dict[str, Any]) -> FleetLife:
    process = process_of(row | {"machine": row["told_by"], "host": row["host_name"] or ""})
    return FleetLife(
        **{key: getattr(process, key) for key in process.__struct_fields__},
        first_seen=row["first"],
        last_seen=row["last"],
        ended_at=row["end_time"],
        ended=row["ended"],
        signal=row["signal"],
        exit_code=row["exit_code"],
    )
