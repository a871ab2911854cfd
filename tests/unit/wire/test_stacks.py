"""Live memory by stack, out of PyTorch's list."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from blackbox.wire.stacks import FRAMES_MAX, STACKS_CHARS_MAX, STACKS_MAX, OwnedBlocks, owner_stacks

FRAMES = [{"filename": f"file{number}.py", "line": number, "name": "f"} for number in range(4)]
SIZE = 512


def segment(*blocks: tuple[str, list[dict[str, object]]], device: int = 0, address: int = 1 << 20) -> dict[str, object]:
    rows = [{"size": SIZE, "state": state, "frames": frames} for state, frames in blocks]
    return {"device": device, "address": address, "blocks": rows}


def test_blocks_of_one_stack_are_one_row_whichever_objects_tell_it() -> None:
    alike = [[FRAMES[0], FRAMES[1]], [FRAMES[0], FRAMES[1]], [dict(FRAMES[0]), dict(FRAMES[1])]]
    (stack,) = owner_stacks([segment(*(("active_allocated", frames) for frames in alike))], {})[0].stacks
    assert stack.frames == ("file0.py:0 f", "file1.py:1 f")
    assert (stack.allocated_bytes, stack.blocks) == (3 * SIZE, 3)


def test_what_the_memory_is_for_tells_rows_apart() -> None:
    first, blocks = 1 << 20, [("active_allocated", [FRAMES[0]])] * 2
    stacks = owner_stacks([segment(*blocks)], {0: {first: (1, None), first + SIZE: (0, "gradient")}})[0]
    assert sorted((stack.type, stack.subtype) for stack in stacks.stacks) == [(0, "gradient"), (1, None)]
    assert [stacks.stacks[stacks.place_at[at]].type for at in (first, first + SIZE)] == [1, 0]


def test_free_blocks_and_those_of_unknown_stack_are_left_out() -> None:
    blocks = [("inactive", [FRAMES[0]]), ("active_allocated", []), ("active_pending_free", [FRAMES[0]])]
    rests: list[None] = []
    assert owner_stacks([segment(*blocks)] * 3, {}, lambda: rests.append(None)) == {}
    assert len(rests) == 3, "whoever shares the interpreter rests after each segment"


def test_frames_of_c_are_left_out_where_there_is_python() -> None:
    c = {"filename": "??", "line": 0, "name": "at::empty"}
    (mixed,) = owner_stacks([segment(("active_allocated", [c, FRAMES[2]]))], {})[0].stacks
    (bare,) = owner_stacks([segment(("active_allocated", [c]))], {})[0].stacks
    assert (mixed.frames, bare.frames) == (("file2.py:2 f",), ("at::empty",)), "nobody knows its file"


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), min_size=1, max_size=300))
def test_the_largest_are_told_within_every_limit(allocations: list[tuple[int, int]]) -> None:
    blocks = [
        (
            "active_allocated",
            [{"filename": f"{'x' * number}.py", "line": depth, "name": str(line)} for line in range(depth)],
        )
        for number, depth in allocations
    ]
    stacks, place_at = owner_stacks([segment(*blocks)], {}).get(0, OwnedBlocks((), {}))
    assert Counter(place_at.values()) == {place: stack.blocks for place, stack in enumerate(stacks)}
    assert len(stacks) <= STACKS_MAX
    assert all(len(stack.frames) <= FRAMES_MAX for stack in stacks)
    assert sum(len(frame) for stack in stacks for frame in stack.frames) <= STACKS_CHARS_MAX
    assert sum(stack.allocated_bytes for stack in stacks) <= SIZE * len(blocks)
    assert [stack.allocated_bytes for stack in stacks] == sorted((s.allocated_bytes for s in stacks), reverse=True)
