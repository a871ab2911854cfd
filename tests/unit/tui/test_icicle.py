"""Boxes of held memory: each below what it is in, as wide as what it holds, and nothing counted twice or lost."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.tui.icicle import REST, Box, Held, Placed, levels, tree, within

NAMES = st.lists(st.sampled_from(("a", "b", "c", "d")), min_size=1, max_size=5).map(tuple)
HELD = st.lists(st.builds(Held, NAMES, st.sampled_from(("weight", "kv_used")), st.integers(0, 1 << 40), st.none()))


def every(box: Box) -> list[Box]:
    return [box, *(one for inner in box.inner for one in every(inner))]


@given(HELD)
def test_a_box_holds_what_is_held_in_it(held: list[Held]) -> None:
    root = tree(held)
    assert root.bytes == sum(one.bytes for one in held)
    for box in every(root):
        depth = len(box.path)
        assert box.bytes == sum(one.bytes for one in held if one.names[:depth] == box.path)
        assert sum(inner.bytes for inner in box.inner) <= box.bytes
        assert [inner.bytes for inner in box.inner] == sorted((one.bytes for one in box.inner), reverse=True)
        assert all(inner.path[:depth] == box.path for inner in box.inner)


@given(HELD, st.integers(1, 160), st.integers(1, 8))
def test_boxes_lie_below_the_one_they_are_in_and_do_not_overlap(held: list[Held], width: int, most: int) -> None:
    above = [Placed(tree(held), 0, width)]
    drawn = list(levels(above[0].box, width, most))
    assert len(drawn) <= most
    for level in drawn:
        end = 0
        for placed in level:
            assert placed.cells >= 1
            assert placed.column >= end
            end = placed.column + placed.cells
            parent = next(one for one in above if one.box.path == placed.box.path[:-1])
            assert parent.column <= placed.column
            assert end <= parent.column + parent.cells
            if placed.box.path[-1] != REST:
                assert placed.cells * parent.box.bytes <= placed.box.bytes * parent.cells
        above = level


def test_what_is_too_narrow_is_one_box() -> None:
    held = [Held(("big",), "weight", 1000, None), *(Held((f"small {n}",), "weight", 3, None) for n in range(50))]
    ((big, rest),) = levels(tree(held), 20, 3)
    assert (big.box.path, rest.box.path) == (("big",), (REST,))
    assert rest.box.bytes == 150
    assert big.cells + rest.cells == 20


def test_what_is_gone_shows_the_box_above_it() -> None:
    root = tree([Held(("process", "outer", "inner"), "weight", 5, None)])
    assert within(root, ("process", "outer")).path == ("process", "outer")
    assert within(root, ("process", "gone", "inner")).path == ("process",)
    assert within(root, ("other",)) == root


def test_a_purpose_and_a_reason_are_told_where_they_are_one() -> None:
    root = tree(
        [Held(("p", "f"), "weight", 5, None), Held(("p", "g"), "kv_used", 5, None), Held(("q",), "x", 5, "why")]
    )
    assert root.purpose is None
    assert [box.purpose for box in root.inner] == [None, "x"]
    assert within(root, ("q",)).reason == "why"
