"""Over time: every point sums to what the allocator had allocated then, and the peak is the report's own."""

from itertools import accumulate
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.trace import timeline as module
from blackbox.analysis.trace.timeline import Band, Timeline, levels
from blackbox.sources.memory_snapshot.replayed import Replayed, read_replayed
from tests.caching_allocator import MIB, CachingAllocator, RefusedError
from tests.traced_programs import STACKS, allocators, perform, programs


def read(allocator: CachingAllocator) -> tuple[Replayed, Timeline]:
    found = read_replayed(allocator.snapshot((2, 12)))
    assert found is not None
    assert found.told.timeline is not None
    return found, found.told.timeline


def held(band: Band, points: int) -> list[tuple[int, int]]:
    """Bytes and blocks at each point."""
    changes = {at: (size, blocks) for at, size, blocks in zip(band.at, band.bytes, band.blocks, strict=True)}
    every = [changes.get(point, (0, 0)) for point in range(points)]
    return list(accumulate(every, lambda a, b: (a[0] + b[0], a[1] + b[1])))


@given(allocators(), programs, st.integers(0, 80), st.sampled_from([4, 10_000]))
def test_every_point_is_exact(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], kept: int, points_whole: int
) -> None:
    perform(allocator, program)
    allocator.keep_last(kept)
    if len(allocator.entries) < 2:
        return
    with patch.object(module, "POINTS_WHOLE", points_whole), patch.object(module, "STRETCHES", 5):
        found, told = read(allocator)
    (device,) = found.devices
    truth = [allocator.before, *allocator.sums]
    points = len(told.done)
    assert list(told.reserved) == [truth[entries].reserved for entries in told.done]
    by_category = levels(told.by_category, points)
    assert by_category == levels(told.by_stack, points)
    if device.peak.bytes_max is None:
        assert by_category == [truth[entries].allocated for entries in told.done]
    assert max(by_category) == by_category[told.peak] == device.peak.bytes
    for bands, shares in ((told.by_category, device.peak.by_category), (told.by_stack, device.peak.by_stack)):
        there = [held(band, points)[told.peak] for band in bands]
        assert sorted(size for size in there if size[1]) == sorted((share.bytes, share.blocks) for share in shares)
    assert len(told.refusals) == device.refusals_total == sum(told.told[at].action == "oom" for at in told.refusals)
    for band in (*told.by_category, *told.by_stack):
        assert all(size >= 0 and blocks >= 0 for size, blocks in held(band, points))


def test_what_is_told_of_a_step() -> None:
    allocator = CachingAllocator(100 * MIB)
    kept = allocator.alloc(20 * MIB, frames=STACKS[1])
    with pytest.raises(RefusedError):
        allocator.alloc(90 * MIB, frames=STACKS[2])
    allocator.free(kept, frames=STACKS[3])
    _, told = read(allocator)
    assert [(step.action, step.bytes) for step in told.told] == [
        ("", 0),
        ("segment_alloc", 20 * MIB),
        ("alloc", 20 * MIB),
        ("oom", 90 * MIB),
        ("free_requested", -20 * MIB),
        ("free_completed", 0),
    ]
    names = [None if step.stack is None else told.stacks[step.stack][0] for step in told.told]
    assert names == [
        None,
        None,
        "/app/model1.py:1 forward",
        "/app/model2.py:2 forward",
        "/app/model1.py:1 forward",
        "/app/model1.py:1 forward",
    ]
    assert (told.peak, told.moment, told.refusals) == (2, 3, (3,))


def test_many_stacks_are_few_bands() -> None:
    allocator = CachingAllocator()
    for place in range(module.BANDS_MAX + 5):
        allocator.alloc((place + 1) * MIB, frames=[{"filename": "/app/x.py", "line": place, "name": "f"}])
    _, told = read(allocator)
    assert len(told.by_stack) == module.BANDS_MAX + 1
    assert (told.by_stack[-1].parts, told.by_stack[-1].frames) == (5, ())
    assert told.by_stack[0].frames == (f"/app/x.py:{module.BANDS_MAX + 4} f",)


def test_scopes_are_where_their_times_say() -> None:
    allocator = CachingAllocator()
    first = 1_790_000_000_000_000
    for _ in range(4):
        allocator.alloc(MIB, frames=STACKS[0])
    written = allocator.snapshot((2, 12))
    times = [entry["time_us"] for entry in written["device_traces"][0]]
    written["external_annotations"] = [
        {"name": name, "stage": stage, "device": 0, "time_us": time}
        for name, stage, time in (
            ("ProfilerStep#1", "START", first),
            ("forward", "START", times[1]),
            ("forward", "END", times[2]),
            ("ProfilerStep#1", "END", times[3]),
            ("ProfilerStep#2", "START", times[3] + 1),
            ("before everything", "START", 1),
            ("before everything", "END", 2),
        )
    ]
    found = read_replayed(written)
    assert found is not None
    assert found.told.timeline is not None
    scopes = [(scope.name, scope.start, scope.end, scope.depth) for scope in found.told.timeline.scopes]
    assert scopes == [("ProfilerStep#1", 0, 4, 0), ("forward", 1, 3, 1), ("ProfilerStep#2", 4, len(times), 0)]
    assert [part.name for part in found.told.timeline.parts] == ["forward"]


def test_parts_of_a_step_are_told_by_stacks() -> None:
    allocator = CachingAllocator()
    module_call = {"filename": "/site-packages/torch/nn/modules/module.py", "line": 1, "name": "_call_impl"}
    optimizer = {"filename": "/site-packages/torch/optim/optimizer.py", "line": 1, "name": "wrapper"}
    for _ in range(2):
        batch = allocator.alloc(2 * MIB, frames=[module_call, *STACKS[0]])
        allocator.free(allocator.alloc(MIB, frames=[optimizer, *STACKS[0]]), frames=[optimizer, *STACKS[0]])
        allocator.free(batch, frames=[optimizer, *STACKS[0]])
    _, told = read(allocator)
    assert [part.name for part in told.parts] == ["forward", "optimizer", "forward", "optimizer"]
    assert all(before.end <= after.start for before, after in zip(told.parts, told.parts[1:], strict=False))
