"""Who held what at a time: everything, or gathered by job, pod or user.

Every machine answers with the last moment of a minute that it had reached by then, as its own `/vram/at` does for the
time of that moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from blackbox.fleet.questions.cover import (
    EVERYWHERE,
    IN_SCOPE,
    STALE_SECONDS,
    FleetScope,
    MachineKey,
    cover,
    due,
    known_machines,
)
from blackbox.fleet.reader import FleetReader, array, quoted
from blackbox.fleet.schema import GPU, OWNER_KEYS, PROCESS, hours
from blackbox.model.fleet import (
    FleetAt,
    FleetHolder,
    FleetLedger,
    FleetMachine,
    FleetMachineAt,
    FleetProcess,
    FleetTop,
)
from blackbox.model.holder import HolderKey

MINUTE_SECONDS = 60
WORKLOAD = (
    "multiIf(slurm_job IS NOT NULL, concat('slurm ', slurm_job), "
    "pod IS NOT NULL, concat('pod ', ifNull(concat(namespace, '/'), ''), pod), "
    "pod_uid IS NOT NULL, concat('pod ', pod_uid), "
    "container IS NOT NULL, concat('container ', substring(container, 1, 12)), "
    "user IS NOT NULL, concat('user ', user), NULL)"
)
"""The closest of what is known: job, pod, container, user."""
KEY_EXPRESSIONS: dict[HolderKey, str] = {
    "workload": WORKLOAD,
    "user": "user",
    "slurm_job": "slurm_job",
    "pod": "if(pod IS NULL, pod_uid, concat(ifNull(concat(namespace, '/'), ''), pod))",
    "namespace": "namespace",
    "container": "container",
    "host": "host",
    "name": "name",
}
_FIRST, _LAST = "toDateTime({since:Int64} - 60, 'UTC')", "toDateTime({until:Int64}, 'UTC')"
_GPU_COUNTED = "(machine, gpu_uuid) NOT IN {shadowed_gpus:Array(Tuple(String, String))}"
_COUNTED = f"machine NOT IN {{shadowed:Array(String)}} AND {_GPU_COUNTED}"
WINDOW = f"ts > {_FIRST} AND ts <= {_LAST} AND {hours(_FIRST, _LAST)} AND {IN_SCOPE} AND {_COUNTED}"
IN_TIME = """moment > fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
        AND moment <= fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')"""
SHADOWED = f"""
    SELECT tenant, machine, groupArrayIf(gpu_uuid, place > 1) AS gpu_uuids, countIf(place = 1) AS others FROM (
        SELECT tenant, machine, gpu_uuid, max(moment) AS newest,
            row_number() OVER (PARTITION BY tenant, host, gpu_uuid ORDER BY newest DESC, machine DESC) AS place
        FROM {GPU.name} WHERE {WINDOW} AND {IN_TIME} GROUP BY tenant, host, gpu_uuid, machine
    ) GROUP BY tenant, machine HAVING notEmpty(gpu_uuids) ORDER BY tenant, machine
"""  # noqa: S608 - parameters
"""GPUs of machines that another one tells of, too, and newer: two servers on a machine, or a recording that was shipped
once more since its cursor was lost. A GPU counts once, and what only one of them sees counts, too. By machine, so that
the parameters stay short where a whole fleet lost its cursors."""
NEWEST = f"""(tenant, machine, ts) GLOBAL IN (
    SELECT tenant, machine, max(ts) FROM {GPU.name}
    WHERE {WINDOW} AND {IN_TIME}
    GROUP BY tenant, machine
)"""  # noqa: S608 - parameters
"""Rows of the newest minute of each machine that had its last moment by then."""
MEASURED = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes")
"""Known of a GPU together, or not at all."""
SUMS = ", ".join(f"sum({key}) AS sum_{key}" for key in ("used_bytes", "reserved_bytes", "allocated_bytes"))
COUNTS = (
    f"count() AS processes, uniqExact(machine, gpu_uuid) AS gpus, uniqExact(tenant, machine) AS machines, {SUMS}, "
    "countIf(reserved_bytes IS NULL) AS silent"
)
HOLDERS, MACHINES, TOGETHER = 1, 2, 3
"""Which set a row of `_holders` is of, as `grouping()` tells it: 1 for what it is not grouped by."""


class _Shadowed(NamedTuple):
    """A machine of which another one tells, too, and newer."""

    tenant: str
    machine: str
    gpu_uuids: Sequence[str]
    """For which the other one stands."""
    others: int
    """GPUs that count."""


class _Window(NamedTuple):
    """The time asked for, and since when numbers count as of then."""

    since: float
    until: float
    scope: FleetScope
    shadowed: tuple[_Shadowed, ...] = ()

    @property
    def parameters(self) -> dict[str, object]:
        return {
            "since": int(self.since),
            "until": int(self.until),
            "since_ms": round(self.since * 1000),
            "until_ms": round(self.until * 1000),
            "shadowed": array(quoted(one.machine) for one in self.shadowed if not one.others),
            "shadowed_gpus": array(
                f"({quoted(one.machine)}, {quoted(gpu_uuid)})"
                for one in self.shadowed
                if one.others
                for gpu_uuid in one.gpu_uuids
            ),
            **self.scope.parameters,
        }


class _Held(NamedTuple):
    """What was read of a time."""

    known: list[FleetMachine]
    machines: list[FleetMachineAt]
    twice: tuple[str, ...]
    """Names of machines that two identities tell of."""
    torn: set[MachineKey]
    """Machines whose rows of processes are fewer than their GPUs say: the rest is on its way."""

    @property
    def present(self) -> set[MachineKey]:
        return {(one.tenant, one.machine) for one in self.machines}


def at(reader: FleetReader, asked: float, scope: FleetScope = EVERYWHERE, limit: int = 1000) -> FleetAt:
    """Everything at a time, with the `limit` largest processes. Raises `EngineError`, `FailureError`."""

    def question(reader: FleetReader) -> tuple[_Held, list[FleetProcess]]:
        window = _window(reader, asked, scope)
        processes, found = _processes(reader, window, limit)
        return _held(reader, window, found), processes

    (held, processes), shards = reader.ask(question)
    return FleetAt(
        asked=asked,
        cover=cover(held.known, shards, held.present, held.torn, held.twice),
        ledger=_total(one.ledger for one in held.machines),
        machines=tuple(sorted(held.machines, key=lambda one: (-_fullness(one.ledger), one.host))),
        processes=tuple(processes),
        processes_omitted=max(0, sum(one.processes for one in held.machines) - len(processes)),
    )


def top(reader: FleetReader, asked: float, by: HolderKey, scope: FleetScope = EVERYWHERE, limit: int = 20) -> FleetTop:
    """The `limit` largest holders at a time. Raises `EngineError`, `FailureError`."""

    def question(reader: FleetReader) -> tuple[_Held, list[FleetHolder], FleetHolder]:
        window = _window(reader, asked, scope)
        holders, together, found = _holders(reader, window, by, limit)
        return _held(reader, window, found), holders, together

    (held, holders, together), shards = reader.ask(question)
    covered = cover(held.known, shards, held.present, held.torn, held.twice)
    return FleetTop(asked=asked, by=by, cover=covered, holders=tuple(holders), all=together)


def _window(reader: FleetReader, asked: float, scope: FleetScope) -> _Window:
    window = _Window(due(asked, reader.clock()) - STALE_SECONDS, asked, scope)
    return window._replace(shadowed=tuple(_Shadowed(**row) for row in reader.rows(SHADOWED, window.parameters)))


def _held(reader: FleetReader, window: _Window, found: Mapping[MachineKey, int]) -> _Held:
    """`found`: the processes of each machine that were read."""
    sums = ", ".join(f"sumIf({key}, parent_uuid IS NULL) AS {key}_sum" for key in MEASURED)
    measured = "parent_uuid IS NULL AND used_bytes IS NOT NULL"
    gpus = f"""
        SELECT tenant, machine, any(host) AS host_name, max(toUnixTimestamp64Milli(moment)) / 1000 AS taken,
            countIf(parent_uuid IS NULL) AS whole, {sums}, whole - countIf({measured}) AS unmeasured,
            if(countIf({measured} AND unattributed_bytes IS NULL) > 0, NULL, sumIf(unattributed_bytes, {measured}))
                AS unattributed,
            sum(omitted_processes) AS omitted,
            sum(omitted_used_bytes) AS omitted_used,
            sumIf(processes, gpu_uuid NOT IN (
                SELECT parent_uuid FROM {GPU.name} WHERE {WINDOW} AND parent_uuid IS NOT NULL
            )) AS listed
        FROM {GPU.name} FINAL WHERE {WINDOW} AND {NEWEST} GROUP BY tenant, machine
    """  # noqa: S608 - parameters
    machines: list[FleetMachineAt] = []
    torn: set[MachineKey] = set()
    for row in reader.rows(gpus.replace("gpu_uuid NOT IN", "gpu_uuid GLOBAL NOT IN"), window.parameters):
        key = row["tenant"], row["machine"]
        if (row["listed"] or 0) - row["omitted"] > found.get(key, 0):
            torn.add(key)
        machines.append(_machine(row, found.get(key, 0)))
    known = known_machines(reader, window.scope, window.since, window.until)
    others = {(one.tenant, one.machine): one.others for one in window.shadowed}
    twice = [one for one in known if (one.tenant, one.machine) in others]
    counted = [one for one in known if others.get((one.tenant, one.machine)) != 0]
    return _Held(counted, machines, tuple(dict.fromkeys(one.host for one in twice)), torn)


def _machine(row: dict[str, Any], processes: int) -> FleetMachineAt:
    return FleetMachineAt(
        tenant=row["tenant"],
        machine=row["machine"],
        host=row["host_name"],
        timestamp=row["taken"],
        gpus=row["whole"],
        processes=processes,
        ledger=FleetLedger(
            **{key: row[f"{key}_sum"] or 0 for key in MEASURED},
            unattributed_bytes=row["unattributed"],
            unmeasured_gpus=row["unmeasured"],
        ),
        omitted_processes=row["omitted"],
        omitted_used_bytes=row["omitted_used"],
    )


def _processes(reader: FleetReader, window: _Window, limit: int) -> tuple[list[FleetProcess], dict[MachineKey, int]]:
    """The `limit` largest, and how many each machine has: both in one reading of the rows."""
    order = "used_bytes DESC NULLS LAST, machine, gpu_uuid, pid, start_ms"
    query = f"""
        SELECT * FROM (
            SELECT tenant, machine, host, gpu, gpu_uuid, pid, if(start_ms < 0, NULL, start_ms / 1000) AS start, name,
                {", ".join(OWNER_KEYS)}, used_bytes, reserved_bytes, allocated_bytes,
                row_number() OVER (ORDER BY {order}) AS place, count() OVER (PARTITION BY tenant, machine) AS found,
                row_number() OVER (PARTITION BY tenant, machine ORDER BY {order}) AS own_place
            FROM {PROCESS.name} FINAL WHERE present AND {WINDOW} AND {NEWEST}
        ) WHERE place <= {{limit:UInt32}} OR own_place = 1 ORDER BY place
    """  # noqa: S608 - parameters
    rows = reader.rows(query, window.parameters | {"limit": limit})
    found = {(row["tenant"], row["machine"]): row["found"] for row in rows}
    return [process_of(row) for row in rows if row["place"] <= limit], found


def _holders(
    reader: FleetReader, window: _Window, by: HolderKey, limit: int
) -> tuple[list[FleetHolder], FleetHolder, dict[MachineKey, int]]:
    """The `limit` largest, all together, and how many processes each machine has: in one reading of the rows."""
    order = "sum_used_bytes DESC NULLS LAST, holder"
    query = f"""
        SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY kind ORDER BY {order}) AS place FROM (
                SELECT holder, of_tenant, of_machine, 2 * grouping(holder) + grouping(of_machine) AS kind, {COUNTS}
                FROM (
                    SELECT *, {KEY_EXPRESSIONS[by]} AS holder, tenant AS of_tenant, machine AS of_machine
                    FROM {PROCESS.name} FINAL WHERE present AND {WINDOW} AND {NEWEST}
                ) GROUP BY GROUPING SETS ((holder), (of_tenant, of_machine), ())
            )
        ) WHERE kind != {HOLDERS} OR place <= {{limit:UInt32}} ORDER BY place
    """  # noqa: S608 - parameters
    rows = reader.rows(query, window.parameters | {"limit": limit})
    holders = [_holder(row["holder"], row) for row in rows if row["kind"] == HOLDERS]
    (together,) = [_holder(None, row) for row in rows if row["kind"] == TOGETHER]
    found = {(row["of_tenant"], row["of_machine"]): row["processes"] for row in rows if row["kind"] == MACHINES}
    return holders, together, found


def process_of(row: dict[str, Any]) -> FleetProcess:
    """A row of a query that names its columns so."""
    fields = {key: row[key] for key in FleetProcess.__struct_fields__ if key != "start_time"}
    return FleetProcess(**fields, start_time=None if row["start"] is None else float(row["start"]))


def _holder(name: str | None, row: dict[str, Any]) -> FleetHolder:
    return FleetHolder(
        name=name,
        processes=row["processes"],
        gpus=row["gpus"],
        machines=row["machines"],
        used_bytes=row["sum_used_bytes"],
        reserved_bytes=row["sum_reserved_bytes"],
        allocated_bytes=row["sum_allocated_bytes"],
        silent=row["silent"],
    )


def _total(ledgers: Iterable[FleetLedger]) -> FleetLedger:
    rows = list(ledgers)
    apart = [one.unattributed_bytes for one in rows if one.unattributed_bytes is not None]
    return FleetLedger(
        **{key: sum(getattr(one, key) for one in rows) for key in MEASURED},
        unattributed_bytes=sum(apart) if len(apart) == len(rows) else None,
        unmeasured_gpus=sum(one.unmeasured_gpus for one in rows),
    )


def _fullness(ledger: FleetLedger) -> float:
    return ledger.used_bytes / ledger.total_bytes if ledger.total_bytes else 0.0
