"""Facts about processes out of /proc: names but never arguments, start times, owners, containers.

A process may end, and its pid be given to another one, between any two reads. Facts of a new process are therefore read
through one directory handle, which never leads to a successor; a known one is recognised by its start time.
"""

import os
import pwd
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from blackbox.model.identity import ProcessIdentity
from blackbox.model.parts import ThreadState, Workload
from blackbox.model.text import printable
from blackbox.sources.proc.pod_names import PodNames
from blackbox.sources.proc.run_clocks import RunClocks
from blackbox.sources.proc.stat import STAT_BYTES_MAX, Stat, boot_time, open_file, parse, read, read_open
from blackbox.sources.proc.workload import workload_of

HOST_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel gives its first pid namespace this fixed inode."""
HOST_CGROUP_NAMESPACE = "cgroup:[4026531835]"
"""Likewise its first cgroup namespace; from inside of another, paths begin where that one does."""
NO_CGROUP = "/proc does not tell its cgroup"
INSIDE = "the server sees cgroups from inside of a container, where their paths are cut off"
USERS_KNOWN_MAX = 4096
"""Names remembered; then all are forgotten, and looked up again. A user may have 65,536 subordinate ids."""
_CONTAINER_ID = re.compile(r"(?:^|[/:-])(?<!conmon-)([0-9a-f]{64})(?:\.scope)?(?=/|$)", re.MULTILINE)
"""docker, containerd, cri-o, podman and Kubernetes: 64 hexadecimal digits end a part of the path. The monitor of a
podman or cri-o container (`libpod-conmon-…`) stands outside it."""
_LXC_NAME = re.compile(r"/lxc(?:\.payload[./]|/)([^/\n]+)")
_NSPAWN_NAME = re.compile(r"/machine-(?!qemu)([^/\n]+?)\.scope(?=/|$)", re.MULTILINE)


class ProcessFacts(NamedTuple):
    """A process as it was at one look."""

    pid: int
    name: str
    """The kernel's comm of the main thread, at most 15 bytes."""
    start_ticks: int
    """Since boot; with the pid, the identity of the process."""
    start_time: float | None
    """Unix seconds, exact to about a second: the kernel rounds the time of boot."""
    uid: int | None
    user: str | None
    """Name of the real uid; its number as text where the system has no name for it."""
    container: str | None
    state: ThreadState
    """Of the main thread."""
    cgroup: str | None = None
    """Its path in the unified hierarchy (version 2), as seen from here."""
    workload: Workload | None = None
    """Whose it is, as its cgroup says; None where that names nobody."""
    no_workload: str | None = None
    """Why that is not known, where it is not."""

    @property
    def identity(self) -> ProcessIdentity:
        """Which process it is."""
        return ProcessIdentity(self.pid, self.start_ticks, self.start_time)


class _Seen(Struct):
    """A process at the last look. Its owner and container stay while it lives and keeps its name."""

    facts: ProcessFacts
    stat: Stat
    raw: bytes
    """What `stat` was read from: a process that did nothing since reads the same."""
    file: int | None
    """Its stat file, held open: it never shows another process, and costs a third of opening it again."""
    clock: int | None
    """The `schedstat` of its main thread, where it may be held open too."""


def user_name(uid: int) -> str:
    """Name of a user, or the number as text."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def container_id(cgroup: str) -> str | None:
    """Id or name of the innermost container in the text of a cgroup file (version 1 or 2); None outside of any."""
    for pattern in (_CONTAINER_ID, _LXC_NAME, _NSPAWN_NAME):
        if found := pattern.findall(cgroup):
            return found[-1]
    return None


def cgroup_path(cgroup: str) -> str | None:
    """The path of version 2 in the text of a cgroup file; None where that has none."""
    return next((line.removeprefix("0::") for line in cgroup.splitlines() if line.startswith("0::/")), None)


class Procfs:
    """Looks at processes, and remembers those it was asked to keep."""

    def __init__(
        self,
        root: Path = Path("/proc"),
        find_user: Callable[[int], str] = user_name,
        files_max: int = 0,
        pods: PodNames | None = None,
    ) -> None:
        """`files_max`: how many files of processes may be held open, two of each."""
        self._root = str(root)
        self._find_user = find_user
        self._files_max = files_max
        self._files = 0
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._boot_time: float | None = None
        self._pods = PodNames() if pods is None else pods
        self._users: dict[int, str] = {}
        self._seen: dict[int, _Seen] = {}
        self._clocks = RunClocks()

    @property
    def sees_host_pids(self) -> bool:
        """Whether pids here are those of the machine, and not of a container."""
        try:
            return str(Path(self._root, "self/ns/pid").readlink()) == HOST_PID_NAMESPACE
        except OSError:
            return False

    @property
    def _sees_whole_paths(self) -> bool:
        """Whether paths of cgroups here begin at the machine's own root."""
        try:
            return str(Path(self._root, "self/ns/cgroup").readlink()) == HOST_CGROUP_NAMESPACE
        except OSError:
            return True  # a kernel without such namespaces, from before 4.6

    def looks(self, pids: Collection[int]) -> dict[int, ProcessFacts | None]:
        """`look` at each of them, in their order; the stat files of those that did nothing are left alone."""
        still, seen = self._clocks.still(), self._seen
        return {pid: seen[pid].facts if pid in still else self.look(pid) for pid in pids}

    def look(self, pid: int) -> ProcessFacts | None:
        """The process that has this pid now; None when there is none to be seen."""
        seen = self._seen.get(pid)
        if seen is None:
            return self._meet(pid)
        path = f"{self._root}/{pid}/task/{pid}/stat"
        raw = read(path) if seen.file is None else read_open(seen.file, STAT_BYTES_MAX)
        is_quiet = raw == seen.raw and seen.facts.state == "waiting"
        self._clocks.note(pid, seen.clock, is_quiet=is_quiet)
        if is_quiet:
            return seen.facts
        stat = parse(raw)
        if stat is None or not _is_same(seen.stat, stat):
            self._forget(pid)
            return self._meet(pid)
        state = _state(stat, seen.stat.cpu_ticks)
        facts = seen.facts if seen.facts.state == state else seen.facts._replace(state=state)
        seen.facts, seen.stat, seen.raw = facts, stat, raw or b""
        return facts

    def keep(self, pids: Collection[int]) -> None:
        """Forgets every process but these."""
        for pid in self._seen.keys() - set(pids):
            self._forget(pid)

    def close(self) -> None:
        """Forgets every process."""
        self.keep(())

    def _forget(self, pid: int) -> None:
        seen = self._seen.pop(pid)
        self._clocks.forget(pid)
        for file in (seen.file, seen.clock):
            if file is not None:
                os.close(file)
                self._files -= 1

    def _meet(self, pid: int) -> ProcessFacts | None:
        """Reads all of a process that is new, or has become another program."""
        try:
            directory = os.open(f"{self._root}/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            raw = read(f"task/{pid}/stat", directory)
            status = read("status", directory)
            cgroup = read("cgroup", directory)
            stat = parse(raw)
            if stat is None:
                return None
            facts = self._facts(pid, stat, _text(status), _text(cgroup))
            file, clock = self._hold(f"task/{pid}/stat", directory), self._hold(f"task/{pid}/schedstat", directory)
            self._seen[pid] = _Seen(facts, stat, raw or b"", file, clock)
        finally:
            os.close(directory)
        return facts

    def _facts(self, pid: int, stat: Stat, status: str, cgroup: str) -> ProcessFacts:
        uid, container = _uid(status), container_id(cgroup)
        workload = workload_of(cgroup, container, self._pods)
        return ProcessFacts(
            pid=pid,
            name=printable(_text(stat.name)),
            start_ticks=stat.start_ticks,
            start_time=self._start_time(stat.start_ticks),
            uid=uid,
            user=None if uid is None else self._user(uid),
            container=None if container is None else printable(container),
            state=_state(stat, stat.cpu_ticks),
            cgroup=cgroup_path(cgroup),
            workload=workload,
            no_workload=None if workload is not None else self._why_none(cgroup),
        )

    def _why_none(self, cgroup: str) -> str | None:
        """Why nobody is named, where that is not because there is nobody."""
        if not cgroup:
            return NO_CGROUP
        return None if self._sees_whole_paths else INSIDE

    def _hold(self, path: str, directory: int) -> int | None:
        if self._files >= self._files_max:
            return None
        file = open_file(path, directory)
        self._files += file is not None
        return file

    def _user(self, uid: int) -> str:
        if uid not in self._users:
            if len(self._users) >= USERS_KNOWN_MAX:
                self._users.clear()
            self._users[uid] = self._find_user(uid)
        return self._users[uid]

    def _start_time(self, start_ticks: int) -> float | None:
        if self._boot_time is None:
            # kept from then on: the kernel moves it when the clock is set, and start times must not move with it
            self._boot_time = boot_time(self._root)
        return None if self._boot_time is None else self._boot_time + start_ticks / self._ticks_per_second


def _is_same(before: Stat, now: Stat) -> bool:
    return before.start_ticks == now.start_ticks and before.name == now.name


def _state(stat: Stat, cpu_ticks_before: int) -> ThreadState:
    if stat.state == b"R":
        return "running"
    return "active" if stat.cpu_ticks > cpu_ticks_before else "waiting"


def _uid(status: str) -> int | None:
    match = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    return int(match[1]) if match else None


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")
