"""Arithmetic on whole arrays, against the same number by number."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.lanes import Lanes

TOP = 2**63
pairs = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)), max_size=20)
small_pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20)


def column(numbers: list[int]) -> Lanes:
    return Lanes.of(array("Q", numbers))


def numbers_of(lanes: Lanes | None) -> list[int] | None:
    return None if lanes is None else list(array("Q", lanes.tobytes()))


@given(pairs | small_pairs)
def test_differences_are_those_of_each_number_or_none_at_all(rows: list[tuple[int, int]]) -> None:
    first, second = [one for one, _ in rows], [other for _, other in rows]
    possible = all(other <= one < TOP for one, other in rows)
    expected = [one - other for one, other in rows] if possible else None
    assert numbers_of(column(first).less(column(second))) == expected


@given(pairs | small_pairs, st.booleans())
def test_distances_count_from_the_end_of_the_number_before(rows: list[tuple[int, int]], grow: bool) -> None:
    sizes = [size % 2**40 if grow else size for _, size in rows]
    starts: list[int] = []
    for (start, _), size in zip(rows, sizes, strict=True):
        starts.append(starts[-1] + size + start % 3 if grow and starts else start % TOP if grow else start)
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    found = [0, *(start - end for start, end in zip(starts[1:], ends, strict=False))][: len(starts)]
    possible = all(number < TOP for number in (*starts, *sizes)) and min(found, default=0) >= 0
    if possible and max(ends[:-1], default=0) >= TOP:
        return  # an end beyond 2**63 may be refused
    assert numbers_of(column(starts).distances(column(sizes))) == (found if possible else None)


@given(pairs)
def test_zero_stands_where_the_other_is_large(rows: list[tuple[int, int]]) -> None:
    first, second = column([one for one, _ in rows]), column([other for _, other in rows])
    assert second.large == sum(other >= TOP for _, other in rows)
    assert numbers_of(first.zero_where_large(second)) == [0 if other >= TOP else one for one, other in rows]
