"""How many different things were told, from bits of their hashes."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.storage.chunk_writer import BLOCK_SUBJECTS_MAX, DistinctCount


@given(st.lists(st.lists(st.integers(0, 50))))
def test_things_told_again_count_once(told: list[list[int]]) -> None:
    counted, seen = DistinctCount(), set[int]()
    for things in told:
        seen.update(things)
        assert counted.count(things) == len(seen), "small numbers are their own hashes"


def test_of_a_churning_hour_few_are_missed() -> None:
    counted = DistinctCount()
    for row in range(10):
        counted.count(f"process {number}" for number in range(row * 400, (row + 2) * 400))
    assert 0.97 * 4400 <= counted.count(()) <= 4400
    assert BLOCK_SUBJECTS_MAX < 4400, "as many as matter"
