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
# made once, since a moment draws hundreds of values, and making a strategy takes as long as drawing from it
flags = st.booleans()
few, digits = st.integers(0, 3), st.integers(0, 4)
ages, percents = st.floats(0, 10), st.none() | st.floats(0, 100)
counts = st.none() | st.integers(0, 10**12)
pids = st.sets(st.integers(1, 6), max_size=3)
block_counts, block_sizes, rounding = st.integers(0, 8), st.integers(1, 64), st.integers(0, 511)
page_counts = st.integers(1, 4)
block_states = st.sampled_from(["active", "pending_free", "inactive"])
block_types = st.sampled_from(["kv_cache", "activation", "weight", "other"])
stack_types = st.sampled_from(["weight", "other"])
rarely_512, rarely_1 = st.sampled_from([0, 0, 0, 512]), st.sampled_from([0, 0, 0, 1])
halves = st.integers(0, 1)
instance_counts, mostly, numbers = st.integers(0, 2), st.integers(0, 5), st.integers(1, 10**6)
kinds = st.sampled_from(["compute", "graphics", "mps"])
names = st.none() | st.just("python")
uids = st.sampled_from([0, 1000])
states = st.sampled_from([None, "running", "active", "waiting"])
maybe_sizes = st.none() | sizes


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


present_memories = memories()
maybe_memories = st.none() | present_memories


@st.composite
def devices(draw: st.DrawFn, index: int, instance: int | None = None) -> Device:
    memory = draw(maybe_memories) if draw(digits) == 0 else draw(present_memories)
    return Device(
        uuid=f"GPU-{index}" if instance is None else f"MIG-{index}-{instance}",
        index=index,
        name="Test GPU",
        state="ok" if memory is not None else "lost",
        reason=None if memory is not None else "the driver lost it",
        taken_at=NOW - draw(ages),
        memory=memory,
        parent_uuid=None if instance is None else f"GPU-{index}",
        mig=None if instance is None else MigInstance(gpu_instance_id=instance, compute_instance_id=0),
        utilization_percent=draw(percents),
        unknown={"processes": draw(reasons)} if draw(flags) else {},
    )


@st.composite
def allocator_blocks(draw: st.DrawFn) -> tuple[AllocatorBlock, ...]:
    blocks: list[AllocatorBlock] = []
    cursor = 0x7F0000000000
    for _ in range(draw(block_counts)):
        cursor += draw(digits) * 512
        size = draw(block_sizes) * 512
        blocks.append(
            AllocatorBlock(
                address=cursor,
                size=size,
                state=draw(block_states),
                type=draw(block_types),
                requested_bytes=size - draw(rounding),
            )
        )
        cursor += size
    return tuple(blocks)


any_blocks = allocator_blocks()


@st.composite
def kv_pools(draw: st.DrawFn, blocks: tuple[AllocatorBlock, ...]) -> tuple[KvPool, ...]:
    """Pools that take all or part of some of the blocks."""
    pools: list[KvPool] = []
    for block in blocks:
        if not draw(flags):
            continue
        pages_count = draw(page_counts)
        page_size = block.size // pages_count
        start = block.address + draw(st.integers(0, block.size - page_size * pages_count))
        start += draw(rarely_512)  # now and then across the edge of the block
        pages = tuple(
            KvPage(number, start + number * page_size, page_size, draw(flags), draw(flags))
            for number in range(pages_count)
        )
        missing = draw(rarely_1)
        pools.append(KvPool(ranges=((start, page_size * pages_count),), pages=pages[missing:]))
    return tuple(pools)


@st.composite
def allocators(draw: st.DrawFn, pid: int, gpu_uuid: str) -> Allocator:
    blocks = draw(any_blocks)
    reserved = sum(block.size for block in blocks)
    allocated = sum(block.size for block in blocks if block.state == "active")
    counters_only = draw(flags)
    contradiction = draw(rarely_512)
    first = draw(st.integers(0, allocated))
    threads = (
        OwningThread(thread_id=pid, allocated_bytes=first, state="running"),
        OwningThread(thread_id=pid + 1, allocated_bytes=allocated - first, state="waiting"),
    )
    shares = draw(st.lists(st.integers(0, allocated), max_size=3))
    stacks = tuple(OwningStack((f"f.py:{line} f",), size, 1, draw(stack_types)) for line, size in enumerate(shares))
    return Allocator(
        pid=pid,
        start_time=None,
        gpu_uuid=gpu_uuid,
        taken_at=NOW - draw(ages),
        source="pytorch",
        reserved_bytes=reserved + contradiction,
        allocated_bytes=allocated,
        inactive_split_bytes=draw(st.none() | st.integers(0, reserved - allocated)),
        requested_bytes=draw(st.none() | st.integers(0, allocated)),
        limit_bytes=draw(counts),
        largest_free_bytes=draw(st.none() | st.integers(0, reserved - allocated)),
        blocks=None if counters_only else blocks,
        kv_pools=() if counters_only else draw(kv_pools(blocks)),
        threads=threads if draw(halves) else None,
        stacks=stacks if draw(halves) else None,
    )


@st.composite
def device_processes(draw: st.DrawFn, pid: int, gpu_uuid: str) -> DeviceProcess:
    used = draw(maybe_sizes)
    return DeviceProcess(
        pid=pid,
        gpu_uuid=gpu_uuid,
        used_bytes=used,
        kind=draw(kinds),
        name=draw(names),
        user="someone",
        uid=draw(uids),
        container=None,
        start_time=None,
        state=draw(states),
        unknown={} if used is not None else {"used_bytes": draw(reasons)},
    )


@st.composite
def kernel_counters(draw: st.DrawFn, pid: int) -> KernelCounters:
    return KernelCounters(
        pid=pid,
        scope="process",
        source="test",
        atomic_operations=draw(counts),
        threads_per_block=draw(counts),
        occupancy=draw(percents),
        active_blocks=draw(counts),
        memory_throughput=draw(counts),
        dram_read_bytes=draw(counts),
        dram_write_bytes=draw(counts),
    )


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    found: list[Device] = []
    for index in range(draw(few)):
        found.append(draw(devices(index)))
        found += [draw(devices(index, instance)) for instance in range(draw(instance_counts))]
    places = [(device.uuid, pid) for device in found for pid in draw(pids)]
    return Sample(
        source="test",
        taken_at=NOW,
        devices=tuple(found),
        processes=tuple(draw(device_processes(pid, uuid)) for uuid, pid in places if draw(mostly)),
        processes_taken_at=NOW - 1,
        allocators=tuple(draw(allocators(pid, uuid)) for uuid, pid in places if draw(flags)),
        kernels=tuple(draw(kernel_counters(pid)) for pid in draw(pids)),
    )


any_sample = samples()


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    return Moment(
        seq=draw(numbers),
        timestamp=1.8e9,
        taken_at=NOW,
        host="testhost",
        samples=(draw(any_sample),),
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
