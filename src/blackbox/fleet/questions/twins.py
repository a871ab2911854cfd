"""Recordings of one machine: two servers on it, or one whose recording began anew, or was shipped once more.

Each is a machine of its own in the tables. What two of them tell of one GPU counts once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from blackbox.fleet.questions.cover import MachineKey
from blackbox.fleet.reader import FleetReader, array, quoted
from blackbox.fleet.schema import LIFE
from blackbox.model.fleet import FleetMachine

WHO = "transform(concat(machine, ' ', tenant), {twins:Array(String)}, {heads:Array(String)}, machine)"
"""The machine itself, whichever of its recordings tells: the identity of the first of them. A recording that was copied
may be shipped for two tenants: what is joined for one says nothing of the other."""


class Twins(NamedTuple):
    """Tenants and identities of machines that are one, and each's first."""

    heads: Mapping[tuple[str, str], str]

    @property
    def parameters(self) -> dict[str, object]:
        """Values of `WHO`."""
        keys = (quoted(f"{machine} {tenant}") for tenant, machine in self.heads)
        return {"twins": array(keys), "heads": array(map(quoted, self.heads.values()))}


def twins(reader: FleetReader, known: Sequence[FleetMachine]) -> Twins:
    """Those of one tenant and name that had processes on one GPU: two machines may have one name, and no GPU is in
    both. Asks only where there are two of a name. Raises `EngineError`."""
    named: defaultdict[MachineKey, list[str]] = defaultdict(list)
    for one in known:
        named[one.tenant, one.host].append(one.machine)
    names = {(tenant, machine): host for (tenant, host), some in named.items() if len(some) > 1 for machine in some}
    if not names:
        return Twins({})
    query = f"""
        SELECT tenant, machine, gpu_uuid FROM {LIFE.name} WHERE machine IN {{namesakes:Array(String)}}
        GROUP BY tenant, machine, gpu_uuid
    """  # noqa: S608 - parameters
    rows = reader.rows(query, {"namesakes": array(quoted(machine) for _, machine in names)})
    of_gpus: defaultdict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        tenant: str = row["tenant"]
        machine: str = row["machine"]
        if (tenant, machine) in names:
            of_gpus[tenant, names[tenant, machine], row["gpu_uuid"]].append((tenant, machine))
    return Twins(_heads(of_gpus.values()))


def _heads(groups: Iterable[Sequence[tuple[str, str]]]) -> dict[tuple[str, str], str]:
    """Each that is in a group with another, and the least of all that it is joined with, be it over others."""
    joined: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for group in groups:
        together = sorted({other for one in group for other in joined.get(one, [one])})
        joined |= dict.fromkeys(together, together)
    return {one: together[0][1] for one, together in joined.items() if len(together) > 1}
