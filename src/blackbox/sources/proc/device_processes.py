"""Processes that hold memory of a device, named by what /proc tells of them."""

from collections.abc import Iterable
from typing import NamedTuple

from blackbox.model.parts import DeviceProcess, MemoryLimit, ProcessKind, ThreadState, Workload
from blackbox.sources.proc.memory_limits import MemoryLimitReader
from blackbox.sources.proc.processes import Procfs

_USED_UNKNOWN = "the driver does not tell the memory of single processes here"
_FOREIGN_PIDS = "the driver may answer pids of the host, which mean other processes in this pid namespace"
_FACTS = ("name", "user", "uid", "container", "start_time", "state", "workload")


class Holder(NamedTuple):
    """A process on a device, as a driver lists it."""

    pid: int
    gpu_uuid: str
    used_bytes: int | None
    """None where the driver does not tell."""
    kind: ProcessKind


def name_processes(
    holders: Iterable[Holder], procfs: Procfs | None, limits: MemoryLimitReader | None = None
) -> tuple[DeviceProcess, ...]:
    """The processes with their names and limits; without `procfs` they stay nameless."""
    infos: dict[int, _ProcessInfo] = {}
    processes: list[DeviceProcess] = []
    for holder in holders:
        info = infos.get(holder.pid)
        if info is None:
            info = infos[holder.pid] = _look(holder.pid, procfs)
        limit = limits.of(info.cgroup, holder.gpu_uuid) if limits else None
        processes.append(_process(holder, info, limit))
    if procfs:
        procfs.keep(infos)
    return tuple(processes)


class _ProcessInfo(NamedTuple):
    """What /proc says of a process, and why something is not known."""

    name: str | None
    user: str | None
    uid: int | None
    container: str | None
    start_time: float | None
    state: ThreadState | None
    unknown: dict[str, str]
    cgroup: str | None = None
    workload: Workload | None = None


def _look(pid: int, procfs: Procfs | None) -> _ProcessInfo:
    facts = procfs.look(pid) if procfs else None
    if facts is None:
        reason = f"process {pid} is not to be seen in /proc" if procfs else _FOREIGN_PIDS
        return _ProcessInfo(None, None, None, None, None, None, dict.fromkeys(_FACTS, reason))
    unknown: dict[str, str] = {}
    if facts.uid is None:
        unknown.update(dict.fromkeys(("user", "uid"), "/proc does not tell the owner"))
    if facts.start_time is None:
        unknown["start_time"] = "/proc does not tell the time of boot"
    if facts.no_workload is not None:
        unknown["workload"] = facts.no_workload
    return _ProcessInfo(
        facts.name,
        facts.user,
        facts.uid,
        facts.container,
        facts.start_time,
        facts.state,
        unknown,
        facts.cgroup,
        facts.workload,
    )


def _process(holder: Holder, info: _ProcessInfo, limit: MemoryLimit | None) -> DeviceProcess:
    unknown = info.unknown
    if holder.used_bytes is None:
        unknown = {**unknown, "used_bytes": _USED_UNKNOWN}
    return DeviceProcess(
        pid=holder.pid,
        gpu_uuid=holder.gpu_uuid,
        used_bytes=holder.used_bytes,
        kind=holder.kind,
        name=info.name,
        user=info.user,
        uid=info.uid,
        container=info.container,
        start_time=info.start_time,
        state=info.state,
        limit=limit,
        workload=info.workload,
        unknown=unknown,
    )
