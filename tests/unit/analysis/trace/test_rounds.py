"""Rounds of work in a course of levels."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.trace.rounds import ROUNDS_MIN, rounds

amounts = st.integers(0, 1000)


def course(base: int, heights: list[int], kept: int) -> list[int]:
    levels = [base]
    for height in heights:
        levels += [levels[-1] + height, levels[-1] + height // 3, levels[-1] + kept]
    return levels


@given(amounts, st.lists(st.integers(60, 100), min_size=ROUNDS_MIN, max_size=40), st.integers(0, 15))
def test_each_round_begins_at_what_stays(base: int, heights: list[int], kept: int) -> None:
    levels = course(base, heights, kept)
    found = rounds(levels)
    assert [levels[place] for place in found] == [base + kept * number for number in range(len(heights))]


@given(st.lists(amounts, max_size=200))
def test_whatever_the_levels_what_stays_never_falls(levels: list[int]) -> None:
    found = rounds(levels)
    assert found == sorted(set(found))
    assert all(levels[a] <= levels[b] for a, b in pairwise(found))
    assert all(min(levels[place:]) == levels[place] for place in found)


def test_what_keeps_much_of_what_it_works_with_has_no_rounds() -> None:
    assert rounds(course(0, [100] * 20, 20))
    assert not rounds(course(0, [100] * 20, 30))
    assert not rounds(course(0, [100] * (ROUNDS_MIN - 1), 0))
    assert not rounds([5] * 100)
