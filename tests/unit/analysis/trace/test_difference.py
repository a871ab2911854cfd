"""Two peaks: every difference sums, and a stack is the same wherever its lines went."""

from typing import Any

from hypothesis import given

from blackbox.analysis.trace.difference import PeakDifference, difference
from blackbox.sources.memory_snapshot.replayed import Replayed, read_replayed
from tests.caching_allocator import MIB, CachingAllocator, Frames
from tests.traced_programs import STACKS, allocators, perform, programs


def read(allocator: CachingAllocator, device: int = 0) -> Replayed:
    found = read_replayed(allocator.snapshot((2, 12), device), stacks_max=1000)
    assert found is not None
    return found


def between(before: CachingAllocator, after: CachingAllocator) -> PeakDifference:
    (found,) = difference(read(before).devices, read(after).devices)
    return found


def training(batch: int, *, line: int = 7, with_cache: bool = False) -> CachingAllocator:
    """Weights, and activations in proportion to the batch."""
    allocator = CachingAllocator()
    allocator.alloc(100 * MIB, frames=STACKS[0])
    layer: Frames = [{"filename": "/app/layer.py", "line": line, "name": "forward"}, *STACKS[1]]
    held = [allocator.alloc(batch * 10 * MIB, frames=layer) for _ in range(3)]
    if with_cache:
        allocator.alloc(30 * MIB, frames=STACKS[3])
    for address in held:
        allocator.free(address)
    return allocator


@given(allocators(), allocators(), programs, programs)
def test_both_lists_sum_to_the_difference(
    a: CachingAllocator, b: CachingAllocator, first: list[tuple[Any, ...]], second: list[tuple[Any, ...]]
) -> None:
    perform(a, first)
    perform(b, second)
    before, after = (read_replayed(one.snapshot((2, 12)), stacks_max=1000) for one in (a, b))
    if before is None or after is None:
        return
    (found,) = difference(before.devices, after.devices)
    assert found.a is not None
    assert found.b is not None
    assert (found.a.bytes, found.b.bytes) == (before.devices[0].peak.bytes, after.devices[0].peak.bytes)
    for changes in (found.by_category, found.by_stack):
        assert sum(change.delta_bytes for change in changes) == found.delta_bytes
        for change in changes:
            assert change.delta_bytes == change.after_bytes - change.before_bytes
            assert (change.change == "new") == (not change.before_blocks)
    assert between(a, a).by_stack == ()


def test_a_larger_batch_grows_what_goes_with_it() -> None:
    found = between(training(2), training(5))
    assert found.delta_bytes == 90 * MIB
    (stack,) = found.by_stack
    assert (stack.change, stack.delta_bytes, stack.frames[0]) == ("grown", 90 * MIB, "/app/layer.py:7 forward")
    assert (stack.before_blocks, stack.after_blocks, found.unchanged_stacks) == (3, 3, 1)


def test_a_stack_at_other_lines_is_the_same() -> None:
    found = between(training(2), training(5, line=9))
    (stack,) = found.by_stack
    assert (stack.change, stack.moved, stack.frames[0]) == ("grown", True, "/app/layer.py:9 forward")
    assert between(training(2), training(2, line=9)).by_stack == ()


def test_new_and_gone() -> None:
    found = between(training(2), training(2, with_cache=True))
    assert [(change.change, change.delta_bytes) for change in found.by_stack] == [("new", 30 * MIB)]
    back = between(training(2, with_cache=True), training(2))
    assert [(change.change, change.delta_bytes) for change in back.by_stack] == [("gone", -30 * MIB)]


def test_two_functions_of_one_name_are_not_guessed_at() -> None:
    def two(first: int, second: int) -> CachingAllocator:
        allocator = CachingAllocator()
        for line in (first, second):
            allocator.alloc(MIB * line, frames=[{"filename": "/app/x.py", "line": line, "name": "f"}])
        return allocator

    found = between(two(1, 2), two(3, 4))
    assert {change.change for change in found.by_stack} == {"new", "gone"}


def test_files_of_one_gpu_each_are_compared_whatever_its_number() -> None:
    (found,) = difference(read(training(2)).devices, read(training(5), device=3).devices)
    assert found.a is not None
    assert found.b is not None
    assert (found.a.gpu, found.b.gpu, found.delta_bytes) == (0, 3, 90 * MIB)


def test_a_gpu_of_one_file_alone_is_new() -> None:
    one, two = read(training(2)).devices, (*read(training(2)).devices, *read(training(3), device=1).devices)
    same, new = difference(one, two)
    assert same.delta_bytes == 0
    assert new.a is None
    assert new.delta_bytes == 190 * MIB
    assert {change.change for change in new.by_category} == {"new"}
