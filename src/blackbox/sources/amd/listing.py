"""The processes on all GPUs, out of both of the kernel's lists, read as rarely as their cost demands."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from blackbox.model.parts import DeviceProcess
from blackbox.sources.amd.cards import Card
from blackbox.sources.amd.clients import NAME, Clients, read_clients
from blackbox.sources.amd.files import NO_GPU, Files
from blackbox.sources.amd.kfd import Kfd
from blackbox.sources.proc.device_processes import Holder, NamedProcesses
from blackbox.sources.proc.memory_limits import MemoryLimitReader
from blackbox.sources.proc.processes import Procfs

INTERVAL_SECONDS_MIN = 1.0
INTERVAL_SECONDS_MAX = 30.0
COST_SHARE = 100
"""The interval is at least this many times what a reading took: every open file of the machine is looked at."""
SLACK_SECONDS = 0.05
"""A tick that comes a little early reads the lists all the same."""
NOTHING = Clients({}, frozenset(), 0)
CONTAINED = "the kernel lists compute processes outside this container by pids that mean others here"
LEFT_OUT = "left out of the kernel's list, since it cannot be"
NO_KFD = "the kernel lists no compute processes here"


class ProcessListReader:
    """Keeps the newest list."""

    def __init__(self, files: Files, root: Path, procfs: Procfs, stopwatch: Callable[[], float]) -> None:
        self.seconds = 0.0
        """What the last reading took."""
        self.interval_seconds = INTERVAL_SECONDS_MIN
        self.processes: tuple[DeviceProcess, ...] = ()
        self.taken_at: float | None = None
        self.unknown: str | None = None
        """Why there may be more processes than these."""
        self.is_partly_told = False
        """There may be more than these, and these are known."""
        self.left_out_total = 0
        """Figures that cannot be."""
        self._files = files
        self._stopwatch = stopwatch
        self._kfd = Kfd(files, root)
        self._proc = root / "proc"
        self._sysfs = root / "sys"
        self._procfs = procfs
        self._due_at = float("-inf")
        self._named = NamedProcesses()

    def read(self, cards: Collection[Card], now: float, totals: Mapping[str, int]) -> None:
        """Reads both lists, if it is time. What is on no GPU of `cards` is left out, and what is more than `totals` has
        for a GPU's UUID."""
        if now < self._due_at - SLACK_SECONDS:
            return
        started = self._stopwatch()
        is_host = self._procfs.sees_host_pids
        of_kfd = self._kfd.read() if is_host else None
        barred = self._files.barred(NAME, NO_GPU)
        apus = {card.pci for card in cards if card.is_apu}
        clients = NOTHING if barred else read_clients(self._proc, lambda: self._files.announce(NAME, NO_GPU), apus)
        uuids = {card.pci: card.uuid for card in cards}
        held: dict[tuple[int, str], int] = {}
        left_out: list[str] = []
        for pid, of_gpus in (*(of_kfd or {}).items(), *clients.held.items()):
            for pci, used in of_gpus.items():
                # each list states all of a process that it knows of: the larger figure counts, not the sum
                if pci not in uuids:
                    continue
                if used > totals.get(uuids[pci], used):
                    left_out.append(f"pid {pid} with {used} bytes")
                else:
                    held[pid, uuids[pci]] = max(used, held.get((pid, uuids[pci]), 0))
        compute = clients.compute | (of_kfd or {}).keys()
        holders = [
            Holder(pid, uuid, used, "compute" if pid in compute else "graphics")
            for (pid, uuid), used in sorted(held.items())
            if used
        ]
        # of a processor with graphics the kernel limits the carve-out alone, not what it takes of the machine's memory
        addresses = {card.uuid: card.pci for card in cards if not card.is_apu}
        self.processes = self._named.rows([holders], self._procfs, MemoryLimitReader(self._sysfs, addresses))
        self.taken_at = now
        self.left_out_total += len(left_out)
        self.unknown = barred.reason if barred else _why_incomplete(is_host, of_kfd is not None, clients.hidden)
        if left_out:
            more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
            self.unknown = self.unknown or f"{LEFT_OUT}: {left_out[0]}{more}"
        self.is_partly_told = self.unknown is not None and barred is None
        self.seconds = self._stopwatch() - started
        self.interval_seconds = min(INTERVAL_SECONDS_MAX, max(INTERVAL_SECONDS_MIN, COST_SHARE * self.seconds))
        self._due_at = now + self.interval_seconds


def _why_incomplete(is_host: bool, has_kfd: bool, hidden: int) -> str | None:
    if not is_host:
        return CONTAINED
    if not hidden:
        return None
    secret = f"the open files of {hidden} processes may not be seen"
    return f"{secret}, and so not whether they are graphics programs" if has_kfd else f"{NO_KFD}, and {secret}"
