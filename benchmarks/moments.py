"""Moments of a wanted size, for what has to be measured without a driver."""

import os
import random
import time

from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, AllocatorBlock, Device, DeviceProcess, KvPage, KvPool, Memory
from blackbox.model.sample import Sample
from blackbox.model.status import SourceStatus

GIB = 1 << 30
PROCESS_BYTES = 2 * GIB
POOL_ADDRESS = 0x7F0000000000
PAGE_BYTES = 128 * 1024
"""16 tokens of a small model."""
REQUEST_PAGES_MAX = 64
PAGE_STATES = ((True, True), (True, False), (False, True), (False, False))
"""In use, cached."""


def moment(seq: int, gpus: int = 1, processes: int = 0, pages: int = 0) -> Moment:
    """A machine of `gpus` with `processes` each; the first process of the first GPU tells its KV `pages`."""
    now = time.monotonic()
    devices = tuple(device(number, processes, now) for number in range(gpus))
    listed = tuple(
        process(number * processes + place, owner.uuid)
        for number, owner in enumerate(devices)
        for place in range(processes)
    )
    allocators = (allocator(listed[0], pages, now),) if pages else ()
    sample = Sample(
        source="nvml",
        taken_at=now,
        devices=devices,
        processes=listed,
        processes_taken_at=now,
        allocators=allocators,
    )
    return Moment(seq=seq, timestamp=time.time(), taken_at=now, host="bench", samples=(sample,), sources=(status(seq),))


def device(number: int, processes: int, now: float) -> Device:
    """An 80 GiB GPU, of which each process uses a part."""
    return Device(
        uuid=f"GPU-{number:08x}-0000-4000-8000-{number:012x}",
        index=number,
        name="NVIDIA H100 80GB HBM3",
        taken_at=now,
        memory=Memory(
            total_bytes=80 * GIB,
            used_bytes=processes * PROCESS_BYTES,
            free_bytes=79 * GIB - processes * PROCESS_BYTES,
            driver_reserved_bytes=GIB,
            source="nvml_v2",
        ),
        utilization_percent=87.0,
        temperature_celsius=61.0,
        power_watts=512.25,
    )


def process(number: int, gpu_uuid: str) -> DeviceProcess:
    """A process as the driver lists it, of the user who runs the server, which may show its inside."""
    return DeviceProcess(
        pid=10_000 + number,
        gpu_uuid=gpu_uuid,
        used_bytes=PROCESS_BYTES,
        kind="compute",
        name="python3",
        user="someone",
        uid=os.getuid(),
        container=None,
        start_time=1_700_000_000.5,
        state="running",
    )


def allocator(owner: DeviceProcess, pages: int, now: float) -> Allocator:
    """An inference engine's: one tensor for the KV cache, whose pages requests hold in runs."""
    chance = random.Random(pages)
    states: list[tuple[bool, bool]] = []
    while len(states) < pages:
        states += [chance.choice(PAGE_STATES)] * chance.randrange(1, REQUEST_PAGES_MAX)
    size = pages * PAGE_BYTES
    kept = tuple(
        KvPage(
            page_id=number, address=POOL_ADDRESS + number * PAGE_BYTES, size=PAGE_BYTES, in_use=in_use, cached=cached
        )
        for number, (in_use, cached) in enumerate(states[:pages])
    )
    return Allocator(
        pid=owner.pid,
        start_time=owner.start_time,
        gpu_uuid=owner.gpu_uuid,
        taken_at=now,
        source="pytorch",
        reserved_bytes=size,
        allocated_bytes=size,
        inactive_split_bytes=0,
        blocks=(AllocatorBlock(address=POOL_ADDRESS, size=size, state="active", type="kv_cache"),),
        kv_pools=(KvPool(ranges=((POOL_ADDRESS, size),), pages=kept),),
    )


def status(seq: int) -> SourceStatus:
    """A source in good health."""
    return SourceStatus(
        name="nvml",
        state="ok",
        reason=None,
        age_seconds=0.001,
        duration_seconds=0.002,
        samples_total=seq,
        failures_total=0,
        restarts_total=0,
        cost={"cpu_seconds_total": 1.25, "driver_calls_total": 1000.0},
        facts={"driver_version": "580.65.06"},
    )
