"""Processes that hold memory of a device, named by what /proc tells of them."""

from collections.abc import Iterable
from typing import NamedTuple

from blackbox.model.sample import DeviceProcess, ProcessKind, ThreadState
from blackbox.sources.proc.processes import Procfs

_USED_UNKNOWN = "the driver does not tell the memory of single processes here"
_FOREIGN_PIDS = "the driver may answer pids of the host, which mean other processes in this pid namespace"
_FACTS = ("name", "user", "uid", "container", "start_time", "state")


class Holder(NamedTuple):
    """A process on a device, as a driver lists it."""

    pid: int
    gpu_uuid: str
    used_bytes: int | None
    """None where the driver does not tell."""
    kind: ProcessKind


def name_processes(holders: Iterable[Holder], procfs: Procfs | None) -> tuple[DeviceProcess, ...]:
    """The processes with their names; without `procfs` they stay nameless."""
    people: dict[int, _Person] = {}
    processes: list[DeviceProcess] = []
    for holder in holders:
        person = people.get(holder.pid)
        if person is None:
            person = people[holder.pid] = _look(holder.pid, procfs)
        processes.append(_process(holder, person))
    if procfs:
        procfs.keep(people)
    return tuple(processes)


class _Person(NamedTuple):
    """Whoever has a pid, and the reasons for what is not known of them."""

    name: str | None
    user: str | None
    uid: int | None
    container: str | None
    start_time: float | None
    state: ThreadState | None
    unknown: dict[str, str]


def _look(pid: int, procfs: Procfs | None) -> _Person:
    facts = procfs.look(pid) if procfs else None
    if facts is None:
        reason = f"process {pid} is not to be seen in /proc" if procfs else _FOREIGN_PIDS
        return _Person(None, None, None, None, None, None, dict.fromkeys(_FACTS, reason))
    unknown: dict[str, str] = {}
    if facts.uid is None:
        unknown.update(dict.fromkeys(("user", "uid"), "/proc does not tell the owner"))
    if facts.start_time is None:
        unknown["start_time"] = "/proc does not tell the time of boot"
    return _Person(facts.name, facts.user, facts.uid, facts.container, facts.start_time, facts.state, unknown)


def _process(holder: Holder, person: _Person) -> DeviceProcess:
    unknown = person.unknown
    if holder.used_bytes is None:
        unknown = {**unknown, "used_bytes": _USED_UNKNOWN}
    return DeviceProcess(
        pid=holder.pid,
        gpu_uuid=holder.gpu_uuid,
        used_bytes=holder.used_bytes,
        kind=holder.kind,
        name=person.name,
        user=person.user,
        uid=person.uid,
        container=person.container,
        start_time=person.start_time,
        state=person.state,
        unknown=unknown,
    )
