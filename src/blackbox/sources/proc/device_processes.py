"""Processes that hold memory of a device, named by what /proc tells of them."""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import is_
from typing import Any, NamedTuple

from msgspec import Struct, structs

from blackbox.model.identity import ProcessKey
from blackbox.model.listed import ListedProcesses, is_moved
from blackbox.model.parts import DeviceProcess, MemoryLimit, ProcessKind, ThreadState, Workload
from blackbox.sources.proc.memory_limits import MemoryLimitReader
from blackbox.sources.proc.processes import ProcessFacts, Procfs

_USED_UNKNOWN = "the driver does not tell the memory of single processes here"
_FOREIGN_PIDS = "the driver may answer pids of the host, which mean other processes in this pid namespace"
_FACTS = ("name", "user", "uid", "container", "start_time", "state", "workload")


class Holder(Struct, frozen=True, gc=False):
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


class _KnownRow(Struct, frozen=True, gc=False):
    """A row, and what it was made of."""

    holder: Holder
    info: _ProcessInfo
    limit: MemoryLimit | None
    row: DeviceProcess


_Group = tuple[str | None, str]
"""A cgroup and the UUID of a device: who shares a limit."""


class NamedProcesses:
    """The processes of one reading after the other, with their names and limits. A row of the reading before is handed
    on, as the same object, while its holder and its limit are equal, and /proc tells the same of its process
    (`Procfs.looks` answers the same object); all of them, while that holds for each and the devices' lists of holders
    are the same objects. What is in the newest reading no more is forgotten."""

    def __init__(self) -> None:
        self._lists: tuple[Sequence[Holder], ...] = ()
        self._facts: dict[int, ProcessFacts | None] = {}
        self._infos: dict[int, _ProcessInfo] = {}
        self._limits: dict[_Group, MemoryLimit | None] = {}
        self._rows: dict[ProcessKey, _KnownRow] = {}
        self._processes = ListedProcesses.of(())

    def rows(
        self,
        lists: Iterable[Sequence[Holder]],
        procfs: Procfs | None = None,
        limits: MemoryLimitReader | None = None,
    ) -> ListedProcesses:
        """The holders of every device as rows, in their order; without `procfs` they stay nameless."""
        now, before = tuple(lists), self._lists
        are_same = len(now) == len(before) and all(map(is_, now, before))
        infos = self._infos
        pids = infos if are_same else dict.fromkeys([holder.pid for holders in now for holder in holders])
        if not are_same and procfs:
            procfs.keep(pids)
        self._look(pids, procfs)
        self._lists = now
        is_told_same = len(infos) == len(self._infos) and all(map(is_, self._infos.values(), infos.values()))
        known = self._processes if is_told_same and not self._has_new_limits(limits) else None
        if known is None or not are_same:
            moved = None if known is None else _moved_list(known, before, now)
            self._processes = self._rows_of(now, limits) if moved is None else moved
        return self._processes

    def _look(self, pids: dict[int, Any], procfs: Procfs | None) -> None:
        facts = procfs.looks(pids) if procfs else dict.fromkeys(pids)
        is_same = facts.keys() == self._facts.keys() and all(map(is_, facts.values(), map(self._facts.get, facts)))
        if not is_same or None in facts.values():  # why a process is not seen depends on more
            self._infos = {pid: self._info(pid, seen, procfs) for pid, seen in facts.items()}
        self._facts = facts

    def _rows_of(self, lists: Iterable[Sequence[Holder]], limits: MemoryLimitReader | None) -> ListedProcesses:
        reader = limits if limits is not None and limits.may_find else None
        found: dict[_Group, MemoryLimit | None] = {}
        rows: dict[ProcessKey, _KnownRow] = {}
        processes: list[DeviceProcess] = []
        infos, before, are_moved = self._infos, self._rows, True
        for holder in chain.from_iterable(lists):
            key = holder.gpu_uuid, holder.pid
            info, known, limit = infos[holder.pid], before.get(key), None
            if reader is not None:
                group = info.cgroup, holder.gpu_uuid
                limit = found[group] = found[group] if group in found else reader.of(*group)
            if known is None or known.info is not info or known.limit != limit:
                known, are_moved = _KnownRow(holder, info, limit, _process(holder, info, limit)), False
            elif known.holder != holder:
                are_moved = are_moved and _is_moved(known.holder, holder)
                known = _KnownRow(holder, info, limit, _moved(known, holder))
            rows[key] = known
            processes.append(known.row)
        has_one_each = len(rows) == len(processes) == len(self._processes)
        is_same_roster = are_moved and has_one_each and list(rows) == list(before)
        self._rows, self._limits = rows, found
        return ListedProcesses.of(processes, self._processes.roster if is_same_roster else None)

    def _has_new_limits(self, limits: MemoryLimitReader | None) -> bool:
        """Whether somebody may hold more or less than before, of those who were there."""
        if limits is None or not limits.may_find:
            return bool(self._limits)
        groups = self._limits or dict.fromkeys(
            (self._infos[holder.pid].cgroup, holder.gpu_uuid) for holder in chain.from_iterable(self._lists)
        )
        return any(limits.of(*group) != self._limits.get(group) for group in groups)

    def _info(self, pid: int, facts: ProcessFacts | None, procfs: Procfs | None) -> _ProcessInfo:
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


def _moved_list(
    known: ListedProcesses, before: Iterable[Sequence[Holder]], now: Iterable[Sequence[Holder]]
) -> ListedProcesses | None:
    """The rows of a reading, where its holders differ from those of `known` in amounts alone; else None."""
    holders = [*chain.from_iterable(now)]
    pairs = [*zip(chain.from_iterable(before), holders, strict=False)]
    if not len(pairs) == len(holders) == len(known) or any(
        one is not other and (one.pid, one.gpu_uuid, one.kind) != (other.pid, other.gpu_uuid, other.kind)
        for one, other in pairs
    ):
        return None
    try:
        return known.with_amounts([holder.used_bytes for holder in holders])
    except ValueError:
        return None


def _is_moved(before: Holder, now: Holder) -> bool:
    """Whether the two of a process differ in the amount at most."""
    return before.kind == now.kind and is_moved(before.used_bytes, now.used_bytes)


def _moved(known: _KnownRow, holder: Holder) -> DeviceProcess:
    """The row of a process that holds another amount: copying costs a fifth of making it."""
    if not _is_moved(known.holder, holder):
        return _process(holder, known.info, known.limit)
    return structs.replace(known.row, used_bytes=holder.used_bytes)


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
