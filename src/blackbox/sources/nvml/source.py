"""The NVML source: everything the NVIDIA driver tells, as one sample."""

import time
from collections.abc import Callable
from ctypes import c_uint, create_string_buffer
from pathlib import Path

from blackbox.model.event import Event
from blackbox.model.facts import (
    DRIVER_EVENTS,
    DRIVER_EVENTS_WATCHED,
    DRIVER_VERSION,
    GPM,
    NVML_VERSION,
    PID_SCOPE,
    PROFILING,
)
from blackbox.model.parts import Device, gpu_name
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState
from blackbox.sources.base import DropBreadcrumb, no_breadcrumb
from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.driver import INIT_CALL, NO_DEVICE, Driver
from blackbox.sources.nvidia.errors import Failure, LibraryGoneError, absence_of
from blackbox.sources.nvidia.library import pids_are_ours, profiling_access
from blackbox.sources.nvidia.runtime_power import Sleep, read_sleep
from blackbox.sources.nvidia.topology import COUNT_CALL, TopologyReader
from blackbox.sources.nvml import MEMORY_VERSION
from blackbox.sources.nvml.events import EventWatch
from blackbox.sources.nvml.gpm_attribution import ExclusiveGpuCounters
from blackbox.sources.nvml.listing import ProcessListReader
from blackbox.sources.nvml.registry import DeviceRegistry
from blackbox.sources.nvml.sleepers import sleepers
from blackbox.sources.proc.processes import Procfs, user_name

OPEN_RETRY_SECONDS = 2.0
"""Between attempts to open a library that is gone: back within five seconds, and no load on a sick driver."""
TOPOLOGY_SECONDS = 1.0
"""Between enumerations: a MIG change shows within two seconds."""
SLEEP_SECONDS = 1.0
"""Between looks at who sleeps. A GPU that the driver itself wakes shows its figures so much later."""
REOPEN_SECONDS_MIN, REOPEN_SECONDS_MAX = 60.0, 3600.0
"""While a GPU is lost the library is closed and opened this often, more and more rarely: it may answer for the GPU
only then, and opening it can hold up the other GPUs' figures for a moment."""
STAT_FILES_MAX = 768
"""Files of processes held open, two of each: three quarters of the lowest common limit on open files."""
USER_CALL = "getpwuid"
"""Announced like a driver call, since a directory service behind it can hang as well."""


class NvmlSource:
    """Keeps the promises of `Source`. Runs in a process of its own, since the library may hang or crash.

    `breadcrumb(function, device index)` is called before each driver call; `quarantine` maps such pairs to the reason
    why the call must not be made. `stopwatch` times the calls: the process list is read as rarely as its cost demands.
    With `gpm` it reads the counters of whole GPUs, too.
    """

    name = "nvml"
    vital_calls = frozenset({INIT_CALL, COUNT_CALL})
    """Without these there is no answer at all."""

    def __init__(
        self,
        *,
        breadcrumb: DropBreadcrumb = no_breadcrumb,
        library: Path | None = None,
        procfs: Path = Path("/proc"),
        sysfs: Path = Path("/sys"),
        gpm: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._breadcrumb = breadcrumb
        self._clock = clock
        self._wall_clock = wall_clock
        self._driver = Driver(library, breadcrumb, stopwatch)
        self._procfs = Procfs(procfs, self._find_user, STAT_FILES_MAX)
        self._procfs_path = procfs
        self._sysfs = sysfs
        self._sleep = Sleep(frozenset(), frozenset())
        self._sleep_at = 0.0
        """When to look next who sleeps."""
        self._exclusive = ExclusiveGpuCounters(self._driver) if gpm else None
        """None: no profiling call is made."""
        self._open_at = 0.0
        """When the library may be opened next, while `_absence` says why it is not open."""
        self._absence: Failure | None = None
        self._facts: dict[str, str] = {}
        self._sees_host_pids = False
        self._topology: TopologyReader = TopologyReader(self._driver, clock)
        self._topology_at: float | None = None
        """When to enumerate next; None before the first time since the library was opened."""
        self._named_procfs: Procfs | None = None
        """None where the driver's pids may mean other processes."""
        self._reopen_at: float | None = None
        self._reopen_seconds = REOPEN_SECONDS_MIN
        self._watch: EventWatch | None = None
        self._watched: set[tuple[str, int]] | None = None
        """UUID and handle of the GPUs whose events `_watch` awaits."""
        self._events: list[Event] = []
        """Of watches that ended, until the next sample."""
        self._events_dropped = 0
        self._forget()

    @property
    def quarantine(self) -> dict[tuple[str, int], str]:
        """(function, device index; -1 for any) -> reason why it is not called."""
        return self._driver.quarantine

    @quarantine.setter
    def quarantine(self, calls: dict[tuple[str, int], str]) -> None:
        self._driver.quarantine = calls

    def sample(self) -> Sample:
        """What the driver tells now. Opens the library at the first call, and again after a loss."""
        now = self._clock()
        if self._absence is not None and now < self._open_at:
            return self._sample_absent(now, self._absence)
        self._look_who_sleeps(now)
        if self._sleep.of_all:
            return self._sample_asleep(now)
        self._reopen_for_lost(now)
        try:
            failure = self._open() or self._enumerate(now)
            if failure is not None:
                self._retire(failure, now)
                return self._sample_absent(now, failure)
            self._registry.read(now, self._sleep.sleeping)
            self._listing.read(self._registry, self._named_procfs, now)
            if self._exclusive is not None:
                self._exclusive.read(self._registry, self._sees_host_pids)
        except LibraryGoneError as gone:
            self._retire(gone.failure, now)
            return self._sample_absent(now, gone.failure)
        return self._sample_present(now)

    def close(self) -> None:
        """Releases every handle, and forgets the devices."""
        self._close_library()
        self._absence = None
        self._procfs.close()
        self._forget()

    def _forget(self) -> None:
        self._registry = DeviceRegistry(self._wall_clock, self._procfs_path)
        self._listing = ProcessListReader(self._driver, self._sysfs)

    def _open(self) -> Failure | None:
        if self._driver.is_open:
            return None
        failure = self._driver.open()
        if failure is not None:
            return failure
        self._absence = None
        self._topology = TopologyReader(self._driver, self._clock)
        driver_version = self._read_text("nvmlSystemGetDriverVersion")
        is_host = self._procfs.sees_host_pids
        self._named_procfs = self._procfs if pids_are_ours(driver_version, is_host) else None
        self._sees_host_pids = is_host
        self._facts = dict(
            (
                DRIVER_VERSION.stated(driver_version),
                NVML_VERSION.stated(self._read_text("nvmlSystemGetNVMLVersion")),
                PID_SCOPE.stated("host" if is_host else "namespace"),
                PROFILING.stated(profiling_access(self._procfs_path)),
                GPM.stated("off" if self._exclusive is None else "on"),
            )
        )
        return None

    def _enumerate(self, now: float) -> Failure | None:
        """Looks which devices there are, if it is time and wakes nobody; a failure leaves those known, if there are
        any."""
        if self._topology_at is not None and (now < self._topology_at or self._sleep.sleeping):
            return None
        topology = self._topology.read()
        if isinstance(topology, Failure):
            return topology if self._topology_at is None else None
        self._topology_at = now + TOPOLOGY_SECONDS
        self._registry.apply(topology, now)
        self._watch_events()
        return None

    def _look_who_sleeps(self, now: float) -> None:
        if now >= self._sleep_at:
            self._sleep_at = now + SLEEP_SECONDS
            self._sleep = read_sleep(self._sysfs)

    def _sample_asleep(self, now: float) -> Sample:
        """All GPUs sleep: they are left alone, and the library closed, since it keeps them open."""
        if self._driver.is_open:
            self._close_library()
        self._registry.rest(now, self._sleep.sleeping)
        self._listing.forget_lost(self._registry)
        return Sample(
            source=self.name,
            taken_at=now,
            devices=self._registry.describe(now) or sleepers(self._procfs_path, self._sleep.sleeping, now),
            events=self._drain_events(),
            cost=self._cost(),
            facts=self._facts,
        )

    def _watch_events(self) -> None:
        """Watches the GPUs that can be asked; a change among them needs a new event set."""
        gpus = [gpu.device_handle for gpu in self._registry.gpus]
        watched = {(device_handle.uuid, device_handle.calls.handle) for device_handle in gpus}
        if watched == self._watched:
            return
        self._stop_watch()
        self._watched = watched
        self._watch = EventWatch(self._driver, self._wall_clock)
        self._facts[DRIVER_EVENTS.key] = self._watch.start(gpus) or DRIVER_EVENTS_WATCHED

    def _stop_watch(self) -> None:
        self._watched = None
        if self._watch is None:
            return
        self._watch.stop()
        self._events += self._watch.drain()
        self._events_dropped += self._watch.dropped_total
        self._watch = None

    def _retire(self, failure: Failure, now: float) -> None:
        """Closes a library that does not answer, and says when to try again."""
        self._close_library()
        self._absence = failure
        self._open_at = now + OPEN_RETRY_SECONDS

    def _close_library(self) -> None:
        self._stop_watch()
        if self._exclusive is not None:
            self._exclusive.close()
        self._driver.close()
        self._registry.disconnect()
        self._topology_at = None

    def _reopen_for_lost(self, now: float) -> None:
        """Closes the library from time to time while a GPU is lost."""
        if not self._registry.has_lost:
            self._reopen_at, self._reopen_seconds = None, REOPEN_SECONDS_MIN
        elif self._reopen_at is None:
            self._reopen_at = now + self._reopen_seconds
        elif now >= self._reopen_at:
            self._reopen_seconds = min(2 * self._reopen_seconds, REOPEN_SECONDS_MAX)
            self._reopen_at = now + self._reopen_seconds
            self._close_library()

    def _sample_absent(self, now: float, failure: Failure) -> Sample:
        state, reason = absence_of(failure)
        return Sample(
            source=self.name,
            taken_at=now,
            state=state,
            reason=reason,
            events=self._drain_events(),
            cost=self._cost(),
            facts=self._facts,
        )

    def _sample_present(self, now: float) -> Sample:
        devices = self._registry.describe(now)
        self._listing.forget_lost(self._registry)
        state, reason = _health(devices) or _lists_health(self._registry) or ("ok", None)
        if state != "ok":
            self._topology_at = now  # what is wrong may be the enumeration
        return Sample(
            source=self.name,
            taken_at=now,
            state=state,
            reason=reason,
            devices=devices,
            processes=self._listing.processes,
            processes_taken_at=self._listing.taken_at,
            kernels=self._exclusive.rows if self._exclusive else (),
            events=self._drain_events(),
            cost=self._cost(),
            facts={**self._facts, MEMORY_VERSION.key: _memory_versions(devices)},
        )

    def _drain_events(self) -> tuple[Event, ...]:
        events = [*self._events, *self._registry.drain_events()]
        if self._watch is not None:
            events += self._watch.drain()
        self._events = []
        return tuple(events)

    def _cost(self) -> dict[str, float]:
        watching = self._watch.dropped_total if self._watch else 0
        return {
            "cpu_seconds_total": time.process_time(),
            "driver_calls_total": self._driver.calls_total,
            "driver_seconds_total": self._driver.seconds_total,
            "events_dropped_total": self._events_dropped + watching,
            "process_list_seconds": self._listing.seconds,
            "process_list_interval_seconds": self._listing.interval_seconds,
            "process_list_retries_total": self._listing.retries_total,
            "process_rows_left_out_total": self._listing.left_out_total,
        }

    def _read_text(self, name: str) -> str:
        text = create_string_buffer(nvml.NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE)
        failure = self._driver.attempt(name, NO_DEVICE, text, c_uint(len(text)))
        return f"unknown: {failure.reason}" if failure else text.value.decode(errors="replace")

    def _find_user(self, uid: int) -> str:
        if self._driver.barred(USER_CALL, NO_DEVICE):
            return str(uid)
        self._breadcrumb(USER_CALL, NO_DEVICE)
        return user_name(uid)


def with_gpm(breadcrumb: DropBreadcrumb) -> NvmlSource:
    """The source that makes profiling calls as well."""
    return NvmlSource(breadcrumb=breadcrumb, gpm=True)


def _health(devices: tuple[Device, ...]) -> tuple[SourceState, str | None] | None:
    """State of the whole: one device in trouble degrades it; one that a person withheld does not. None: all is well."""
    for device in devices:
        if device.state in ("stale", "lost", "failed"):
            return "degraded", f"{gpu_name(device.index, device.mig)}: {device.reason}"
    return None


def _lists_health(registry: DeviceRegistry) -> tuple[SourceState, str | None] | None:
    """Likewise by the process lists: what a device never offers, and single rows left out, are no trouble."""
    for device in registry:
        if device.rows_gap is not None and device.rows_gap.kind == "fault":
            name = gpu_name(device.device_handle.index, device.device_handle.mig)
            return "degraded", f"{name}: {device.rows_gap.reason}"
    return None


def _memory_versions(devices: tuple[Device, ...]) -> str:
    """The versions of the memory call in use, such as `v2`."""
    sources = sorted({device.memory.source for device in devices if device.memory})
    return ", ".join(source.removeprefix("nvml_") for source in sources) or "none"
