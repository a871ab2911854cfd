"""The process lists of all devices, read as rarely as their cost demands."""

from pathlib import Path

from blackbox.model.parts import DeviceProcess, MemoryLimit
from blackbox.sources.nvidia.driver import Driver
from blackbox.sources.nvidia.errors import Failure, Fault, LibraryGoneError
from blackbox.sources.nvidia.process_list import ProcessLists, ProcessRow, gap_of
from blackbox.sources.nvml.device import TrackedDevice
from blackbox.sources.nvml.memory_limits import CALL, read_memory_limit
from blackbox.sources.nvml.registry import DeviceRegistry
from blackbox.sources.proc.device_processes import Holder, NamedProcesses
from blackbox.sources.proc.memory_limits import MemoryLimitReader
from blackbox.sources.proc.processes import Procfs

INTERVAL_SECONDS_MIN = 1.0
"""The driver walks all its clients under a global lock for a process list, and stalls other programs meanwhile."""
INTERVAL_SECONDS_MAX = 30.0
COST_SHARE = 100
"""The interval is at least this many times what a reading took: 1 % of the time at most."""
SLACK_SECONDS = 0.05
"""A tick that comes a little early reads the list all the same; else 1 Hz would become 0.67."""


class ProcessListReader:
    """Keeps the newest process list of every device in it, and the processes of all."""

    def __init__(self, driver: Driver, sysfs: Path = Path("/sys")) -> None:
        self._sysfs = sysfs
        self.seconds = 0.0
        """Time in the driver for the last reading of all lists."""
        self.interval_seconds = INTERVAL_SECONDS_MIN
        self.processes: tuple[DeviceProcess, ...] = ()
        self.taken_at: float | None = None
        """Of the oldest list in `processes`; None when there is none."""
        self._driver = driver
        self._lists = ProcessLists()
        self._named = NamedProcesses()
        self._holders: dict[str, tuple[list[ProcessRow], list[Holder]]] = {}
        """UUID of a device -> its rows, which are replaced and never changed, and what was made of them."""
        self._due_at: float | None = None
        self._listed: frozenset[str] = frozenset()
        """UUIDs of the devices whose lists are in `processes`."""

    @property
    def retries_total(self) -> int:
        return self._lists.retries_total

    @property
    def left_out_total(self) -> int:
        return self._lists.left_out_total

    def read(self, registry: DeviceRegistry, procfs: Procfs | None, now: float) -> None:
        """Reads all lists, if it is time. Raises `LibraryGoneError`."""
        if self._due_at is not None and now < self._due_at - SLACK_SECONDS:
            return
        before = self._driver.seconds_total
        for gpu in registry.gpus:
            self._read_gpu(registry, gpu, now)
        self._gather(registry, procfs)
        self.seconds = self._driver.seconds_total - before
        self.interval_seconds = min(INTERVAL_SECONDS_MAX, max(INTERVAL_SECONDS_MIN, COST_SHARE * self.seconds))
        self._due_at = now + self.interval_seconds

    def forget_lost(self, registry: DeviceRegistry) -> None:
        """Drops the processes of devices that are no more, or no more to be asked."""
        listed = _listed(registry)
        if not listed >= self._listed:
            self._listed = listed
            self.processes = tuple(process for process in self.processes if process.gpu_uuid in listed)

    def _read_gpu(self, registry: DeviceRegistry, gpu: TrackedDevice, now: float) -> None:
        """One list for the whole GPU, instances included; those that it does not name are asked for their own."""
        instances = registry.instances(gpu)
        failure = self._read_device(registry, gpu, now)
        if instances:
            self._share_out(registry, gpu, instances, failure, now)
        if (unread := registry.instances_unread(gpu)) is not None:
            gpu.rows_gap = gpu.rows_gap or gap_of(unread)

    def _share_out(
        self,
        registry: DeviceRegistry,
        gpu: TrackedDevice,
        instances: dict[tuple[int, int], TrackedDevice],
        failure: Failure | None,
        now: float,
    ) -> None:
        """A list refused with whatever code, or told in part without a word of it, or by a driver that names no
        instances, says nothing of the instances that are not in it."""
        is_whole = gpu.rows_gap is None or gpu.rows_gap.kind == "rows"
        named = {_instance(row) for row in gpu.rows} & instances.keys() if is_whole else set[tuple[int, int]]()
        _hand_down(gpu, {place: instances[place] for place in named}, now)
        self._read_instances(registry, gpu, {place: instances[place] for place in instances.keys() - named}, now)
        if failure is not None and not any(instance.rows_gap for instance in instances.values()):
            gpu.rows, gpu.rows_taken_at, gpu.rows_gap = [], now, None

    def _read_instances(
        self,
        registry: DeviceRegistry,
        gpu: TrackedDevice,
        instances: dict[tuple[int, int], TrackedDevice],
        now: float,
    ) -> None:
        """Asks each instance for its own list. One that does not tell is marked, and so is the GPU."""
        gaps = [
            gap_of(failure)
            for instance in instances.values()
            if (failure := self._read_device(registry, instance, now)) is not None
        ]
        gpu.rows_gap = gpu.rows_gap or next(iter(gaps), None)
        found = {row.pid for instance in instances.values() for row in instance.rows}
        gpu.rows = [row for row in gpu.rows if row.pid not in found]

    def _read_device(self, registry: DeviceRegistry, device: TrackedDevice, now: float) -> Failure | None:
        """Reads one list into the device; a list that cannot be read leaves the last one, with its age."""
        try:
            reading = self._lists.read(device.device_handle.calls, device.total_bytes)
        except LibraryGoneError as gone:
            # so it says at a list; where it is gone indeed, this raises as well
            failure = registry.identity_failure(device)
            reading = failure or gone.failure._replace(fault=Fault.TRANSIENT)
        if not isinstance(reading, Failure):
            reading = registry.identity_failure(device) or reading
        if not isinstance(reading, Failure):
            device.rows, device.rows_gap = reading
            device.rows_taken_at = now
            return None
        device.rows_gap = gap_of(reading)
        if reading.fault is not Fault.TRANSIENT:
            device.rows, device.rows_taken_at = [], None
        return reading

    def _limits(self, registry: DeviceRegistry) -> MemoryLimitReader:
        """Of whole GPUs: instances cannot be limited further."""
        gpus = {gpu.device_handle.uuid: gpu.device_handle for gpu in registry.gpus}
        addresses = {uuid: handle.pci for uuid, handle in gpus.items() if handle.pci}
        may_ask = self._driver.is_open and self._driver.function(CALL) is not None

        def ask(gpu_uuid: str, directory: Path) -> MemoryLimit | None:
            handle = gpus.get(gpu_uuid)
            return None if handle is None else read_memory_limit(handle.calls, directory)

        return MemoryLimitReader(self._sysfs, addresses, ask if may_ask else None)

    def _gather(self, registry: DeviceRegistry, procfs: Procfs | None) -> None:
        self._holders = {device.device_handle.uuid: self._holders_of(device) for device in registry}
        lists = [holders for _, holders in self._holders.values()]
        times = [device.rows_taken_at for device in registry if device.rows_taken_at is not None]
        self.taken_at = min(times, default=None)
        self.processes = self._named.rows(lists, procfs, self._limits(registry))
        self._listed = _listed(registry)

    def _holders_of(self, device: TrackedDevice) -> tuple[list[ProcessRow], list[Holder]]:
        uuid = device.device_handle.uuid
        known = self._holders.get(uuid)
        if known is not None and known[0] is device.rows:
            return known
        return device.rows, [Holder(row.pid, uuid, row.used_bytes, row.kind) for row in device.rows]


def _listed(registry: DeviceRegistry) -> frozenset[str]:
    return frozenset(device.device_handle.uuid for device in registry if device.rows_taken_at is not None)


def _instance(row: ProcessRow) -> tuple[int, int]:
    return row.gpu_instance_id, row.compute_instance_id


def _hand_down(gpu: TrackedDevice, instances: dict[tuple[int, int], TrackedDevice], now: float) -> None:
    """Gives the rows of a GPU's list to the instances they name; a row of an unknown one stays with the GPU."""
    kept: list[ProcessRow] = []
    shares: dict[tuple[int, int], list[ProcessRow]] = {device_handle: [] for device_handle in instances}
    for row in gpu.rows:
        shares.get(_instance(row), kept).append(row)
    gpu.rows = kept
    for device_handle, instance in instances.items():
        instance.rows, instance.rows_taken_at, instance.rows_gap = shares[device_handle], now, gpu.rows_gap
