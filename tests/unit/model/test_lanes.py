"""Arithmetic on whole arrays, against the same number by number."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.lanes import Lanes, marks

TOP = 2**63
pairs = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=20)
small_pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20)


def column(numbers: list[int]) -> Lanes:
    return Lanes.of(array("Q", numbers))


def numbers_of(lanes: Lanes | None) -> list[int] | None:
    return None if lanes is None else list(array("Q", lanes.tobytes()))


@given(pairs | small_pairs, st.booleans(), st.integers(0, 3))
def test_distances_count_from_the_end_of_the_number_before(rows: list[tuple[int, int]], grow: bool, below: int) -> None:
    sizes = [size % 2**40 if grow else size for _, size in rows]
    starts: list[int] = []
    for (start, _), size in zip(rows, sizes, strict=True):
        starts.append(starts[-1] + size + start % 3 if grow and starts else start % TOP if grow else start)
    end = max(0, starts[0] - below) if starts else below
    ends = [end, *(start + size for start, size in zip(starts, sizes, strict=True))]
    found = [start - end for start, end in zip(starts, ends, strict=False)]
    possible = all(number < TOP for number in (*starts, *sizes, end)) and min(found, default=0) >= 0
    if max(ends[:-1], default=0) >= TOP:
        possible = False  # an end beyond 2**63 is refused, too
    assert numbers_of(column(starts).distances(column(sizes), end)) == (found if possible else None)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 70_000), max_size=20))
def test_planes_are_the_bytes_of_the_numbers(numbers: list[int]) -> None:
    planes = column(numbers).planes()
    assert [
        sum(plane[row] << 8 * place for place, plane in enumerate(planes)) for row in range(len(numbers))
    ] == numbers
    assert not planes or any(planes[-1])


@given(pairs | small_pairs, st.sampled_from((1, 2, 512)))
def test_multiples_are_found(rows: list[tuple[int, int]], power: int) -> None:
    numbers = [(one * power + other % 2) % 2**64 for one, other in rows]
    assert column(numbers).are_multiples_of(power) == all(one % power == 0 for one in numbers)


@given(pairs | small_pairs, st.booleans())
def test_order_is_that_of_each_number_and_the_end_of_the_one_before(rows: list[tuple[int, int]], grow: bool) -> None:
    starts: list[int] = []
    sizes = [size % 2**40 if grow else size for _, size in rows]
    for (start, _), size in zip(rows, sizes, strict=True):
        starts.append(starts[-1] + size + start % 3 - start % 5 // 4 if grow and starts else start % TOP)
    starts = [max(0, start) for start in starts]
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    in_order = all(following >= end for following, end in zip(starts[1:], ends, strict=False))
    assert column(starts).lie_in_order(column(sizes)) == (in_order and all(sizes) and max(ends, default=0) < TOP)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.sampled_from((1, 32, 256)))
def test_a_mark_is_of_its_number_alone(numbers: list[int], one_of: int) -> None:
    found = marks(array("Q", numbers), one_of)
    assert list(found) == [marks(array("Q", [one]), one_of)[0] for one in numbers]
    assert max(found, default=0) < one_of


@pytest.mark.parametrize("distance", [512, 1536, 4096, 16 << 10, 2 << 20, 20 << 20])
def test_addresses_have_marks_now_and_then_however_far_apart_they_are(distance: int) -> None:
    found = marks(array("Q", [(1 << 46) + place * distance for place in range(4096)]), 32)
    assert 4096 / 32 / 3 < found.count(0) < 4096 / 32 * 3
