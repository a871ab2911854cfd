"""Moments made by hand, small and whole, for tests that need readings but no source."""

from collections.abc import Iterable
from typing import Any

from blackbox.model.moment import Moment
from blackbox.model.parts import (
    Allocator,
    AllocatorBlock,
    Device,
    DeviceProcess,
    InferenceEngine,
    KernelCounters,
    KvPage,
    KvPool,
    Memory,
    MigInstance,
    OwningThread,
)
from blackbox.model.sample import Sample
from blackbox.model.status import SourceStatus
from blackbox.model.visibility import visible_status

GIB = 1024**3
MIB = 1024**2
NOW = 1000.0
"""Monotonic time of every moment made here."""
TIMESTAMP = 1_800_000_000.0
"""The same instant in Unix time."""
TRAINER, SERVER, SILENT = 4711, 4712, 4713
"""Pids: two whose allocators report, one that nobody looks into."""


def memory(total: int = 80 * GIB, used: int = 20 * GIB, driver_reserved: int = 512 * MIB) -> Memory:
    """One device's memory; the rest is free."""
    return Memory(
        total_bytes=total,
        used_bytes=used,
        free_bytes=total - used - driver_reserved,
        driver_reserved_bytes=driver_reserved,
        source="nvml_v2",
    )


def device(index: int = 0, **changes: Any) -> Device:
    """A healthy GPU."""
    fields: dict[str, Any] = {
        "uuid": f"GPU-{index}",
        "index": index,
        "name": "Test GPU 80GB",
        "taken_at": NOW,
        "memory": memory(),
        "utilization_percent": 37.0,
        "temperature_celsius": 61.0,
        "power_watts": 250.5,
    }
    return Device(**(fields | changes))


def instance(index: int, place: int, **changes: Any) -> Device:
    """A MIG instance of the GPU `index`."""
    fields: dict[str, Any] = {
        "uuid": f"MIG-{index}-{place}",
        "name": "Test GPU 80GB MIG 1g.10gb",
        "memory": memory(total=10 * GIB, used=GIB, driver_reserved=0),
        "parent_uuid": f"GPU-{index}",
        "mig": MigInstance(gpu_instance_id=place, compute_instance_id=0, profile="1g.10gb"),
        "utilization_percent": None,
        "temperature_celsius": None,
        "power_watts": None,
    }
    return device(index, **(fields | changes))


def process(pid: int = SILENT, gpu_uuid: str = "GPU-0", **changes: Any) -> DeviceProcess:
    """A process as the driver lists it."""
    fields: dict[str, Any] = {
        "pid": pid,
        "gpu_uuid": gpu_uuid,
        "used_bytes": 6 * GIB,
        "kind": "compute",
        "name": "python",
        "user": "someone",
        "uid": 1000,
        "container": None,
        "start_time": TIMESTAMP - 3600,
        "state": "running",
    }
    return DeviceProcess(**(fields | changes))


def allocator(pid: int = TRAINER, gpu_uuid: str = "GPU-0", **changes: Any) -> Allocator:
    """A caching allocator with a weight, an activation, a gap between them, and two threads."""
    base = 0x7F00_0000_0000
    blocks = (
        AllocatorBlock(base, 2 * GIB, "active", "weight", 2 * GIB - 512, None, "tensor", pid, 0),
        AllocatorBlock(base + 2 * GIB, GIB, "inactive"),
        AllocatorBlock(base + 3 * GIB, GIB, "active", "activation", GIB, None, "residual", pid + 1, 0),
    )
    fields: dict[str, Any] = {
        "pid": pid,
        "start_time": TIMESTAMP - 3600,
        "gpu_uuid": gpu_uuid,
        "taken_at": NOW,
        "source": "pytorch",
        "reserved_bytes": 4 * GIB,
        "allocated_bytes": 3 * GIB,
        "inactive_split_bytes": GIB,
        "requested_bytes": 3 * GIB - 512,
        "largest_free_bytes": GIB,
        "blocks": blocks,
        "threads": (
            OwningThread(thread_id=pid, allocated_bytes=2 * GIB, state="running", name="MainThread"),
            OwningThread(thread_id=pid + 1, allocated_bytes=GIB, state="waiting", name="autograd"),
        ),
    }
    return Allocator(**(fields | changes))


def paged_allocator(pid: int = SERVER, gpu_uuid: str = "GPU-0") -> Allocator:
    """An inference server's allocator: one tensor, cut into a used, a cached and a free page."""
    base = 0x7E00_0000_0000
    pages = tuple(
        KvPage(number, base + number * GIB, GIB, in_use, cached)
        for number, (in_use, cached) in enumerate([(True, False), (False, True), (False, False)])
    )
    return allocator(
        pid,
        gpu_uuid,
        reserved_bytes=3 * GIB,
        allocated_bytes=3 * GIB,
        inactive_split_bytes=0,
        requested_bytes=3 * GIB,
        largest_free_bytes=0,
        blocks=(AllocatorBlock(base, 3 * GIB, "active", "kv_cache", 3 * GIB, None, "framework", pid, 0),),
        kv_pools=(KvPool(ranges=((base, 3 * GIB),), pages=pages),),
        threads=(OwningThread(thread_id=pid, allocated_bytes=3 * GIB, state="active"),),
    )


def kernels(pid: int = TRAINER) -> KernelCounters:
    """Everything a profiler can tell of a process."""
    return KernelCounters(
        pid=pid,
        scope="process",
        source="cupti",
        atomic_operations=12,
        threads_per_block=256,
        occupancy=62.5,
        active_blocks=432,
        memory_throughput=900_000_000_000,
        dram_read_bytes=5 * GIB,
        dram_write_bytes=2 * GIB,
    )


def engine(pid: int = SERVER) -> InferenceEngine:
    """An inference engine with a third of its pages in use."""
    return InferenceEngine(
        kind="vllm",
        pid=pid,
        model="test-model",
        kv_pages_total=3,
        kv_pages_used=1,
        kv_pages_cached=1,
        kv_usage_ratio=0.3333,
        prefix_hit_ratio=0.5,
        requests_running=1,
        requests_waiting=0,
        preemptions_total=0,
        uid=1000,
    )


def sample(devices: Iterable[Device], processes: Iterable[DeviceProcess] = (), **changes: Any) -> Sample:
    """What a healthy source saw."""
    fields: dict[str, Any] = {
        "source": "nvml",
        "taken_at": NOW,
        "devices": tuple(devices),
        "processes": tuple(processes),
        "processes_taken_at": NOW,
    }
    return Sample(**(fields | changes))


def status(**changes: Any) -> SourceStatus:
    """A healthy source."""
    fields: dict[str, Any] = {
        "name": "nvml",
        "state": "ok",
        "reason": None,
        "age_seconds": 0.25,
        "duration_seconds": 0.002,
        "samples_total": 7,
        "failures_total": 1,
        "restarts_total": 2,
        "cost": {
            "driver_calls_total": 420.0,
            "cpu_seconds_total": 0.5,
            "driver_seconds_total": 0.25,
            "events_dropped_total": 0.0,
        },
        "facts": {"driver_version": "580.65.06", "nvml_version": "13.580.65.06", "pid_scope": "host"},
    }
    return SourceStatus(**(fields | changes))


def whole_status(sample: Sample) -> SourceStatus:
    """The status of a source whose newest sample this is, as one who sees all gets it."""
    parts = {"name": sample.source, "state": sample.state, "reason": sample.reason}
    return visible_status(status(**parts, cost=sample.cost, facts=sample.facts), sample, None)


def moment(*samples: Sample, seq: int = 1, **changes: Any) -> Moment:
    """The samples at `NOW`, of one healthy source; of the whole test machine where none are given."""
    fields: dict[str, Any] = {
        "seq": seq,
        "timestamp": TIMESTAMP,
        "taken_at": NOW,
        "host": "testhost",
        "samples": samples or (machine(),),
        "sources": (status(),),
    }
    return Moment(**(fields | changes))


def machine() -> Sample:
    """Two GPUs, the second cut into MIG instances; a trainer and an inference server on the first, and on each
    an ordinary process that no allocator explains."""
    return sample(
        (device(0), device(1), instance(1, 1), instance(1, 2)),
        (
            process(TRAINER, used_bytes=5 * GIB),
            process(SERVER, used_bytes=4 * GIB, name="VLLM::Worker", container="c0ffee"),
            process(SILENT),
            process(SILENT, "MIG-1-1", used_bytes=GIB),
        ),
        allocators=(allocator(), paged_allocator()),
        kernels=(kernels(),),
        engines=(engine(),),
    )
