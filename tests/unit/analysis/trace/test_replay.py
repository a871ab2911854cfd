"""Rolled back and forward again a trace gives the file; the sums of every step are those of the allocator itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.purpose import categories
from blackbox.analysis.trace.device_findings import Context, findings
from blackbox.analysis.trace.moments import highest, refusals, rows
from blackbox.analysis.trace.replay import Replay, instants, replay
from blackbox.sources.memory_snapshot.contents import contents
from blackbox.sources.memory_snapshot.traces import DeviceTrace, Traces, read_traces
from tests.caching_allocator import MIB, OLD_VERSIONS, VERSIONS, CachingAllocator, Version
from tests.host_allocator import HostAllocator
from tests.traced_programs import allocators, perform, programs

versions = st.sampled_from(VERSIONS)
timed = st.sampled_from([version for version in VERSIONS if version >= (2, 2)])


def replayed(written: dict[str, Any]) -> tuple[Replay, DeviceTrace, Traces]:
    traces = read_traces(written)
    (device,) = traces.devices
    return replay(device.trace, device.end, device.rules), device, traces


def is_possible(allocator: CachingAllocator, version: Version) -> bool:
    """Whether a program of that release can have left that behind, and the file tells the settings that matter."""
    if not allocator.entries or (allocator.expandable and version < (2, 1)):
        return False
    return version >= (2, 3) or (allocator.max_split, allocator.divisions) == (None, {})


def listed(written: dict[str, Any]) -> list[tuple[int, int, int | None, str]]:
    """Every block of the file: address, size, what an active one was asked for, and its state."""
    found: list[tuple[int, int, int | None, str]] = []
    for segment in sorted(written["segments"], key=lambda segment: segment["address"]):
        address = segment["address"]
        for block in segment["blocks"]:
            active = block["state"] != "inactive"
            found.append((address, block["size"], block["requested_size"] if active else None, block["state"]))
            address += block["size"]
    return found


def at_the_end(run: Replay) -> list[tuple[int, int, int | None, str]]:
    (last,) = instants(run, [run.steps])
    return [
        (row.address, row.size, None, "inactive")
        if row.block is None
        else (
            row.address,
            row.size,
            run.requested_of(row.block),
            "active_pending_free" if row.pending else "active_allocated",
        )
        for row in rows(run, last)
    ]


def check_sums(run: Replay, allocator: CachingAllocator) -> None:
    """Every step is within what the trace leaves open; reserved memory is always exact."""
    truth = [allocator.before, *allocator.sums][run.first :]
    wide = sum(most - run.size[block] for block, most in run.size_max.items())
    assert [sums.reserved for sums in truth] == list(run.reserved)
    for sums, allocated, active in zip(truth, run.allocated, run.active, strict=True):
        assert allocated <= sums.allocated <= allocated + wide
        assert active <= sums.active <= active + wide
    peak = highest(run)
    assert peak.bytes <= max(sums.allocated for sums in truth) <= peak.bytes_max
    assert run.allocated[peak.done] == peak.bytes


def check_ranges(run: Replay, traces: Traces, allocator: CachingAllocator, version: Version) -> None:
    """What is told of single moments is exact, or a range that holds what was."""
    found = findings(Context(0, run, traces.stacks, categories(run, traces.evidence)))
    truth = [allocator.before, *allocator.sums]
    for told in (found.peak, *(refusal.moment for refusal in found.refusals)):
        sums = truth[0 if told.step is None else told.step + 1]
        assert told.active_bytes <= sums.active <= (told.active_bytes_max or told.active_bytes)
    if version < (2, 12):
        return  # whose pool was asked is not told
    for place, refusal in zip(refusals(run), found.refusals, strict=True):
        free = allocator.free_at[allocator.entries[place]["time_us"]]
        assert refusal.free_certain.bytes <= sum(free) <= refusal.free.bytes
        assert refusal.free_certain.largest_bytes <= max(free, default=0) <= refusal.free.largest_bytes
        assert refusal.free_certain.largest_bytes < refusal.requested_size, "what fits would have been taken"


@given(allocators(), programs, versions)
def test_a_whole_history_is_exact(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], version: Version
) -> None:
    perform(allocator, program)
    if not is_possible(allocator, version):
        return
    written = allocator.snapshot(version)
    run, _, _ = replayed(written)
    assert (run.first, run.problem, run.off_rule, run.size_max, run.races) == (0, None, 0, {}, 0)
    assert run.unsure_until == 0
    assert at_the_end(run) == listed(written)
    check_sums(run, allocator)


@given(allocators(), programs, programs, timed, st.integers(0, 80))
def test_a_history_that_lost_its_beginning_is_exact_or_a_range(
    allocator: CachingAllocator,
    before: list[tuple[Any, ...]],
    program: list[tuple[Any, ...]],
    version: Version,
    kept: int,
) -> None:
    perform(allocator, before + program)
    allocator.keep_last(kept)
    if not is_possible(allocator, version):
        return
    written = allocator.snapshot(version)
    run, _, traces = replayed(written)
    assert (run.first, run.off_rule, run.unsure_until) == (0, 0, 0)
    assert at_the_end(run) == listed(written)
    check_sums(run, allocator)
    check_ranges(run, traces, allocator, version)


@given(allocators(), programs, timed, st.integers(0, 200))
def test_a_ring_out_of_order_is_put_in_order(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], version: Version, cut: int
) -> None:
    perform(allocator, program)
    if len(allocator.entries) < 2 or not is_possible(allocator, version):
        return
    written = allocator.snapshot(version)
    (trace,) = written["device_traces"]
    cut = 1 + cut % (len(trace) - 1)
    written["device_traces"] = [trace[cut:] + trace[:cut]]
    run, _, _ = replayed(written)
    assert (run.first, run.resorted) == (0, True)
    check_sums(run, allocator)


@given(allocators(), programs, versions.filter(lambda version: version >= (2, 3)), st.integers(1, 20))
def test_what_is_freed_while_the_file_is_written_is_told_apart(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], version: Version, freed: int
) -> None:
    perform(allocator, program)
    traces = allocator.snapshot(version)["device_traces"]
    steps = len(allocator.entries)
    perform(allocator, [("free", 0, False)] * freed)
    if not steps or len(allocator.entries) == steps:
        return
    del allocator.entries[steps:], allocator.sums[steps:]
    run, _, _ = replayed(allocator.snapshot(version) | {"device_traces": traces})
    assert run.first == 0
    assert run.races > 0
    check_sums(run, allocator)


@given(allocators(), programs, programs)
def test_frees_without_an_entry_leave_a_lower_bound(
    allocator: CachingAllocator, before: list[tuple[Any, ...]], program: list[tuple[Any, ...]]
) -> None:
    """PyTorch 2.0."""
    allocator.max_split, allocator.divisions, allocator.expandable = None, {}, False
    allocator.recording = allocator.free_recorded = False
    perform(allocator, before)
    allocator.start_recording()
    perform(allocator, program)
    if not allocator.entries:
        return
    run, device, _ = replayed(allocator.snapshot((2, 0)))
    truth = [allocator.before, *allocator.sums][run.first :]
    assert device.facts.unrecorded_frees == bool(allocator.segments)
    for sums, allocated in zip(truth, run.allocated, strict=True):
        assert allocated <= sums.allocated


@given(allocators(), programs, timed)
def test_shares_sum_to_the_moment_and_refusals_are_all_told(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], version: Version
) -> None:
    perform(allocator, program)
    if not is_possible(allocator, version):
        return
    run, _, traces = replayed(allocator.snapshot(version))
    found = findings(Context(0, run, traces.stacks, categories(run, traces.evidence)))
    assert found.refusals_total == sum(entry["action"] == "oom" for entry in allocator.entries)
    for told in (found.peak, *(refusal.moment for refusal in found.refusals)):
        for shares in (told.by_category, told.by_stack, told.by_pool):
            assert sum(share.bytes for share in shares) == told.bytes
        assert sum(share.requested_bytes for share in told.by_stack) == told.requested_bytes
    for place, refusal in zip(refusals(run), found.refusals, strict=True):
        truth = allocator.sums[place]
        free = refusal.free.bytes + sum(other.bytes for other in refusal.free_elsewhere.values())
        assert free == refusal.moment.reserved_bytes - refusal.moment.active_bytes
        if version >= (2, 3):
            assert (refusal.moment.bytes, refusal.moment.requested_bytes) == (truth.allocated, truth.requested)
            assert refusal.moment.active_bytes == truth.active
        if version >= (2, 12):
            assert refusal.free.largest_bytes < refusal.requested_size, "what fits would have been taken"


def test_a_refusal_is_told_as_it_was_and_not_as_it_ended() -> None:
    allocator = CachingAllocator(100 * MIB)
    held = [allocator.alloc(20 * MIB) for _ in range(4)]
    perform(allocator, [("alloc", 40 * MIB, 0, (0, 0), 1)])
    for address in held:
        allocator.free(address)
    run, _, traces = replayed(allocator.snapshot((2, 12)))
    (refusal,) = findings(Context(0, run, traces.stacks, categories(run, traces.evidence))).refusals
    assert (refusal.moment.bytes, refusal.requested_size, refusal.device_free_bytes) == (80 * MIB, 40 * MIB, 20 * MIB)
    assert (refusal.freed_after.bytes, refusal.freed_after.blocks) == (80 * MIB, 4)
    assert refusal.frames[0] == "/app/model1.py:1 forward"


def test_an_entry_that_cannot_have_been_leaves_what_comes_after_it() -> None:
    allocator = CachingAllocator()
    for size in (20, 30):
        allocator.alloc(size * MIB)
    written = allocator.snapshot((2, 12))
    odd = {"action": "alloc", "addr": 1, "size": 512, "stream": 0, "time_us": 1, "user_metadata": "", "pool_id": (0, 0)}
    written["device_traces"][0].insert(0, odd)
    run, _, _ = replayed(written)
    assert (run.first, run.steps) == (1, 4)
    assert list(run.allocated) == [0, 0, 20 * MIB, 20 * MIB, 50 * MIB]
    assert run.problem is not None


SKIPPABLE = ("alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "oom", "snapshot")


@given(allocators(), programs, st.sets(st.sampled_from(SKIPPABLE), min_size=1))
def test_kinds_of_steps_left_out_never_change_the_end(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], skipped: set[str]
) -> None:
    perform(allocator, program)
    if not is_possible(allocator, (2, 12)):
        return
    written = allocator.snapshot((2, 12), skipped=skipped)
    if not written["segments"] and not written["device_traces"][0]:
        return
    run, _, _ = replayed(written)
    if not run.races:  # frees and segments that nobody recorded look like what happened while the file was written
        assert at_the_end(run) == listed(written)
        assert run.allocated[-1] == allocator._sums().allocated
    if skipped <= {"oom", "snapshot"}:
        assert (run.first, run.races) == (0, 0)


@given(st.lists(st.integers(1, 30 * MIB), min_size=1, max_size=12), st.data())
def test_the_pool_of_a_graph_is_made_anew_with_the_sizes_of_its_blocks(sizes: list[int], data: st.DataObject) -> None:
    allocator, pool = CachingAllocator(), (0, 1)
    held = [allocator.alloc(size, pool=pool) for size in sizes]
    outside = allocator.alloc(3 * MIB)
    for address in data.draw(st.sets(st.sampled_from(held))):
        allocator.free(address)
        held.remove(address)
    kept = allocator.checkpoint(pool)
    for _ in range(data.draw(st.integers(0, 3))):
        allocator.alloc(data.draw(st.sampled_from(sizes)), pool=pool)
    kept = [row for row in kept if row[0] in allocator.segments]
    fresh = [segment for segment in allocator.segments if segment.key.pool == pool]
    if len(fresh) > len(kept):
        return  # segments that came after the checkpoint are another's to free
    allocator.restore(kept)
    allocator.free(outside)
    written = allocator.snapshot((2, 12))
    run, _, _ = replayed(written)
    assert (run.first, run.problem, run.off_rule, run.size_max) == (0, None, 0, {})
    assert at_the_end(run) == listed(written)
    check_sums(run, allocator)


def test_a_small_segment_of_a_graph_made_anew_may_have_a_block_of_more_than_one_mebibyte() -> None:
    """Two free blocks that were joined are made as one, and freed again."""
    allocator, pool = CachingAllocator(), (0, 1)
    held = [allocator.alloc(size, pool=pool) for size in (1, 1, MIB - 511, 1)]
    for address in held[1:3]:
        allocator.free(address)
    allocator.restore(allocator.checkpoint(pool))
    written = allocator.snapshot((2, 12))
    run, _, _ = replayed(written)
    assert MIB + 512 in [entry["size"] for entry in allocator.entries if entry["action"] == "alloc"]
    assert (run.first, run.problem, run.off_rule, run.size_max) == (0, None, 0, {})
    assert at_the_end(run) == listed(written)
    check_sums(run, allocator)


pinned = st.lists(st.one_of(st.integers(1, 1 << 22), st.just("free"), st.just("empty")), max_size=40)


@given(allocators(), programs, pinned)
def test_pinned_memory_of_the_host_is_a_device_of_its_own(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], steps: list[int | str]
) -> None:
    perform(allocator, program)
    host = HostAllocator()
    for step in steps:
        used = [address for address, (_, is_used) in host.blocks.items() if is_used]
        if isinstance(step, int):
            host.alloc(step)
        elif step == "empty":
            host.empty_cache()
        elif used:
            host.free(used[0])
    traces = read_traces(allocator.snapshot((2, 14)) | host.keys())
    found = [device for device in traces.devices if device.device < 0]
    assert len(found) == bool(host.entries)
    for device in found:
        run = replay(device.trace, device.end, device.rules)
        assert (run.first, run.problem, run.off_rule, run.size_max) == (0, None, 0, {})
        assert list(run.allocated) == host.allocated
        assert run.reserved[-1] == sum(size for size, _ in host.blocks.values())


@given(allocators(), programs, st.sampled_from(OLD_VERSIONS))
def test_a_bare_list_of_segments_is_its_end(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], version: Version
) -> None:
    """PyTorch 1.13 and older."""
    perform(allocator, program)
    bare = allocator.listed(version)
    found = contents(bare, "traces")
    (sums,) = {allocator._sums()}
    told = found.sample.allocators
    assert sum(one.reserved_bytes for one in told) == sums.reserved
    assert sum(one.allocated_bytes for one in told) == sums.allocated
    assert (found.replayed is None) == (not bare)
    if found.replayed is not None:
        assert (found.replayed.told.kind, found.replayed.told.timeline) == ("end", None)
        assert any(note.startswith("this file cannot have a trace") for note in found.replayed.told.notes)
        assert found.replayed.told.allocator.allocated_bytes == sums.allocated
