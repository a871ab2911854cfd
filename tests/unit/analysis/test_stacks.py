"""Live memory by stack."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.stacks import LEVELS_MAX, StackShare, growth_by_stack, live_by_stack, own_frame
from blackbox.model.event import TraceStep
from blackbox.model.snapshot import Stack

STACKS = (("a.py:1 f", "m.py:9 main"), ("b.py:2 g",))


def test_what_is_freed_is_nobodys() -> None:
    trace = [
        TraceStep("alloc", 1, 100, 0, 1_000_000, 0),
        TraceStep("alloc", 2, 50, 0, 2_000_000, 1),
        TraceStep("free_requested", 1, 100, 0, 3_000_000, 1),
        TraceStep("free_completed", 1, 100, 0, 3_000_001, 1),
    ]
    growth = growth_by_stack(trace, STACKS, {2: "activations"})
    (share,) = growth.shares
    assert (share.frames, share.bytes, share.count, share.uses) == (STACKS[1], 50, 1, {"activations": 50})
    assert (growth.live_bytes, growth.freed_bytes, growth.steps) == (50, 0, 4)
    assert [level for _, level in growth.levels] == [100, 150, 50, 50, 50]


def test_what_was_there_before_and_is_freed_once_counts_once() -> None:
    trace = [TraceStep("free_requested", 7, 30, 0, 1, 0), TraceStep("free_completed", 7, 30, 0, 2, 0)]
    growth = growth_by_stack(trace, STACKS, {})
    assert (growth.live_bytes, growth.freed_bytes) == (0, 30)
    assert [level for _, level in growth.levels] == [0, 0, 0]


def test_a_stack_that_was_not_recorded_has_no_frames() -> None:
    growth = growth_by_stack([TraceStep("alloc", 1, 10), TraceStep("alloc", 2, 20, stack=99)], STACKS, {})
    (share,) = growth.shares
    assert (share.frames, share.bytes) == ((), 30)
    assert (growth.recent_bytes, growth.seconds, growth.levels) == (0, None, ())


def test_the_own_frame_is_the_innermost_outside_of_libraries() -> None:
    frames = ("/x/site-packages/torch/nn/linear.py:3 forward", "/x/train.py:8 step", "/x/train.py:9 main")
    assert own_frame(frames) == "/x/train.py:8 step"
    assert own_frame(frames[:1]) == frames[0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["alloc", "free_requested", "free_completed", "segment_alloc"]),
            st.integers(0, 8),
            st.integers(1, 1000),
            st.none() | st.integers(-1, 3),
        ),
        max_size=60,
    )
)
def test_shares_sum_to_what_lives(steps: list[tuple[str, int, int, int | None]]) -> None:
    trace = [
        TraceStep(action, address, size, 0, place, stack) for place, (action, address, size, stack) in enumerate(steps)
    ]
    growth = growth_by_stack(trace, STACKS, {})
    assert sum(share.bytes for share in growth.shares) == growth.live_bytes
    assert list(growth.shares) == sorted(growth.shares, key=lambda share: -share.bytes)
    assert len(growth.levels) <= LEVELS_MAX + 1


def test_without_a_trace_the_stacks_of_the_instant_count() -> None:
    rest = Stack(pid=1, gpu=0, frames=(), type="other", allocated_bytes=70)
    step = Stack(pid=1, gpu=0, frames=STACKS[0], type="other", subtype="gradient", allocated_bytes=30, blocks=2)
    growth = live_by_stack([step, rest])
    assert growth is not None
    assert [(share.bytes, share.blocks, share.uses) for share in growth.shares] == [
        (70, "", {}),
        (30, " in 2 blocks", {"gradients": 30}),
    ]
    assert (growth.live_bytes, growth.steps) == (100, 0)
    assert live_by_stack([]) is None


@pytest.mark.parametrize(
    ("uses", "told"),
    [
        ({"activations": 3 << 20}, "activations"),
        ({}, ""),
        ({"optimizer state": 1 << 20}, "2.0 MiB unknown, 1.0 MiB optimizer state"),
        ({"gradients": 1 << 20, "activations": 2 << 20}, "2.0 MiB activations, 1.0 MiB gradients"),
    ],
)
def test_what_a_stack_is_for_never_names_a_part_as_the_whole(uses: dict[str, int], told: str) -> None:
    share = StackShare(frames=(), bytes=3 << 20, count=1, uses=uses, first_at=None, last_at=None)
    assert (share.what_for, share.blocks) == (told, " in 1 block")
