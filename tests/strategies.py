"""Hypothesis strategies: arbitrary but well-formed samples, as any machine could produce them."""

from hypothesis import strategies as st

from blackbox.model.moment import Moment
from blackbox.model.parts import (
    Allocator,
    AllocatorBlock,
    Device,
    DeviceProcess,
    KernelCounters,
    KvPage,
    KvPool,
    Memory,
    MigInstance,
    OwningStack,
    OwningThread,
)
from blackbox.model.sample import Sample
from blackbox.model.status import SourceStatus

GIB = 1024**3
NOW = 1000.0
sizes = st.integers(0, 200 * GIB)
reasons = st.sampled_from(["not supported by this device", "no permission"])


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    used, free, reserved = draw(sizes), draw(sizes), draw(st.integers(0, GIB))
    return Memory(
        total_bytes=used + free + reserved,
        used_bytes=used,
        free_bytes=free,
        driver_reserved_bytes=reserved,
        source="nvml_v2",
    )


@st.composite
def devices(draw: st.DrawFn, index: int, instance: int | None = None) -> Device:
    memory = draw(st.none() | memories()) if draw(st.integers(0, 4)) == 0 else draw(memories())
    return Device(
        uuid=f"GPU-{index}" if instance is None else f"MIG-{index}-{instance}",
        index=index,
        name="Test GPU",
        state="ok" if memory is not None else "lost",
        reason=None if memory is not None else "the driver lost it",
        taken_at=NOW - draw(st.floats(0, 10)),
        memory=memory,
        parent_uuid=None if instance is None else f"GPU-{index}",
        mig=None if instance is None else MigInstance(gpu_instance_id=instance, compute_instance_id=0),
        utilization_percent=draw(st.none() | st.floats(0, 100)),
        unknown={"processes": draw(reasons)} if draw(st.booleans()) else {},
    )


@st.composite
def allocator_blocks(draw: st.DrawFn) -> tuple[AllocatorBlock, ...]:
    blocks: list[AllocatorBlock] = []
    cursor = 0x7F0000000000
    for _ in range(draw(st.integers(0, 8))):
        cursor += draw(st.integers(0, 4)) * 512
        size = draw(st.integers(1, 64)) * 512
        blocks.append(
            AllocatorBlock(
                address=cursor,
                size=size,
                state=draw(st.sampled_from(["active", "pending_free", "inactive"])),
                type=draw(st.sampled_from(["kv_cache", "activation", "weight", "other"])),
                requested_bytes=size - draw(st.integers(0, 511)),
            )
        )
        cursor += size
    return tuple(blocks)


@st.composite
def kv_pools(draw: st.DrawFn, blocks: tuple[AllocatorBlock, ...]) -> tuple[KvPool, ...]:
    """Pools that take all or part of some of the blocks."""
    pools: list[KvPool] = []
    for block in blocks:
        if not draw(st.booleans()):
            continue
        pages_count = draw(st.integers(1, 4))
        page_size = block.size // pages_count
        start = block.address + draw(st.integers(0, block.size - page_size * pages_count))
        start += draw(st.sampled_from([0, 0, 0, 512]))  # now and then across the edge of the block
        pages = tuple(
            KvPage(number, start + number * page_size, page_size, draw(st.booleans()), draw(st.booleans()))
            for number in range(pages_count)
        )
        missing = draw(st.sampled_from([0, 0, 0, 1]))
        pools.append(KvPool(ranges=((start, page_size * pages_count),), pages=pages[missing:]))
    return tuple(pools)


@st.composite
def allocators(draw: st.DrawFn, pid: int, gpu_uuid: str) -> Allocator:
    blocks = draw(allocator_blocks())
    reserved = sum(block.size for block in blocks)
    allocated = sum(block.size for block in blocks if block.state == "active")
    counters_only = draw(st.booleans())
    contradiction = draw(st.sampled_from([0, 0, 0, 512]))
    first = draw(st.integers(0, allocated))
    threads = (
        OwningThread(thread_id=pid, allocated_bytes=first, state="running"),
        OwningThread(thread_id=pid + 1, allocated_bytes=allocated - first, state="waiting"),
    )
    shares = draw(st.lists(st.integers(0, allocated), max_size=3))
    stacks = tuple(
        OwningStack((f"f.py:{line} f",), size, 1, draw(st.sampled_from(["weight", "other"])))
        for line, size in enumerate(shares)
    )
    return Allocator(
        pid=pid,
        start_time=None,
        gpu_uuid=gpu_uuid,
        taken_at=NOW - draw(st.floats(0, 10)),
        source="pytorch",
        reserved_bytes=reserved + contradiction,
        allocated_bytes=allocated,
        inactive_split_bytes=draw(st.none() | st.integers(0, reserved - allocated)),
        requested_bytes=draw(st.none() | st.integers(0, allocated)),
        limit_bytes=draw(st.none() | st.integers(0, 10**12)),
        largest_free_bytes=draw(st.none() | st.integers(0, reserved - allocated)),
        blocks=None if counters_only else blocks,
        kv_pools=() if counters_only else draw(kv_pools(blocks)),
        threads=draw(st.sampled_from([None, threads])),
        stacks=draw(st.sampled_from([None, stacks])),
    )


@st.composite
def device_processes(draw: st.DrawFn, pid: int, gpu_uuid: str) -> DeviceProcess:
    used = draw(st.none() | sizes)
    return DeviceProcess(
        pid=pid,
        gpu_uuid=gpu_uuid,
        used_bytes=used,
        kind=draw(st.sampled_from(["compute", "graphics", "mps"])),
        name=draw(st.none() | st.just("python")),
        user="someone",
        uid=draw(st.sampled_from([0, 1000])),
        container=None,
        start_time=None,
        state=draw(st.sampled_from([None, "running", "active", "waiting"])),
        unknown={} if used is not None else {"used_bytes": draw(reasons)},
    )


@st.composite
def kernel_counters(draw: st.DrawFn, pid: int) -> KernelCounters:
    counts = st.none() | st.integers(0, 10**12)
    return KernelCounters(
        pid=pid,
        scope="process",
        source="test",
        atomic_operations=draw(counts),
        threads_per_block=draw(counts),
        occupancy=draw(st.none() | st.floats(0, 100)),
        active_blocks=draw(counts),
        memory_throughput=draw(counts),
        dram_read_bytes=draw(counts),
        dram_write_bytes=draw(counts),
    )


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    found: list[Device] = []
    for index in range(draw(st.integers(0, 3))):
        found.append(draw(devices(index)))
        found += [draw(devices(index, instance)) for instance in range(draw(st.integers(0, 2)))]
    places = [(device.uuid, pid) for device in found for pid in draw(st.sets(st.integers(1, 6), max_size=3))]
    return Sample(
        source="test",
        taken_at=NOW,
        devices=tuple(found),
        processes=tuple(draw(device_processes(pid, uuid)) for uuid, pid in places if draw(st.integers(0, 5))),
        processes_taken_at=NOW - 1,
        allocators=tuple(draw(allocators(pid, uuid)) for uuid, pid in places if draw(st.booleans())),
        kernels=tuple(draw(kernel_counters(pid)) for pid in draw(st.sets(st.integers(1, 6), max_size=3))),
    )


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    return Moment(
        seq=draw(st.integers(1, 10**6)),
        timestamp=1.8e9,
        taken_at=NOW,
        host="testhost",
        samples=(draw(samples()),),
        sources=(
            SourceStatus(
                name="test",
                state="ok",
                reason=None,
                age_seconds=0.0,
                duration_seconds=0.001,
                samples_total=1,
                failures_total=0,
                restarts_total=0,
                cost={},
                facts={},
            ),
        ),
    )
