"""Every invariant of the numbers, on arbitrary samples."""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import blocks, merge
from blackbox.merge.claims import AHEAD_SHARE
from blackbox.model.block_arrays import ALIGNMENT_BYTES
from blackbox.model.codec import from_json, to_json
from blackbox.model.moment import Moment
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import UnknownGpuError
from blackbox.wire.ranges import BYTES_MAX
from tests.strategies import moments

arbitrary = settings(max_examples=60)
INVARIANTS: list[Callable[[Snapshot], None]] = []
"""What holds of any snapshot; one is made for all of them, which takes most of the time."""


def invariant(holds: Callable[[Snapshot], None]) -> Callable[[Snapshot], None]:
    INVARIANTS.append(holds)
    return holds


@st.composite
def views(draw: st.DrawFn) -> Snapshot:
    """A merge of an arbitrary moment, as any asker may see it."""
    moment = draw(moments())
    gpu = draw(st.sampled_from([None, *(device.uuid for sample in moment.samples for device in sample.devices)]))
    return merge(moment, gpu, draw(st.sampled_from([None, 0, 1000])))


@invariant
def memory_adds_up_to_the_byte_on_the_machine_and_on_each_gpu(snapshot: Snapshot) -> None:
    for ledger in (snapshot, *snapshot.gpus):
        assert ledger.total_bytes == ledger.used_bytes + ledger.free_bytes + ledger.driver_reserved_bytes


@invariant
def the_whole_ledger_adds_up_to_the_byte(snapshot: Snapshot) -> None:
    blocks = sum(block.size for block in snapshot.blocks)
    parts = snapshot.driver_reserved_bytes + blocks + snapshot.unattributed_bytes + snapshot.free_bytes
    assert parts == snapshot.total_bytes or "total_bytes" in snapshot.unknown


@invariant
def gpus_sum_to_the_top_level(snapshot: Snapshot) -> None:
    whole = [gpu for gpu in snapshot.gpus if gpu.parent_uuid is None or len(snapshot.gpus) == 1]
    keys = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes", "unattributed_bytes", "reserved_bytes")
    for key in keys:
        assert sum(getattr(gpu, key) for gpu in whole) == getattr(snapshot, key)


@invariant
def unattributed_is_what_the_listed_processes_do_not_use_or_0_and_named(snapshot: Snapshot) -> None:
    parents = {gpu.uuid: gpu.parent_uuid for gpu in snapshot.gpus}
    for gpu in snapshot.gpus:
        listed = (row for row in snapshot.processes if gpu.uuid in (row.gpu_uuid, parents[row.gpu_uuid]))
        if "total_bytes" in gpu.unknown:
            assert gpu.unattributed_bytes == 0
            assert "unattributed_bytes" in gpu.unknown
        else:
            assert gpu.unattributed_bytes == gpu.used_bytes - sum(row.used_bytes for row in listed)


@invariant
def what_nobody_measured_of_a_gpu_is_0(snapshot: Snapshot) -> None:
    for gpu in snapshot.gpus:
        if "total_bytes" in gpu.unknown:
            assert (gpu.used_bytes, gpu.free_bytes, gpu.driver_reserved_bytes, gpu.used_percent) == (0, 0, 0, 0)


@invariant
def blocks_of_a_process_sum_to_what_it_uses(snapshot: Snapshot) -> None:
    sizes: Counter[tuple[int, int]] = Counter()
    for block in snapshot.blocks:
        sizes[block.gpu, block.pid] += block.size
    used: Counter[tuple[int, int]] = Counter()
    for process in snapshot.processes:
        used[process.gpu, process.pid] += process.used_bytes
    assert {key: size for key, size in sizes.items() if size} == {key: size for key, size in used.items() if size}


@invariant
def a_process_has_allocated_at_most_what_it_reserved_at_most_what_it_uses(snapshot: Snapshot) -> None:
    for process in snapshot.processes:
        assert (process.allocated_bytes or 0) <= process.reserved_bytes <= process.used_bytes
    assert snapshot.reserved_bytes == sum(process.reserved_bytes for process in snapshot.processes)


@invariant
def stacks_of_a_process_sum_to_its_allocated_bytes_or_are_not_told(snapshot: Snapshot) -> None:
    told: Counter[tuple[int, int]] = Counter()
    for stack in snapshot.stacks or ():
        assert stack.allocated_bytes >= 0
        told[stack.gpu, stack.pid] += stack.allocated_bytes
    allocated: Counter[tuple[int, int]] = Counter()
    for process in snapshot.processes:
        allocated[process.gpu, process.pid] += process.allocated_bytes or 0
    for place, size in told.items():
        on_instances = [row for row in snapshot.processes if (row.gpu, row.pid) == place]
        assert size == allocated[place] or (len(on_instances) > 1 and size < allocated[place])


@invariant
def threads_of_a_process_sum_to_its_allocated_or_used_bytes(snapshot: Snapshot) -> None:
    owned: Counter[int] = Counter()
    for thread in snapshot.threads:
        owned[thread.pid] += thread.allocated_bytes
    expected: Counter[int] = Counter()
    for process in snapshot.processes:
        expected[process.pid] += process.used_bytes if process.allocated_bytes is None else process.allocated_bytes
    assert owned == expected


@invariant
def counts_of_blocks_agree_with_the_blocks(snapshot: Snapshot) -> None:
    utilized = [block for block in snapshot.blocks if block.utilized]
    assert snapshot.active_blocks == len(utilized)
    assert snapshot.active_blocks + snapshot.free_blocks == len(snapshot.blocks)
    assert snapshot.atomic_allocations_bytes == sum(block.size for block in utilized)
    assert all(block.allocated for block in utilized)
    assert len({block.block_id for block in snapshot.blocks}) == len(snapshot.blocks)


@invariant
def blocks_with_addresses_do_not_overlap(snapshot: Snapshot) -> None:
    by_place: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for block in snapshot.blocks:
        if block.address:
            by_place[block.gpu, block.pid].append((block.address, block.address + block.size))
    instances = {gpu.index for gpu in snapshot.gpus if gpu.mig is not None}
    for (gpu, _), spans in by_place.items():
        if gpu in instances:
            continue  # one pid on several instances has an address space on each
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@invariant
def ratios_and_percents_stay_in_range(snapshot: Snapshot) -> None:
    assert 0 <= snapshot.used_percent <= 100
    assert 0 <= snapshot.fragmentation_ratio <= 1
    if snapshot.fragmentation is not None:
        for key in ("external_ratio", "internal_ratio", "cached_ratio"):
            assert 0 <= (getattr(snapshot.fragmentation, key) or 0) <= 1


@invariant
def every_process_has_one_kernel_entry_and_unavailable_means_zeros_and_a_reason(snapshot: Snapshot) -> None:
    assert set(snapshot.nsight_metrics) == {str(process.pid) for process in snapshot.processes}
    for entry in snapshot.nsight_metrics.values():
        if not entry.available:
            assert entry.reason
            assert not any((entry.atomic_operations, entry.occupancy, entry.memory_throughput, entry.dram_read_bytes))


@invariant
def processes_are_unique_per_device(snapshot: Snapshot) -> None:
    keys = [(process.gpu_uuid, process.pid) for process in snapshot.processes]
    assert len(keys) == len(set(keys))


@invariant
def what_nobody_measured_is_named(snapshot: Snapshot) -> None:
    for gpu in snapshot.gpus:
        assert (gpu.memory_source is None) == ("total_bytes" in gpu.unknown)
    for process in snapshot.processes:
        if process.allocated_bytes is None:
            assert "reserved_bytes" in process.unknown
        if not process.name:
            assert "name" in process.unknown
    if snapshot.fragmentation is None:
        assert "fragmentation_ratio" in snapshot.unknown
        assert snapshot.fragmentation_ratio == 0
    if not snapshot.gpus:
        assert "total_bytes" in snapshot.unknown


@invariant
def json_round_trips_and_unknown_names_keys_of_its_object(snapshot: Snapshot) -> None:
    assert from_json(to_json(snapshot)) == snapshot
    for row in (snapshot, *snapshot.processes, *snapshot.threads, *snapshot.gpus, *snapshot.nsight_metrics.values()):
        assert set(row.unknown) <= set(row.__struct_fields__)


@settings(max_examples=200)
@given(views())
def test_every_invariant_holds_of_any_snapshot(snapshot: Snapshot) -> None:
    for holds in INVARIANTS:
        holds(snapshot)


@arbitrary
@given(moments(), st.sampled_from([None, 0, 1000]))
def test_selections_partition_the_machine(moment: Moment, viewer_uid: int | None) -> None:
    whole = merge(moment, None, viewer_uid)
    parts = [merge(moment, gpu.uuid, viewer_uid) for gpu in whole.gpus if gpu.parent_uuid is None]
    for key in ("total_bytes", "used_bytes", "active_blocks", "free_blocks", "reserved_bytes"):
        assert sum(getattr(part, key) for part in parts) == getattr(whole, key)


@arbitrary
@given(moments())
def test_withholding_insides_changes_no_driver_figure(moment: Moment) -> None:
    everything, nothing = merge(moment), merge(moment, viewer_uid=424242)
    assert nothing.total_bytes == everything.total_bytes
    assert nothing.used_bytes == everything.used_bytes
    assert not any(block.address for block in nothing.blocks)
    assert all(process.allocated_bytes is None for process in nothing.processes)


@given(moments(), st.sampled_from(["7", "GPU-nowhere", "", "-1"]))
def test_an_unknown_gpu_is_refused(moment: Moment, gpu: str) -> None:
    with pytest.raises(UnknownGpuError) as refusal:
        merge(moment, gpu)
    (line,) = refusal.value.args
    assert line.startswith(f"no GPU {gpu!r}: ")


@given(st.integers(1, 2**22), st.integers(1, 2**22), st.integers(0, 8), st.integers(1, 2**40))
def test_processes_with_a_block_at_the_same_address_have_different_ids(
    one: int, other: int, gpu: int, page: int
) -> None:
    same = one % ALIGNMENT_BYTES == other % ALIGNMENT_BYTES
    address = page * ALIGNMENT_BYTES
    assert (blocks.block_id(one, gpu, address) == blocks.block_id(other, gpu, address)) == same
    assert blocks.block_id(one, gpu, address) < blocks.BLOCK_ID_MAX


@st.composite
def boasts(draw: st.DrawFn) -> Moment:
    """An arbitrary moment in which allocators claim anything that the wire lets through."""
    moment = draw(moments())
    claims = st.integers(0, BYTES_MAX)
    return structs.replace(
        moment,
        samples=tuple(
            structs.replace(
                sample,
                allocators=tuple(
                    structs.replace(one, reserved_bytes=draw(claims), allocated_bytes=draw(claims), blocks=None)
                    for one in sample.allocators
                ),
            )
            for sample in moment.samples
        ),
    )


@pytest.mark.fault(52)
@arbitrary
@given(boasts())
def test_row_52_no_claim_of_an_allocator_makes_the_ledger_absurd(moment: Moment) -> None:
    snapshot = merge(moment)
    listed: Counter[str] = Counter()
    for sample in moment.samples:
        for row in sample.processes:
            listed[row.gpu_uuid] += row.used_bytes or 0
    divided = {gpu.parent_uuid for gpu in snapshot.gpus}
    used = dict.fromkeys(listed, 0)
    for process in snapshot.processes:
        used[process.gpu_uuid] = used.get(process.gpu_uuid, 0) + process.used_bytes
    for gpu in snapshot.gpus:
        if "total_bytes" not in gpu.unknown and gpu.uuid not in divided:
            said_by_the_driver = min(0, gpu.used_bytes - listed[gpu.uuid])
            assert gpu.unattributed_bytes >= said_by_the_driver - gpu.total_bytes * AHEAD_SHARE - 1
            assert gpu.unattributed_bytes == gpu.used_bytes - used.get(gpu.uuid, 0)
    for process in snapshot.processes:
        assert (process.allocated_bytes or 0) <= process.reserved_bytes <= process.used_bytes
