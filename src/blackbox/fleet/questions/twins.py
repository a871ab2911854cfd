"""Recordings of one machine: two servers on it, or one whose recording began anew, or was shipped once more.

Each is a machine of its own in the tables. What two of them tell of one GPU counts once.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from blackbox.fleet.questions.cover import MachineKey
from blackbox.fleet.reader import FleetReader, array, quoted
from blackbox.fleet.schema import LIFE
from blackbox.model.fleet import FleetMachine

WHO = "transform(machine, {twins:Array(String)}, {heads:Array(String)}, machine)"
"""The machine itself, whichever of its recordings tells: the identity of the first of them."""


class Twins(NamedTuple):
    """Identities of machines that are one, and each's first."""

    heads: Mapping[str, str]

    @property
    def parameters(self) -> dict[str, object]:
        """Values of `WHO`."""
        return {"twins": array(map(quoted, self.heads)), "heads": array(map(quoted, self.heads.values()))}


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
        GROUP BY tenant, machine, gpu_uuid ORDER BY tenant, machine, gpu_uuid
    """  # noqa: S608 - parameters
    rows = reader.rows(query, {"namesakes": array(quoted(machine) for _, machine in names)})
    first: dict[tuple[str, str, str], str] = {}
    heads: dict[str, str] = {}
    for row in rows:
        tenant: str = row["tenant"]
        machine: str = row["machine"]
        if (tenant, machine) in names:
            head = first.setdefault((tenant, names[tenant, machine], row["gpu_uuid"]), heads.get(machine, machine))
            heads[machine] = min(head, heads.get(machine, machine))
    shared = Counter(heads.values())
    return Twins({machine: head for machine, head in heads.items() if shared[head] > 1})
