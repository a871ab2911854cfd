"""The simulated machine: its ledger, its programs, and the sample it gives."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import merge
from blackbox.model.codec import to_json
from blackbox.model.moment import Moment
from blackbox.model.sample import Sample
from blackbox.model.snapshot import Snapshot
from blackbox.sources.simulated.gpu import UNATTRIBUTED_BYTES
from blackbox.sources.simulated.source import CATCH_UP_SECONDS_MAX, SimulatedSource
from tests.clocks import ManualClock

WALL = 1_763_800_000.0
JSON_BYTES_MAX = 500_000
"""Twice a second to every viewer of a demonstration."""


def samples(seconds: float, interval: float = 0.5, seed: int = 0) -> Iterator[Sample]:
    """The samples of a while, from the first on."""
    clock = ManualClock(5_000.0)
    source = SimulatedSource(clock, lambda: WALL, seed)
    for _ in range(int(seconds / interval) + 1):
        yield source.sample()
        clock.now += interval


def sample_at(seconds: float, seed: int = 0) -> Sample:
    clock = ManualClock(5_000.0)
    source = SimulatedSource(clock, lambda: WALL, seed)
    source.sample()
    clock.now += seconds
    return source.sample()


def snapshot_of(sample: Sample) -> Snapshot:
    return merge(Moment(seq=1, timestamp=WALL, taken_at=sample.taken_at, host="demo", samples=(sample,), sources=()))


@pytest.fixture(scope="module")
def life() -> list[Sample]:
    """Ten minutes at the default interval: several lives of the notebook."""
    return list(samples(600))


@pytest.fixture(scope="module")
def snapshots(life: list[Sample]) -> list[Snapshot]:
    return [snapshot_of(sample) for sample in life[::20]]


def assert_ledgers(sample: Sample) -> None:
    used = Counter[str]()
    parents = {device.uuid: device.parent_uuid for device in sample.devices}
    for row in sample.processes:
        assert row.used_bytes is not None
        used[row.gpu_uuid] += row.used_bytes
        parent = parents[row.gpu_uuid]
        if parent is not None:
            used[parent] += row.used_bytes
    instances = Counter(parent for parent in parents.values() if parent is not None)
    for device in sample.devices:
        memory = device.memory
        assert memory is not None
        assert memory.total_bytes == memory.used_bytes + memory.free_bytes + memory.driver_reserved_bytes
        assert memory.free_bytes >= 0
        assert memory.used_bytes - used[device.uuid] == UNATTRIBUTED_BYTES * (1 + instances[device.uuid])


def assert_allocators(sample: Sample) -> None:
    rows = {(row.pid, row.gpu_uuid): row for row in sample.processes}
    for allocator in sample.allocators:
        row = rows[allocator.pid, allocator.gpu_uuid]
        assert row.used_bytes is not None
        assert allocator.start_time == row.start_time
        assert allocator.allocated_bytes <= allocator.reserved_bytes <= row.used_bytes
        assert allocator.inactive_split_bytes is not None
        assert allocator.inactive_split_bytes <= allocator.reserved_bytes - allocator.allocated_bytes
        assert allocator.requested_bytes is not None
        assert allocator.requested_bytes <= allocator.allocated_bytes
        assert allocator.blocks is not None
        assert sum(block.size for block in allocator.blocks) == allocator.reserved_bytes
        for low, high in pairwise(allocator.blocks):
            assert low.address + low.size <= high.address
        assert allocator.threads is not None
        assert sum(thread.allocated_bytes for thread in allocator.threads) == allocator.allocated_bytes


def assert_engine(sample: Sample) -> None:
    (engine,) = sample.engines
    (pool,) = (pool for allocator in sample.allocators for pool in allocator.kv_pools)
    assert engine.kv_pages_total == len(pool.pages)
    assert engine.kv_pages_used == sum(page.in_use for page in pool.pages)
    assert engine.kv_pages_cached == sum(page.cached and not page.in_use for page in pool.pages)
    (server,) = (allocator for allocator in sample.allocators if allocator.pid == engine.pid)
    assert server.blocks is not None
    tensors = [(block.address, block.size) for block in server.blocks if block.type == "kv_cache"]
    assert tuple(tensors) == pool.ranges


def test_every_sample_adds_up(life: list[Sample]) -> None:
    for sample in life:
        assert sample.simulated
        assert_ledgers(sample)
        assert_allocators(sample)
        assert_engine(sample)


def test_mig_instances_fit_into_their_parent(life: list[Sample]) -> None:
    for sample in life[::50]:
        for parent in sample.devices:
            slices = [device.memory for device in sample.devices if device.parent_uuid == parent.uuid]
            assert parent.memory is not None
            free = sum(memory.free_bytes for memory in slices if memory is not None)
            assert free <= parent.memory.free_bytes
    assert any(device.mig is not None for device in life[0].devices)


def test_the_notebook_leaks_until_it_dies_and_comes_back_under_a_new_pid(life: list[Sample]) -> None:
    notebooks = [next((row for row in sample.processes if row.user == "bob"), None) for sample in life]
    pids = list(dict.fromkeys(row.pid for row in notebooks if row is not None))
    assert len(pids) >= 3
    assert any(row is None for row in notebooks)
    first = [row.used_bytes or 0 for row in notebooks if row is not None and row.pid == pids[0]]
    slice_memory = next(device.memory for device in life[0].devices if device.mig is not None)
    assert slice_memory is not None
    assert first[0] < 0.4 * slice_memory.total_bytes
    assert first[-1] > 0.9 * slice_memory.total_bytes


def test_a_returning_notebook_starts_when_it_returns(life: list[Sample]) -> None:
    for before, after in pairwise(life):
        known = {row.pid for row in before.processes}
        for row in after.processes:
            if row.pid not in known:
                assert row.start_time is not None
                assert before.taken_at < row.start_time - WALL + 5_000.0 <= after.taken_at + 1e-6


def test_pids_are_unique_and_threads_are_not_shared(life: list[Sample]) -> None:
    for sample in life[::50]:
        pids = [row.pid for row in sample.processes]
        owners = [thread.thread_id for allocator in sample.allocators for thread in allocator.threads or ()]
        assert len(pids) == len(set(pids))
        assert len(owners) == len(set(owners))


def test_the_same_seed_lives_the_same_life(life: list[Sample]) -> None:
    assert list(samples(60)) == life[:121]
    assert list(samples(60, seed=1)) != life[:121]


def test_a_moment_does_not_depend_on_who_looked_before(life: list[Sample]) -> None:
    once = sample_at(50.0)
    assert (once.processes, once.allocators, once.engines) == (
        life[100].processes,
        life[100].allocators,
        life[100].engines,
    )


def test_after_a_long_pause_only_the_allowed_time_is_caught_up() -> None:
    late, allowed = sample_at(86_400.0), sample_at(CATCH_UP_SECONDS_MAX)
    assert [structs.replace(engine, taken_at=None) for engine in late.engines] == [
        structs.replace(engine, taken_at=None) for engine in allowed.engines
    ]
    assert [row.used_bytes for row in late.processes] == [row.used_bytes for row in allowed.processes]
    assert late.taken_at == 5_000.0 + 86_400.0


def test_a_closed_source_can_be_sampled_again() -> None:
    source = SimulatedSource(ManualClock(5_000.0), lambda: WALL)
    first = source.sample()
    source.close()
    assert source.sample() == first


def test_unchanged_parts_are_the_same_objects() -> None:
    clock = ManualClock(5_000.0)
    source = SimulatedSource(clock, lambda: WALL)
    first, second = source.sample(), source.sample()
    for before, after in zip(first.allocators, second.allocators, strict=True):
        assert before.blocks is after.blocks
    clock.now += 0.5
    known = {id(block) for block in first.allocators[0].blocks or ()}
    server = source.sample().allocators[0].blocks or ()
    assert sum(id(block) in known for block in server) > len(server) / 2


def test_the_hardware_fault_is_told_once(life: list[Sample]) -> None:
    events = [event for sample in life for event in sample.events if event.kind != "oom"]
    assert [(event.kind, event.code) for event in events] == [("xid", 63)]
    assert events[0].message.startswith("GPU 1: Xid 63: ")
    assert events[0].gpu_uuid in {device.uuid for device in life[0].devices}


def test_every_death_of_the_notebook_is_told_as_its_agent_saw_it(life: list[Sample]) -> None:
    deaths = [event for sample in life for event in sample.events if event.kind == "oom"]
    assert deaths
    assert len({event.pid for event in deaths}) == len(deaths)
    for event in deaths:
        oom = event.oom
        assert oom is not None
        assert event.message.startswith(f"python (pid {event.pid}) was refused "), "as of a real program"
        assert oom.allocator is not None
        assert oom.device_free_bytes is not None
        assert oom.allocator.largest_free_bytes is not None
        assert oom.requested_bytes > max(oom.device_free_bytes, oom.allocator.largest_free_bytes)
        live = {step.address: step.size for step in oom.trace if step.action == "alloc"}
        active = {block.address: block.size for block in oom.allocator.blocks or () if block.state == "active"}
        assert active.items() <= live.items()
        assert all(step.stack is not None and step.stack < len(oom.stacks) for step in oom.trace)


def test_the_engine_lives_through_load_and_calm(life: list[Sample]) -> None:
    engines = [sample.engines[0] for sample in life]
    usage = [engine.kv_usage_ratio or 0.0 for engine in engines]
    assert min(usage) < 0.4
    assert max(usage) > 0.95
    assert max(engine.requests_waiting or 0 for engine in engines) > 0
    assert engines[-1].preemptions_total
    preemptions = [engine.preemptions_total or 0 for engine in engines]
    assert preemptions == sorted(preemptions)
    assert 0.1 < (engines[-1].prefix_hit_ratio or 0.0) < 0.9


def test_kernel_counters_agree_with_each_other(life: list[Sample]) -> None:
    for row in (row for sample in life for row in sample.kernels):
        assert row.source == "simulated"
        assert row.dram_read_bytes is not None
        assert row.dram_write_bytes is not None
        assert row.dram_read_bytes + row.dram_write_bytes == row.memory_throughput
        assert row.occupancy is not None
        assert 0 <= row.occupancy <= 100


def test_merged_every_key_is_filled_and_no_sum_is_off(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        assert snapshot.simulated
        assert snapshot.total_bytes == (snapshot.used_bytes + snapshot.free_bytes + snapshot.driver_reserved_bytes)
        assert snapshot.used_bytes == snapshot.unattributed_bytes + sum(row.used_bytes for row in snapshot.processes)
        assert 0 < snapshot.reserved_bytes < snapshot.used_bytes
        assert 0 < snapshot.used_percent < 100
        assert 0 < snapshot.fragmentation_ratio < 1
        assert snapshot.atomic_allocations_bytes > 0
        assert snapshot.active_blocks > 0
        assert snapshot.free_blocks > 0
        assert {block.type for block in snapshot.blocks} == {"kv_cache", "activation", "weight", "other"}
        assert all(block.size > 0 for block in snapshot.blocks)
        metrics = snapshot.nsight_metrics
        assert {entry.available for entry in metrics.values()} == {True, False}
        assert all(entry.reason for entry in metrics.values() if not entry.available)
        assert snapshot.fragmentation is not None
        assert not snapshot.fragmentation.unknown
        assert {process.kind for process in snapshot.processes} == {"compute", "graphics"}


def test_merged_blocks_and_threads_sum_to_their_processes(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        sizes, owned = Counter[int](), Counter[int]()
        for block in snapshot.blocks:
            sizes[block.pid] += block.size
        for thread in snapshot.threads:
            owned[thread.pid] += thread.allocated_bytes
        for process in snapshot.processes:
            assert sizes[process.pid] == process.used_bytes
            expected = process.used_bytes if process.allocated_bytes is None else process.allocated_bytes
            assert owned[process.pid] == expected


def test_the_unseen_is_marked(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        blind = [process for process in snapshot.processes if "reserved_bytes" in process.unknown]
        assert {process.name for process in blind} == {"Xorg", "tritonserver"}
        assert any("temperature_celsius" in gpu.unknown for gpu in snapshot.gpus)


def test_blocks_of_a_process_do_not_overlap(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots[::10]:
        placed = sorted((block.pid, block.address, block.size) for block in snapshot.blocks if block.address)
        for (pid, address, size), (next_pid, next_address, _) in pairwise(placed):
            assert pid != next_pid or address + size <= next_address


def test_the_answer_stays_small(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        assert 1_000 <= len(snapshot.blocks) <= 3_000
        assert len(to_json(snapshot)) < JSON_BYTES_MAX


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32), interval=st.floats(0.1, 30.0))
def test_every_seed_adds_up(seed: int, interval: float) -> None:
    for sample in samples(8 * interval, interval, seed):
        assert_ledgers(sample)
        assert_allocators(sample)
        assert_engine(sample)
