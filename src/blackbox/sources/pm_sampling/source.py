"""The source: a window on every GPU that one process has to itself, one GPU at a time, and what it counted."""

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from blackbox.model.facts import PM_SAMPLING
from blackbox.model.parts import KernelCounters
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState
from blackbox.sources.base import DropBreadcrumb, no_breadcrumb
from blackbox.sources.nvidia.driver import Driver
from blackbox.sources.nvidia.errors import Failure, LibraryGoneError, absence_of
from blackbox.sources.nvidia.topology import DeviceHandle, Topology, TopologyReader
from blackbox.sources.pm_sampling.collector import Collector, DeniedError, NotOfferedError, PmSamplingError
from blackbox.sources.pm_sampling.cuda import CudaError, ordinals
from blackbox.sources.pm_sampling.gpu_processes import GpuProcessReader
from blackbox.sources.pm_sampling.totals import SOURCE, nothing, totals
from blackbox.sources.proc.processes import Procfs

WINDOW_SECONDS = 0.2
EVERY_SECONDS = 30.0
"""On each GPU, whose clocks are held while its counters are read: 0.7 % of the time."""
OPEN, READ, CLOSE = "pm_sampling_open", "pm_sampling_read", "pm_sampling_close"
WINDOW_CALLS = (OPEN, READ, CLOSE)
CUDA = "cuInit"
NOT_IN_CUDA = "CUDA does not know this GPU"

Trouble = tuple[SourceState, str]


class PmSamplingSource:
    """Keeps the promises of `Source`. Runs in a process of its own: what it opens may hang or crash, and finding no
    counters must cost nobody else's figures."""

    name = SOURCE
    vital_calls = frozenset({CUDA})
    slow_calls = frozenset(WINDOW_CALLS)
    """They may take seconds; one that does harm is left out for a while."""

    def __init__(
        self,
        *,
        breadcrumb: DropBreadcrumb = no_breadcrumb,
        procfs: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        find_ordinals: Callable[[], dict[str, int]] = ordinals,
    ) -> None:
        """`find_ordinals` tells CUDA's number of each GPU."""
        self._breadcrumb = breadcrumb
        self._clock = clock
        self._sleep = sleep
        self._find_ordinals = find_ordinals
        self._driver = Driver(None, breadcrumb)
        self._topology = TopologyReader(self._driver, clock)
        self._gpu_processes = GpuProcessReader(Procfs(procfs).sees_host_pids)
        self._ordinals: dict[str, int] | None = None
        self._collectors: dict[str, Collector] = {}
        self._windows = 0
        self._forget()

    @property
    def quarantine(self) -> dict[tuple[str, int], str]:
        """(function, device index; -1 for any) -> reason why it is not called."""
        return self._driver.quarantine

    @quarantine.setter
    def quarantine(self, calls: dict[tuple[str, int], str]) -> None:
        self._driver.quarantine = calls

    def sample(self) -> Sample:
        """The figures of the last windows; of one GPU new ones where it is time, for which it takes a little longer."""
        now = self._clock()
        if now >= self._due_at:
            self._absence = None
            try:
                self._look(now)
            except LibraryGoneError as gone:
                self._driver.close()
                self._fail(gone.failure, now)
        state, reason = self._absence or next(iter(self._troubles.values()), ("ok", None))
        return Sample(
            source=self.name,
            taken_at=self._clock(),
            state=state,
            reason=reason,
            kernels=_by_process(self._rows),
            facts=dict((PM_SAMPLING.stated("on"),)),
            cost={
                "cpu_seconds_total": time.process_time(),
                "driver_calls_total": self._driver.calls_total,
                "driver_seconds_total": self._driver.seconds_total,
                "windows_total": self._windows,
                "window_seconds": WINDOW_SECONDS,
                "window_interval_seconds": EVERY_SECONDS,
            },
        )

    def close(self) -> None:
        """See `Source`."""
        self._driver.close()
        self._forget()

    def _forget(self) -> None:
        self._due_at = float("-inf")
        self._due: dict[str, float] = {}
        """UUID of a GPU -> when it is looked at next."""
        self._rows: dict[str, list[KernelCounters]] = {}
        """UUID of a GPU -> what its processes are given."""
        self._troubles: dict[str, Trouble] = {}
        """UUID of a GPU -> why it has no figures, where that is a fault."""
        self._absence: Trouble | None = None

    def _look(self, now: float) -> None:
        """Looks at the GPU that has waited longest. Raises `LibraryGoneError`."""
        topology = self._driver.open() or self._topology.read()
        if isinstance(topology, Failure):
            self._fail(topology, now)
            return
        known = topology.gpus.keys()
        for past in (self._due, self._rows, self._troubles):
            for uuid in past.keys() - known:
                del past[uuid]
        self._due = {uuid: self._due.get(uuid, now) for uuid in known}
        if self._due:
            uuid = min(self._due, key=self._due.__getitem__)
            self._due[uuid] = now + EVERY_SECONDS
            self._troubles.pop(uuid, None)
            self._rows[uuid] = self._look_at(topology, uuid)
        self._due_at = min(self._due.values(), default=now + EVERY_SECONDS)

    def _look_at(self, topology: Topology, uuid: str) -> list[KernelCounters]:
        gpu = topology.gpus[uuid]
        is_partitioned = bool(topology.instances.get(uuid)) or uuid in topology.instances_unread
        before = self._gpu_processes.on(gpu, is_partitioned)
        if before.shared is not None or not before.pids:
            return [nothing(pid, before.shared or "") for pid in before.pids]
        (pid,) = before.pids
        try:
            row = self._window(gpu, pid)
        except (PmSamplingError, CudaError) as error:
            if isinstance(error, DeniedError):
                self._troubles[uuid] = ("no_access", str(error))
            elif not isinstance(error, NotOfferedError):
                self._troubles[uuid] = ("failed", f"GPU {gpu.index}: {error}")
            return [nothing(pid, str(error))]
        if self._gpu_processes.on(gpu, is_partitioned) != before:
            return [nothing(pid, f"others came to GPU {gpu.index} or left it during the window")]
        return [row]

    def _window(self, gpu: DeviceHandle, pid: int) -> KernelCounters:
        """What is counted for the only process on a GPU. Raises `PmSamplingError`, `CudaError`."""
        self._check_quarantine(gpu)
        collector = self._collector(gpu.uuid)
        self._breadcrumb(OPEN, gpu.index)
        collector.open()
        try:
            self._sleep(WINDOW_SECONDS)
            self._breadcrumb(READ, gpu.index)
            intervals = collector.read()
        finally:
            self._breadcrumb(CLOSE, gpu.index)
            collector.close()
        self._windows += 1
        return totals(pid, intervals, EVERY_SECONDS)

    def _check_quarantine(self, gpu: DeviceHandle) -> None:
        """Raises `PmSamplingError` where a window did harm on this GPU not long ago."""
        for call in WINDOW_CALLS:
            if reason := self.quarantine.get((call, gpu.index)):
                raise PmSamplingError(reason)

    def _collector(self, uuid: str) -> Collector:
        if self._ordinals is None:
            self._breadcrumb(CUDA, -1)
            self._ordinals = self._find_ordinals()
        if uuid not in self._ordinals:
            raise PmSamplingError(NOT_IN_CUDA)
        if uuid not in self._collectors:
            self._collectors[uuid] = Collector(self._ordinals[uuid])
        return self._collectors[uuid]

    def _fail(self, failure: Failure, now: float) -> None:
        self._absence = absence_of(failure)
        self._rows = {}
        self._due_at = now + EVERY_SECONDS


def _by_process(rows: dict[str, list[KernelCounters]]) -> tuple[KernelCounters, ...]:
    """One row per process: counts of several GPUs are not those of one."""
    found: defaultdict[int, list[KernelCounters]] = defaultdict(list)
    for of_gpu in rows.values():
        for row in of_gpu:
            found[row.pid].append(row)
    return tuple(
        of_process[0]
        if len(of_process) == 1
        else nothing(pid, f"it is on {len(of_process)} GPUs, and PM sampling counts each by itself")
        for pid, of_process in found.items()
    )
