"""Rows of the driver's process lists, made into processes with names."""

from collections.abc import Iterable
from typing import NamedTuple

from blackbox.model.sample import DeviceProcess, ThreadState
from blackbox.sources.nvml.process_list import ProcessRow
from blackbox.sources.procfs import Procfs

TRANSLATING_DRIVER = (565, 57, 1)
"""From this version on the driver answers in the caller's pid namespace throughout."""

_USED_UNKNOWN = "the driver does not tell the memory of single processes here"
_FOREIGN_PIDS = "the driver may answer pids of the host, which mean other processes in this pid namespace"
_FACTS = ("name", "user", "uid", "container", "start_time", "state")


class DeviceRow(NamedTuple):
    """A row, and the device it belongs to."""

    gpu_uuid: str
    row: ProcessRow


def pids_are_ours(driver_version: str, sees_host_pids: bool) -> bool:
    """Whether the driver's pids mean the processes that /proc shows here."""
    if sees_host_pids:
        return True
    parts = driver_version.split(".")
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) >= TRANSLATING_DRIVER


def name_processes(rows: Iterable[DeviceRow], procfs: Procfs | None) -> tuple[DeviceProcess, ...]:
    """The processes behind the rows; without `procfs` they stay nameless."""
    people: dict[int, _Person] = {}
    processes: list[DeviceProcess] = []
    for uuid, row in rows:
        person = people.get(row.pid)
        if person is None:
            person = people[row.pid] = _look(row.pid, procfs)
        processes.append(_process(uuid, row, person))
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


def _process(uuid: str, row: ProcessRow, person: _Person) -> DeviceProcess:
    unknown = person.unknown
    if row.used_bytes is None:
        unknown = {**unknown, "used_bytes": _USED_UNKNOWN}
    return DeviceProcess(
        pid=row.pid,
        gpu_uuid=uuid,
        used_bytes=row.used_bytes,
        kind=row.kind,
        name=person.name,
        user=person.user,
        uid=person.uid,
        container=person.container,
        start_time=person.start_time,
        state=person.state,
        unknown=unknown,
    )
