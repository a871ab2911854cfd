"""The demo's leak is told in time, life after life."""

import pytest

from tests.leaking_lives import LIVES, lives

TOLD_MIN = 9


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_the_slice_is_told_to_fill_from_90_seconds_before_in_nine_of_ten_lives(seed: int) -> None:
    assert sum(life.is_told for life in lives(seed)) >= TOLD_MIN, f"of {LIVES}"
