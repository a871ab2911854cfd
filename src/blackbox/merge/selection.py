"""The parts of a moment that a viewer may see. Chosen before anything is added up, so that every ledger stays exact."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from operator import attrgetter

from msgspec import Struct

from blackbox.merge.engines import engine_pids, merge_engines
from blackbox.model.identity import ProcessKey, same_start
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, Device, DeviceProcess, GivenGpus, InferenceEngine, KernelCounters
from blackbox.model.snapshot import Xid
from blackbox.model.view import UnknownGpuError
from blackbox.model.visibility import Owners, sees, visible_given

KERNEL_COUNTERS = (
    "atomic_operations",
    "threads_per_block",
    "occupancy",
    "active_blocks",
    "memory_throughput",
    "dram_read_bytes",
    "dram_write_bytes",
)
_gpu_uuid = attrgetter("gpu_uuid")


class ListedDevices:
    """UUIDs of the devices that the processes of a list are on, kept for the last list, which is immutable."""

    def __init__(self) -> None:
        self._known: tuple[tuple[DeviceProcess, ...], frozenset[str]] = (), frozenset()

    def of(self, processes: tuple[DeviceProcess, ...]) -> frozenset[str]:
        known = self._known  # one object, so that threads do not see halves
        if known[0] is not processes:
            known = self._known = processes, frozenset(map(_gpu_uuid, processes))
        return known[1]


_listed_devices = ListedDevices()


class Selection(Struct, frozen=True, kw_only=True):
    """The selected parts, indexed for the merge."""

    devices: tuple[Device, ...]
    """Ordered by GPU index; MIG instances follow their parent."""
    processes: tuple[DeviceProcess, ...]
    processes_taken_at: float | None
    allocators: dict[ProcessKey, tuple[Allocator, ...]]
    withheld: frozenset[ProcessKey]
    """Processes whose allocators report, but whose insides this viewer may not see."""
    kernels: dict[int, KernelCounters]
    engines: tuple[InferenceEngine, ...]
    xids: dict[str, Xid]
    given: GivenGpus | None
    """None where nobody asks."""
    taken_at: float
    stale_after_seconds: float


def select(moment: Moment, gpu: str | None, viewer_uid: int | None) -> Selection:
    """The parts on one GPU (None: all), without the insides of other users' processes. Raises `UnknownGpuError`."""
    devices = devices_of(moment, gpu)
    uuids = {device.uuid for device in devices}
    processes = _processes(moment, uuids)
    owners = Owners(moment)
    allocators, withheld = _allocators(moment, owners, processes, uuids, viewer_uid)
    is_asked = any(sample.kernels or sample.engines for sample in moment.samples)
    pids = {row.pid for row in processes} | {pid for _, pid in allocators} if is_asked else set[int]()
    return Selection(
        devices=devices,
        processes=processes,
        processes_taken_at=min(
            (sample.processes_taken_at for sample in moment.samples if sample.processes_taken_at is not None),
            default=None,
        ),
        allocators=allocators,
        withheld=withheld,
        kernels=_kernels(moment, owners, pids, viewer_uid),
        engines=merge_engines(
            engine
            for sample in moment.samples
            for engine in sample.engines
            if sees(viewer_uid, owners.of_engine(sample, engine))
            and (gpu is None or not pids.isdisjoint(engine_pids(engine)))
        ),
        xids=moment.xids,
        given=next((visible_given(sample, viewer_uid) for sample in moment.samples if sample.given is not None), None),
        taken_at=moment.taken_at,
        stale_after_seconds=moment.stale_after_seconds,
    )


def _processes(moment: Moment, uuids: Collection[str]) -> tuple[DeviceProcess, ...]:
    """Those on the devices; the list of the one source that has some, as the same object, where they are all of it."""
    lists = [sample.processes for sample in moment.samples if sample.processes]
    if len(lists) == 1 and _listed_devices.of(lists[0]).issubset(uuids):
        return lists[0]
    return tuple(row for processes in lists for row in processes if row.gpu_uuid in uuids)


def devices_of(moment: Moment, gpu: str | None) -> tuple[Device, ...]:
    """A GPU and its MIG instances, or one instance; all where None. Raises `UnknownGpuError`."""
    known = [device for sample in moment.samples for device in sample.devices]
    parents = sorted((device for device in known if device.parent_uuid is None), key=lambda device: device.index)
    instances: defaultdict[str, list[Device]] = defaultdict(list)
    for device in known:
        if device.parent_uuid is not None:
            instances[device.parent_uuid].append(device)
    families = [(parent, *instances[parent.uuid]) for parent in parents]
    if gpu is None:
        return tuple(device for family in families for device in family)
    for family in families:
        if gpu in (family[0].uuid, str(family[0].index)):
            return family
        for instance in family[1:]:
            if instance.uuid == gpu:
                return (instance,)
    raise UnknownGpuError(gpu, (parent.index for parent in parents))


def _allocators(
    moment: Moment, owners: Owners, processes: Iterable[DeviceProcess], uuids: Collection[str], viewer_uid: int | None
) -> tuple[dict[ProcessKey, tuple[Allocator, ...]], frozenset[ProcessKey]]:
    is_asked = any(sample.allocators for sample in moment.samples)
    listed = {(row.gpu_uuid, row.pid): row for row in processes} if is_asked else {}
    seen: defaultdict[ProcessKey, tuple[Allocator, ...]] = defaultdict(tuple)
    withheld: set[ProcessKey] = set()
    for sample in moment.samples:
        for allocator in sample.allocators:
            key = allocator.gpu_uuid, allocator.pid
            if allocator.gpu_uuid not in uuids or _is_of_another(allocator, listed.get(key)):
                continue
            if viewer_uid is None or sees(viewer_uid, owners.of_allocator(sample, allocator)):
                seen[key] += (allocator,)
            else:
                withheld.add(key)
    return dict(seen), frozenset(withheld)


def _kernels(
    moment: Moment, owners: Owners, pids: Collection[int], viewer_uid: int | None
) -> dict[int, KernelCounters]:
    """The best counters of each process: counters of its own kernels come before counters of the whole GPU, unless
    nothing was measured; then those with the most values measured."""
    found: dict[int, tuple[tuple[bool, int], KernelCounters]] = {}
    for sample in moment.samples:
        for row in sample.kernels:
            is_inside = row.scope == "process" and not sample.simulated
            if row.pid not in pids or not sees(viewer_uid, owners.of_counters(sample, row)):
                continue
            rank = is_inside and measured_count(row) > 0, measured_count(row)
            if row.pid not in found or rank > found[row.pid][0]:
                found[row.pid] = rank, row
    return {pid: row for pid, (_, row) in found.items()}


def measured_count(row: KernelCounters) -> int:
    """How many of the row's counters were measured."""
    return sum(getattr(row, name) is not None for name in KERNEL_COUNTERS)


def _is_of_another(allocator: Allocator, process: DeviceProcess | None) -> bool:
    """Whether the pid now belongs to a different process than the one that reported."""
    return process is not None and same_start(process.start_time, allocator.start_time) is False
