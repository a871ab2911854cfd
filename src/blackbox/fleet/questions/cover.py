"""How much of a fleet an answer is of: which machines have shipped so far, and which shards answered."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from blackbox.fleet.reader import FleetReader, FleetShards
from blackbox.fleet.schema import MACHINE
from blackbox.model.fleet import HOSTS_NAMED_MAX, FleetCover, FleetMachine, FleetMachines

GRACE_SECONDS = 600.0
"""What a server may be behind without being late: it ships minutes in batches of five, and tries again."""
STALE_SECONDS = 120.0
"""How old the numbers of a past time may be: the minute before, and one that was cut short. What is older was not
recorded then."""
FleetMachineState = Literal["fresh", "late", "unknown"]
MachineKey = tuple[str, str]
"""Tenant and machine."""


class FleetScope(NamedTuple):
    """The machines that a question is about."""

    tenant: str = ""
    """Empty: of all tenants that the user of the database may see."""
    machine: str = ""
    """Identity or name; empty: all."""

    @property
    def parameters(self) -> dict[str, object]:
        """Values of `SCOPE`, and of `TENANT`."""
        return {"tenant": self.tenant, "machine": self.machine}


EVERYWHERE = FleetScope()
TENANT = "({tenant:String} = '' OR tenant = {tenant:String})"
SCOPE = f"{TENANT} AND ({{machine:String}} = '' OR machine = {{machine:String}} OR host = {{machine:String}})"
"""As a condition on rows of machines, which have the name that a machine has now."""
OF_MACHINE = f"({{machine:String}} = '' OR machine GLOBAL IN (SELECT machine FROM {MACHINE.name} WHERE {SCOPE}))"  # noqa: S608 - parameters
IN_SCOPE = f"{TENANT} AND {OF_MACHINE}"
"""The same on all other rows. By identities: what a machine shipped under an earlier name is its own, too; and they
lead to few rows of a table that is sorted by them."""


def due(asked: float, now: float) -> float:
    """Up to when a machine must have shipped to be of use to a question about `asked`."""
    return min(asked, now - GRACE_SECONDS)


def known_machines(reader: FleetReader, scope: FleetScope, since: float, until: float) -> list[FleetMachine]:
    """Every machine of the shards that answer. Its state: whether all that it recorded of the range is there; up to
    now, all but the last minutes."""
    query = f"""
        SELECT tenant, machine, host, version, simulated, gaps,
            toUnixTimestamp(shipped_until) AS shipped, toUnixTimestamp(ahead_since) AS ahead_from,
            toUnixTimestamp(ahead_until) AS ahead_to,
            toUnixTimestamp64Milli(recorded_until) / 1000 AS recorded,
            toUnixTimestamp64Milli(updated) / 1000 AS updated_at
        FROM {MACHINE.name} FINAL WHERE {SCOPE} ORDER BY host, machine
    """  # noqa: S608 - parameters
    now = reader.clock()
    return [
        FleetMachine(
            tenant=row["tenant"],
            machine=row["machine"],
            host=row["host"],
            version=row["version"],
            state=_state(row, since, due(until, now)),
            shipped_until=row["shipped"],
            ahead_since=row["ahead_from"],
            ahead_until=row["ahead_to"],
            recorded_until=row["recorded"],
            gaps=row["gaps"],
            updated=row["updated_at"],
            simulated=row["simulated"],
        )
        for row in reader.rows(query, scope.parameters)
    ]


def cover(
    machines: Sequence[FleetMachine],
    shards: FleetShards,
    present: Collection[MachineKey] | None = None,
    torn: Collection[MachineKey] = (),
    twice: Sequence[str] = (),
) -> FleetCover:
    """`present`: the machines with numbers of the time asked for, where a question is about one; the others are unknown
    unless they are late. `torn`: those whose rows are not all there yet, which are late, too. `twice`: names of those
    that were left out, since another one of `machines` tells of the same GPUs."""
    hosts: dict[FleetMachineState, list[str]] = {"fresh": [], "late": [], "unknown": []}
    for one in machines:
        key = one.tenant, one.machine
        state: FleetMachineState = "unknown" if one.state == "unknown" else "late" if one.state == "late" else "fresh"
        if key in torn:
            state = "late"
        elif present is not None and state == "fresh" and key not in present:
            state = "unknown"
        hosts[state].append(one.host)
    fresh, late, unknown = hosts["fresh"], hosts["late"], hosts["unknown"]
    return FleetCover(
        whole=bool(machines) and not late and not unknown and not shards.missing,
        machines=len(machines),
        fresh=len(fresh),
        late=len(late),
        unknown=len(unknown),
        late_hosts=tuple(late[:HOSTS_NAMED_MAX]),
        unknown_hosts=tuple(unknown[:HOSTS_NAMED_MAX]),
        twice_hosts=tuple(twice[:HOSTS_NAMED_MAX]),
        shards=shards.total,
        missing_shards=shards.missing,
    )


def machines(reader: FleetReader, scope: FleetScope = EVERYWHERE) -> FleetMachines:
    """All machines, those that are behind first."""
    now = reader.clock()
    found, shards = reader.ask(lambda reader: known_machines(reader, scope, due(now, now) - STALE_SECONDS, now))
    order: dict[str, int] = {"unknown": 0, "late": 1, "fresh": 2}
    ranked = sorted(found, key=lambda one: (order[one.state], one.shipped_until or 0.0, one.host))
    return FleetMachines(asked=now, cover=cover(found, shards), machines=tuple(ranked))


def _state(row: Mapping[str, Any], since: float, until: float) -> FleetMachineState:
    """Minutes that were shipped ahead of a backlog are as good, where the range needs no others."""
    if row["shipped"] is None:
        return "unknown"
    is_ahead = row["ahead_from"] is not None and row["ahead_from"] <= since and until <= row["ahead_to"]
    return "fresh" if row["shipped"] >= until or is_ahead else "late"
