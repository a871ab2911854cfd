"""Arithmetic on planes, against the same number by number."""

from array import array

from hypothesis import example, given
from hypothesis import strategies as st

from blackbox.model.block_table import planes
from blackbox.model.plane_sums import NUMBER_BYTES, less_where_told

LIMIT = 2**56
UNTOLD = 2**64 - 1
numbers = st.integers(0, UNTOLD)
pairs = st.lists(st.tuples(numbers, numbers), max_size=20)
small_pairs = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=20)
told_or_not = st.lists(
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**40))
    .map(sorted)
    .map(lambda pair: (pair[1], pair[0]))
    .flatmap(lambda pair: st.tuples(st.just(pair[0]), st.sampled_from((pair[0], pair[1], UNTOLD)))),
    max_size=20,
)


@given(pairs | small_pairs | told_or_not)
@example([(2**16, 1)])  # borrowed twice
@example([(0, 2**63)])  # neither told nor untold
@example([(0, UNTOLD - 1)])
@example([(LIMIT, 0)])
@example([(LIMIT - 1, LIMIT)])
def test_differences_are_those_of_each_number_and_0_where_nothing_is_told(rows: list[tuple[int, int]]) -> None:
    stored = array("Q", [other for _, other in rows]).tobytes()
    others = [stored[place::NUMBER_BYTES] for place in range(NUMBER_BYTES)]
    found = less_where_told(planes(array("Q", [one for one, _ in rows]).tobytes(), NUMBER_BYTES), others)
    if any(one >= LIMIT or other not in (UNTOLD, min(one, other)) for one, other in rows):
        assert found is None
        return
    expected = array("Q", [0 if other == UNTOLD else one - other for one, other in rows])
    assert found == planes(expected.tobytes(), NUMBER_BYTES)
