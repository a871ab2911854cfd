"""Processes that hold memory of a device, named by what /proc tells of them."""

from collections.abc import Iterable
from typing import NamedTuple

from blackbox.model.parts import DeviceProcess, MemoryLimit, ProcessKind, ThreadState, Workload
from blackbox.sources.proc.memory_limits import MemoryLimitReader
from blackbox.sources.proc.processes import ProcessFacts, Procfs

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


class _ProcessInfo(NamedTuple):
    """What /proc says of a process, and why something is not known."""

    facts: ProcessFacts | None
    """All else is made of it."""
    name: str | None
    user: str | None
    uid: int | None
    container: str | None
    start_time: float | None
    state: ThreadState | None
    unknown: dict[str, str]
    cgroup: str | None = None
    workload: Workload | None = None


class _KnownRow(NamedTuple):
    """A row, and what it was made of beside its holder."""

    info: _ProcessInfo
    limit: MemoryLimit | None
    row: DeviceProcess


class NamedProcesses:
    """The processes of one list after the other, with their names and limits. A row of the list before is handed on,
    as the same object, while its holder and its limit are equal, and /proc tells the same of its process (`Procfs.look`
    answers the same object). What is in the newest list no more is forgotten."""

    def __init__(self) -> None:
        self._infos: dict[int, _ProcessInfo] = {}
        self._rows: dict[Holder, _KnownRow] = {}

    def rows(
        self, holders: Iterable[Holder], procfs: Procfs | None, limits: MemoryLimitReader | None = None
    ) -> tuple[DeviceProcess, ...]:
        """The holders as rows, in their order; without `procfs` they stay nameless."""
        infos: dict[int, _ProcessInfo] = {}
        rows: dict[Holder, _KnownRow] = {}
        processes: list[DeviceProcess] = []
        has_limits = limits is not None and limits.may_find
        for holder in holders:
            info = infos.get(holder.pid)
            if info is None:
                info = infos[holder.pid] = self._info(holder.pid, procfs)
            limit = limits.of(info.cgroup, holder.gpu_uuid) if limits and has_limits else None
            known = self._rows.get(holder)
            if known is None or known.info is not info or known.limit != limit:
                known = _KnownRow(info, limit, _process(holder, info, limit))
            rows[holder] = known
            processes.append(known.row)
        if procfs:
            procfs.keep(infos)
        self._infos, self._rows = infos, rows
        return tuple(processes)

    def _info(self, pid: int, procfs: Procfs | None) -> _ProcessInfo:
        facts = procfs.look(pid) if procfs else None
        known = self._infos.get(pid)
        if known is not None and facts is not None and known.facts is facts:
            return known
        made = _info(pid, facts, procfs)
        return known if known == made and known is not None else made


def _info(pid: int, facts: ProcessFacts | None, procfs: Procfs | None) -> _ProcessInfo:
    if facts is None:
        reason = f"process {pid} is not to be seen in /proc" if procfs else _FOREIGN_PIDS
        return _ProcessInfo(None, None, None, None, None, None, None, dict.fromkeys(_FACTS, reason))
    unknown: dict[str, str] = {}
    if facts.uid is None:
        unknown.update(dict.fromkeys(("user", "uid"), "/proc does not tell the owner"))
    if facts.start_time is None:
        unknown["start_time"] = "/proc does not tell the time of boot"
    if facts.no_workload is not None:
        unknown["workload"] = facts.no_workload
    return _ProcessInfo(
        facts,
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
