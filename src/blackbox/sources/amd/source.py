"""The AMD source: everything the kernel's driver tells, as one sample."""

import time
from collections.abc import Callable
from pathlib import Path

from blackbox.model.facts import DRIVER_VERSION, PID_SCOPE, PROFILING
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState
from blackbox.sources.amd.cards import CardFinder
from blackbox.sources.amd.files import NO_GPU, FileFailure, Files
from blackbox.sources.amd.listing import ProcessListReader
from blackbox.sources.amd.registry import DeviceRegistry, TrackedGpu
from blackbox.sources.base import DropBreadcrumb, no_breadcrumb
from blackbox.sources.proc.processes import Procfs, user_name

CARDS_SECONDS = 1.0
"""Between looks for GPUs that came or went."""
STAT_FILES_MAX = 512
"""Processes' stat files held open."""
USER_CALL = "getpwuid"
"""Announced like a file, since a directory service behind it can hang as well."""
NO_DRIVER = "the kernel's driver amdgpu is not loaded, or has no GPU: run 'modprobe amdgpu', then look into dmesg"
VERSION = "sys/module/amdgpu/version"
KERNEL = "proc/sys/kernel/osrelease"


class AmdSource:
    """Keeps the promises of `Source`. Runs in a process of its own, since the driver of a sick GPU may not answer."""

    name = "amd"

    def __init__(
        self,
        *,
        breadcrumb: DropBreadcrumb = no_breadcrumb,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`root` has /sys, /proc and /usr in it."""
        self._root = root
        self._clock = clock
        self._wall_clock = wall_clock
        self._stopwatch = stopwatch
        self._files = Files(breadcrumb)
        self._procfs = Procfs(root / "proc", self._find_user, STAT_FILES_MAX)
        self._forget()

    @property
    def quarantine(self) -> dict[tuple[str, int], str]:
        """(name of a file, index of a GPU; -1 for any) -> reason why it is not read."""
        return self._files.quarantine

    @quarantine.setter
    def quarantine(self, files: dict[tuple[str, int], str]) -> None:
        self._files.quarantine = files

    def sample(self) -> Sample:
        """See `Source`."""
        now = self._clock()
        if now >= self._cards_at:
            self._look(now)
        self._registry.read(now)
        gpus = self._registry.gpus
        present = [gpu.card for gpu in gpus if gpu.state != "lost"]
        if present:
            self._listing.read(present, now, self._registry.totals)
        state, reason = _health(gpus)
        uuids = {card.uuid for card in present}
        return Sample(
            source=self.name,
            taken_at=now,
            state=state,
            reason=reason,
            devices=tuple(gpu.describe(self._listing.unknown, self._listing.is_partly_told) for gpu in gpus),
            processes=tuple(process for process in self._listing.processes if process.gpu_uuid in uuids),
            processes_taken_at=self._listing.taken_at,
            events=self._registry.drain_events(),
            cost=self._cost(),
            facts=self._facts,
        )

    def close(self) -> None:
        """See `Source`."""
        self._procfs.close()
        self._forget()

    def _forget(self) -> None:
        self._cards_at = float("-inf")
        self._finder = CardFinder(self._files, self._root)
        self._registry = DeviceRegistry(self._files, self._wall_clock)
        self._listing = ProcessListReader(self._files, self._root, self._procfs, self._stopwatch)
        self._facts: dict[str, str] = {}

    def _look(self, now: float) -> None:
        cards = self._finder.find()
        if isinstance(cards, FileFailure):
            return
        self._cards_at = now + CARDS_SECONDS
        self._registry.apply(cards, now)
        if not self._facts:
            self._facts = dict(
                (
                    DRIVER_VERSION.stated(self._driver_version()),
                    PID_SCOPE.stated("host" if self._procfs.sees_host_pids else "namespace"),
                    PROFILING.stated("none"),
                )
            )

    def _driver_version(self) -> str:
        """Of the driver where it is AMD's own package; of the kernel that it is a part of otherwise."""
        own = self._files.text(self._root / VERSION, NO_GPU)
        if isinstance(own, str) and own:
            return own
        kernel = self._files.text(self._root / KERNEL, NO_GPU)
        return f"unknown: {kernel.reason}" if isinstance(kernel, FileFailure) else f"Linux {kernel}"

    def _cost(self) -> dict[str, float]:
        return {
            "cpu_seconds_total": time.process_time(),
            "driver_calls_total": self._files.reads_total,
            "driver_seconds_total": self._files.seconds_total,
            "process_list_seconds": self._listing.seconds,
            "process_list_interval_seconds": self._listing.interval_seconds,
            "process_rows_left_out_total": self._listing.left_out_total,
        }

    def _find_user(self, uid: int) -> str:
        if self._files.barred(USER_CALL, NO_GPU):
            return str(uid)
        self._files.announce(USER_CALL, NO_GPU)
        return user_name(uid)


def _health(gpus: list[TrackedGpu]) -> tuple[SourceState, str | None]:
    """State of the whole: one GPU in trouble degrades it; one that a person withheld does not."""
    if not gpus:
        return "no_driver", NO_DRIVER
    for gpu in gpus:
        if gpu.state in ("stale", "lost", "failed"):
            return "degraded", f"GPU {gpu.card.index}: {gpu.reason}"
    return "ok", None
