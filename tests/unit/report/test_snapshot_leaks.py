"""A report on a PyTorch snapshot: what grows from step to step, or from request to request, is a leak; no more is."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from blackbox.analysis.stacks import StackGrowth
from blackbox.report import build_report, to_text
from blackbox.report.snapshot_file import of_snapshot_file
from blackbox.report.text import stacks_text
from tests.caching_allocator import MIB, CachingAllocator, Frames
from tests.snapshot_reports import refuse, report_of
from tests.traced_programs import STACKS

WRAPPER = {"filename": "/site-packages/torch/optim/optimizer.py", "line": 1, "name": "wrapper"}


OPTIMIZER: Frames = [WRAPPER, STACKS[0][1]]


def trained(leak: int, last: int, steps: int = 12) -> CachingAllocator:
    """Steps of 8 MiB, each of which leaves `leak` behind; the last one asks for `last` more than there is."""
    memory = CachingAllocator(100 * MIB)
    memory.alloc(20 * MIB, frames=STACKS[0])
    for _ in range(steps):
        batch = memory.alloc(8 * MIB, frames=STACKS[1])
        if leak:
            memory.alloc(leak, frames=STACKS[3])
        memory.free(memory.alloc(4 * MIB, frames=OPTIMIZER), frames=OPTIMIZER)
        memory.free(batch, frames=STACKS[1])
    refuse(memory, last)
    return memory


def test_what_grows_from_step_to_step_outranks_what_it_broke_on(tmp_path: Path) -> None:
    report = report_of(trained(leak=4 * MIB, last=40 * MIB), tmp_path)
    assert [told.cause for told in report.causes] == ["leak", "shortage"]
    assert report.causes[0].figures["rise_bytes"] == 40 * MIB, "from the second step to the twelfth"
    assert "Cause: A LEAK, TOO LITTLE MEMORY" in to_text(report)


def test_a_step_that_needs_far_more_than_those_before_it_is_a_spike(tmp_path: Path) -> None:
    report = report_of(trained(leak=0, last=90 * MIB), tmp_path)
    assert [told.cause for told in report.causes] == ["shortage", "spike"]
    assert report.cache is not None
    assert sum(use.after_bytes for use in report.uses) == report.cache.reserved_bytes
    figures = report.causes[1].figures
    assert (figures["needed_bytes"], figures["earlier_bytes"], figures["steps"]) == (110 * MIB, 32 * MIB, 11)


MODULE = {"filename": "/site-packages/torch/nn/modules/module.py", "line": 1, "name": "_call_impl"}


FORWARD: Frames = [STACKS[0][0], MODULE, STACKS[0][1]]


LOADING: Frames = [{"filename": "/site-packages/transformers/modeling_utils.py", "line": 1, "name": "from_pretrained"}]


CACHE: Frames = [{"filename": "/site-packages/transformers/cache_utils.py", "line": 1, "name": "update"}, *FORWARD]


def served(kept: int, frames: Frames = FORWARD, requests: int = 12) -> CachingAllocator:
    """Requests of 8 MiB of activations, each of which leaves `kept` behind; the last one asks for too much."""
    memory = CachingAllocator(100 * MIB)
    memory.alloc(20 * MIB, frames=STACKS[0])
    for _ in range(requests):
        request = memory.alloc(MIB // 2, frames=STACKS[3])
        batch = memory.alloc(8 * MIB, frames=FORWARD)
        if kept:
            memory.alloc(kept, frames=frames)
        memory.free(batch, frames=FORWARD)
        memory.free(request, frames=STACKS[3])
    refuse(memory, 60 * MIB if kept else 90 * MIB)
    return memory


def test_what_grows_from_request_to_request_is_a_leak(tmp_path: Path) -> None:
    report = report_of(served(kept=4 * MIB), tmp_path)
    assert [told.cause for told in report.causes] == ["leak", "shortage"]
    assert report.causes[0].figures["rise_bytes"] == 40 * MIB, "from the second request to the twelfth"


def test_requests_that_leave_nothing_behind_are_no_leak(tmp_path: Path) -> None:
    assert "leak" not in [told.cause for told in report_of(served(kept=0), tmp_path).causes]


def test_a_kv_cache_that_grows_with_what_is_generated_is_no_leak(tmp_path: Path) -> None:
    report = report_of(served(kept=4 * MIB, frames=CACHE), tmp_path)
    assert report.told is not None
    assert {share.category for share in report.traced[0].refusals[-1].moment.by_category} >= {"KV cache"}
    assert "leak" not in [told.cause for told in report.causes]


def test_steps_of_a_profiler_are_steps_whatever_is_done_in_them(tmp_path: Path) -> None:
    memory = CachingAllocator(100 * MIB)
    scopes: list[dict[str, Any]] = []
    for number in range(12):
        start = memory._time + 1
        memory.free(memory.alloc(8 * MIB, frames=STACKS[1]))
        memory.alloc(4 * MIB, frames=STACKS[2])
        name = f"ProfilerStep#{number}"
        scopes += (
            {"name": name, "stage": stage, "device": 0, "time_us": time}
            for stage, time in (("START", start), ("END", memory._time))
        )
    refuse(memory, 60 * MIB)
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(memory.snapshot((2, 12)) | {"external_annotations": scopes}))
    report = build_report(of_snapshot_file(path))
    assert report.cause == "leak"
    assert report.causes[0].figures["rise_bytes"] == 40 * MIB
    path.write_bytes(pickle.dumps(memory.snapshot((2, 12))))
    assert build_report(of_snapshot_file(path)).cause == "shortage", "without the scopes no steps are known"


def worked(
    works_with: int, kept: int, frames: Frames = STACKS[2], requests: int = 14, work: Frames = STACKS[2]
) -> CachingAllocator:
    """A program of no modules, of whose frames none tells a part of a step."""
    memory = CachingAllocator(100 * MIB)
    memory.alloc(20 * MIB, frames=work)
    for _ in range(requests):
        held = [memory.alloc(works_with // 2, frames=work) for _ in range(2)]
        if kept:
            memory.alloc(kept, frames=frames)
        for address in held:
            memory.free(address, frames=work)
    refuse(memory, 90 * MIB)
    return memory


def test_a_leak_is_told_where_nothing_marks_the_steps(tmp_path: Path) -> None:
    report = report_of(worked(works_with=16 * MIB, kept=3 * MIB), tmp_path)
    assert [told.cause for told in report.causes][:2] == ["leak", "shortage"]
    assert report.causes[0].figures["rise_bytes"] == 36 * MIB, "from the second round to the fourteenth"
    assert "memory held from round to round of its work (13, which nothing marks) grew by 36.0 MiB" in to_text(report)


@pytest.mark.parametrize(
    "memory",
    [
        worked(works_with=16 * MIB, kept=0),
        worked(works_with=16 * MIB, kept=3 * MIB, requests=6),
        worked(works_with=8 * MIB, kept=4 * MIB),
        worked(works_with=16 * MIB, kept=3 * MIB, frames=LOADING),
        worked(works_with=16 * MIB, kept=3 * MIB, frames=CACHE),
        worked(works_with=16 * MIB, kept=3 * MIB, frames=[], work=[]),
    ],
    ids=[
        "nothing is kept",
        "too few rounds",
        "it may be a model that is converted",
        "it is loaded",
        "KV cache",
        "no stacks, so it may be KV cache",
    ],
)
def test_what_may_be_none_is_not_told(memory: CachingAllocator, tmp_path: Path) -> None:
    assert "leak" not in [told.cause for told in report_of(memory, tmp_path).causes]


def test_one_forward_pass_that_fills_the_memory_is_no_leak(tmp_path: Path) -> None:
    memory = CachingAllocator(100 * MIB)
    for _ in range(9):
        memory.alloc(10 * MIB, frames=STACKS[2])
    refuse(memory, 20 * MIB)
    assert [told.cause for told in report_of(memory, tmp_path).causes] == ["shortage"]


@pytest.mark.parametrize(("steps", "words"), [(1, "(1 step)"), (2, "(2 steps)"), (2_000, "(2,000 steps)")])
def test_steps_are_counted_in_words(steps: int, words: str) -> None:
    nothing = {"live_bytes": 0, "recent_bytes": 0, "freed_bytes": 0}
    growth = StackGrowth(shares=(), **nothing, seconds=None, steps=steps, levels=())
    assert words in stacks_text(growth)
