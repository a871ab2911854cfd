"""Counters of whole GPUs, given to a process for as long as nobody else is on its GPU."""

from msgspec import structs

from blackbox.model.parts import KernelCounters
from blackbox.sources.nvidia.attribution import shared_reason
from blackbox.sources.nvidia.driver import Driver
from blackbox.sources.nvidia.errors import Failure
from blackbox.sources.nvml.device import TrackedDevice
from blackbox.sources.nvml.gpm import GpmReader, GpmReading
from blackbox.sources.nvml.registry import DeviceRegistry

SOURCE = "gpm"
FIRST = "GPM compares two readings, and there is one so far"
NOT_COUNTED = dict.fromkeys(
    ("atomic_operations", "threads_per_block", "active_blocks", "dram_read_bytes", "dram_write_bytes"),
    "GPM does not count it",
)
COUNTED = ("occupancy", "memory_throughput")


class ExclusiveGpuCounters:
    """Reads a GPU whenever its process list was read: what lies between two lists that name the same single process is
    taken for that process's own. One that came and went in between goes unseen.
    """

    def __init__(self, driver: Driver) -> None:
        self.rows: tuple[KernelCounters, ...] = ()
        self._driver = driver
        self._watched: dict[str, _Watched] = {}

    def read(self, registry: DeviceRegistry, sees_all_pids: bool) -> None:
        """Reads the GPUs that have a new process list. Raises `LibraryGoneError`."""
        gpus = {gpu.device_handle.uuid: gpu for gpu in registry.gpus if gpu.rows_taken_at is not None}
        for uuid in self._watched.keys() - gpus.keys():
            self._watched.pop(uuid).reader.close()
        for uuid, gpu in gpus.items():
            watched = self._watched.get(uuid)
            if watched is None or watched.reader.calls is not gpu.device_handle.calls:
                if watched is not None:
                    watched.reader.close()
                watched = self._watched[uuid] = _Watched(GpmReader(self._driver, gpu.device_handle.calls))
            watched.read(registry, gpu, sees_all_pids)
        self.rows = _by_process([row for uuid in gpus for row in self._watched[uuid].rows])

    def close(self) -> None:
        """Gives back what the driver lent; to be called while the library is open."""
        for watched in self._watched.values():
            watched.reader.close()
        self._watched = {}
        self.rows = ()


class _Watched:
    """One GPU and those on it."""

    def __init__(self, reader: GpmReader) -> None:
        self.reader = reader
        self.rows: list[KernelCounters] = []
        self._listed_at: float | None = None
        self._only_pid: int | None = None
        """Pid of the process that was alone on the GPU when its list was last read."""

    def read(self, registry: DeviceRegistry, gpu: TrackedDevice, sees_all_pids: bool) -> None:
        if gpu.rows_taken_at == self._listed_at and gpu.rows_gap is None:
            return
        self._listed_at = gpu.rows_taken_at
        instances = registry.instances(gpu).values()
        pids = sorted({row.pid for device in (gpu, *instances) for row in device.rows})
        unlisted = gpu.rows_gap.reason if gpu.rows_gap else None
        is_partitioned = bool(instances) or registry.instances_unread(gpu) is not None
        reason = shared_reason(gpu.device_handle.index, len(pids), unlisted, is_partitioned, sees_all_pids, "GPM")
        only_pid = pids[0] if pids and reason is None else None
        if only_pid != self._only_pid:
            self.reader.forget()
            self._only_pid = only_pid
        if only_pid is None:
            self.rows = [_nothing(pid, reason or "") for pid in pids]
        else:
            self.rows = [self._measure(registry, gpu, only_pid)]

    def _measure(self, registry: DeviceRegistry, gpu: TrackedDevice, pid: int) -> KernelCounters:
        reading = self.reader.read()
        failure = registry.identity_failure(gpu)
        if failure is not None:
            self.reader.forget()
            return _nothing(pid, failure.reason)
        if not isinstance(reading, GpmReading):
            return _nothing(pid, reading.reason if reading else FIRST)
        peak = self.reader.peak_bytes_per_second()
        if isinstance(peak, Failure):
            throughput, note = None, peak.reason
        else:
            throughput = round(reading.dram_percent / 100 * peak)
            note = (
                f"estimate: {reading.dram_percent:.1f} % of a peak of {peak} bytes per second (clock times bus width)"
            )
        return structs.replace(
            _nothing(pid, ""),
            occupancy=round(reading.occupancy_percent, 2),
            memory_throughput=throughput,
            unknown={**NOT_COUNTED, "memory_throughput": note},
        )


def _nothing(pid: int, reason: str) -> KernelCounters:
    return KernelCounters(
        pid=pid, scope="device", source=SOURCE, unknown=dict.fromkeys((*NOT_COUNTED, *COUNTED), reason)
    )


def _by_process(rows: list[KernelCounters]) -> tuple[KernelCounters, ...]:
    """One row per process: shares of several GPUs make no share of one."""
    gpus: dict[int, list[KernelCounters]] = {}
    for row in rows:
        gpus.setdefault(row.pid, []).append(row)
    return tuple(
        found[0] if len(found) == 1 else _nothing(pid, f"it is on {len(found)} GPUs, and GPM counts each by itself")
        for pid, found in gpus.items()
    )
