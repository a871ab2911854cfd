"""Every situation that limits what a trace tells is a sentence, and is said where it holds alone."""

from typing import Any

import pytest

from blackbox.analysis.trace.moments import free_for, refusals
from blackbox.analysis.trace.replay import Replay, instants, replay
from blackbox.analysis.trace.situations import of_refusal, situations
from blackbox.sources.memory_snapshot.traces import read_traces
from tests.caching_allocator import MIB, CachingAllocator, RefusedError, Version
from tests.traced_programs import STACKS

NEW: Version = (2, 15)


def told(written: dict[str, Any]) -> str:
    run, facts = run_of(written)
    return "\n".join(situations(run, facts))


def run_of(written: dict[str, Any]) -> tuple[Replay, Any]:
    (device,) = read_traces(written).devices
    return replay(device.trace, device.end, device.rules), device.facts


def busy(**settings: Any) -> CachingAllocator:
    """With a live block, a freed one, and a stack to each."""
    allocator = CachingAllocator(**settings)
    first = allocator.alloc(3 * MIB, frames=STACKS[0])
    allocator.alloc(5 * MIB, frames=STACKS[1])
    allocator.free(first)
    return allocator


def refuse(allocator: CachingAllocator, size: int, pool: tuple[int, int] = (0, 0)) -> None:
    with pytest.raises(RefusedError):
        allocator.alloc(size, pool=pool, frames=STACKS[2])


def refused(allocator: CachingAllocator, version: Version = NEW, **changes: int) -> str:
    written = allocator.snapshot(version)
    for entry in written["device_traces"][0]:
        if entry["action"] == "oom":
            entry.update(changes)
    run, _ = run_of(written)
    place = refusals(run)[-1]
    (instant,) = instants(run, [place])
    free = free_for(run, instant, place)
    return "\n".join(of_refusal(run.trace.size[place], run.trace.device_free.get(place), free))


def test_a_whole_history_needs_no_words() -> None:
    assert told(busy().snapshot(NEW)) == ""


def test_a_history_of_one_step_is_none() -> None:
    allocator = busy()
    allocator.note_snapshot()
    allocator.keep_last(1)
    assert told(allocator.snapshot(NEW)) == "no usable history: the file holds the end, and no steps that led to it"


def test_frees_without_steps() -> None:
    assert "without a step: what was held early on is a lower bound" in told(busy().snapshot((2, 0)))


def test_a_step_that_contradicts_the_others_ends_the_replay() -> None:
    written = busy().snapshot(NEW)
    trace = written["device_traces"][0]
    trace.insert(2, trace[1] | {"size": 77})
    assert "steps 4 to 6 of 6 agree with each other and the end" in told(written)


def test_refusals_before_a_contradiction_are_counted() -> None:
    written = busy().snapshot(NEW)
    trace = written["device_traces"][0]
    trace[0:0] = [{**trace[0], "action": "oom", "device_free": 0}]
    trace.insert(3, trace[2] | {"size": 77})
    assert "before the steps that can be replayed: 1 refusal" in told(written)


def test_a_program_that_went_on_while_the_file_was_written() -> None:
    allocator = busy()
    traces = allocator.snapshot(NEW)["device_traces"]
    allocator.free(next(block.address for block in allocator._blocks() if block.state == "active"))
    text = told(allocator.snapshot(NEW) | {"device_traces": traces})
    assert "the program went on while the file was written: 1 block or segment changed" in text


def test_waiting_at_the_end_and_before_the_start() -> None:
    allocator = busy()
    allocator.free(allocator.alloc(7 * MIB), later=True)
    assert "at the end 7.0 MiB in 1 block were freed by the program and still in use" in told(allocator.snapshot(NEW))
    allocator.complete(next(block.address for block in allocator._blocks() if block.state == "pending"))
    allocator.note_snapshot()
    allocator.keep_last(2)
    assert "1 block was waiting to be freed before the first step" in told(allocator.snapshot(NEW))


def test_a_history_that_lost_its_beginning() -> None:
    allocator = busy()
    allocator.keep_last(2)
    assert "1 live block with a stack, and no step that allocated them" in told(allocator.snapshot(NEW))
    for segment in (written := allocator.snapshot(NEW))["segments"]:
        for block in segment["blocks"]:
            block["frames"] = []
    assert "recording began after the program had allocated, or earlier steps were overwritten" in told(written)


def test_sizes_that_the_file_leaves_open() -> None:
    allocator = CachingAllocator()
    held = allocator.alloc(20 * MIB - 512)
    allocator.note_snapshot()
    allocator.free(held)
    allocator.keep_last(2)
    assert "1 block from before the first step may be up to 512 B larger than told" in told(allocator.snapshot(NEW))


def test_private_pools_and_pools_that_overflow() -> None:
    allocator = busy()
    allocator.alloc(MIB, pool=(0, 7))
    assert "steps do not name their pool" in told(allocator.snapshot((2, 11)))
    written = allocator.snapshot((2, 12))
    assert told(written) == ""
    written["device_traces"][0][-1]["pool_id"] = (0, 9)
    assert "some blocks lie in another pool than their segment's" in told(written)


def test_segments_of_one_pool_alone() -> None:
    allocator = busy()
    allocator.alloc(MIB, pool=(0, 7))
    written = allocator.snapshot(NEW)
    written["segments"] = [one for one in written["segments"] if one["segment_pool_id"] == (0, 7)]
    assert "only the segments of one pool are in the file" in told(written)


def test_mapped_stretches() -> None:
    assert "the address room reserved behind it is not in the file" in told(busy(expandable=True).snapshot(NEW))


def test_a_sum_that_pytorch_noted_otherwise() -> None:
    allocator = busy()
    allocator.note_snapshot()
    written = allocator.snapshot(NEW)
    assert told(written) == ""
    written["device_traces"][0][-1]["size"] += 512
    assert "at 1 step PyTorch noted another sum of active bytes than the replay finds, first at step 6" in told(written)


def test_kinds_of_steps_that_were_not_recorded() -> None:
    written = busy().snapshot(NEW)
    written["device_traces"] = [[one for one in written["device_traces"][0] if one["action"] != "free_requested"]]
    assert "some kinds of steps are missing from the file" in told(written)


def test_steps_of_later_releases_change_nothing() -> None:
    written = busy().snapshot(NEW)
    written["device_traces"][0].append({"action": "annotate", "addr": 1, "size": 0, "stream": 0, "time_us": 1 << 52})
    assert told(written) == "notes, and steps of a kind unknown here, changed nothing: 1 step"


def test_settings_that_the_file_does_not_tell() -> None:
    allocator = busy(divisions={str(1 << place): 2 for place in range(16)})
    assert "not as large as PyTorch's rules make them (a setting that the file does not tell): 1 block" in told(
        allocator.snapshot((2, 2))
    )


def test_settings_that_the_file_does_not_tell_are_taken_to_be_the_defaults() -> None:
    """Nothing that lives at the end shows what they were."""
    allocator = CachingAllocator(divisions={str(1 << place): 2 for place in range(16)})
    allocator.free(allocator.alloc(9 * MIB))
    text = "the file does not tell the allocator's settings, as before PyTorch 2.3: blocks that are gone"
    assert text in told(allocator.snapshot((2, 2)))
    assert text not in told(allocator.snapshot((2, 3)))


def test_what_was_free_for_a_refused_request() -> None:
    allocator = CachingAllocator(41 * MIB)
    held = [allocator.alloc(9 * MIB) for _ in range(4)]
    for address in held[::2]:
        allocator.free(address)
    refuse(allocator, 12 * MIB)
    text = refused(allocator)
    assert "22.0 MiB were free for this request, in 4 pieces of at most 9.0 MiB" in text
    assert "the driver told of" not in text
    assert "NCCL, cuBLAS, the CUDA context" in text


def test_more_free_on_the_device_than_was_asked_for() -> None:
    allocator = CachingAllocator(30 * MIB)
    refuse(allocator, 40 * MIB)
    assert "the driver told of 64.0 MiB free, more than the 40.0 MiB refused" in refused(
        allocator, device_free=64 * MIB
    )


def test_a_block_that_fits_existed() -> None:
    allocator = CachingAllocator(41 * MIB)
    first = allocator.alloc(9 * MIB)
    allocator.alloc(9 * MIB)
    allocator.free(first)
    refuse(allocator, 30 * MIB)
    assert "a free block of 9.0 MiB, large enough for the 2.0 MiB refused, existed" in refused(allocator, size=2 * MIB)


@pytest.mark.parametrize(
    ("skipped", "said"),
    [
        ({"free_requested"}, "some kinds of steps are missing"),
        ({"free_completed"}, "some kinds of steps are missing"),
        ({"alloc"}, "no step of the file allocates anything"),
        ({"segment_alloc"}, "before the first step nothing was allocated and 20.0 MiB were reserved"),
        (set[str](), ""),
    ],
)
def test_kinds_of_steps_that_nobody_recorded(skipped: set[str], said: str) -> None:
    text = told(busy().snapshot(NEW, skipped=skipped))
    assert said in text
    assert bool(text) == bool(said)


def worked(**settings: Any) -> CachingAllocator:
    """Memory was given back to the driver, and got again."""
    allocator = CachingAllocator(**settings)
    kept = allocator.alloc(1 * MIB)
    for _ in range(2):
        allocator.free(allocator.alloc(50 * MIB))
        allocator.empty_cache()
    allocator.free(kept)
    return allocator


def test_segments_that_no_step_frees_are_not_told_as_the_work_of_others() -> None:
    text = told(worked().snapshot(NEW, skipped={"segment_free"}))
    assert "freed by no step, and not in the list of segments: 2 segments that steps made" in text
    assert "the program went on" not in text


def test_ranges_that_no_step_unmaps_may_not_have_been_recorded() -> None:
    text = told(worked(expandable=True).snapshot(NEW, skipped={"segment_unmap"}))
    assert "segment_map is among them and segment_unmap is not" in text
    assert "may have been" not in told(worked(expandable=True).snapshot(NEW))
