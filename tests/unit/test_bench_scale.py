"""The exponent that is fitted to costs, and the reports whose cost is measured."""

from random import Random

import pytest

from benchmarks.columns import lifelike
from benchmarks.scale import CHANGED_SHARE, changed, exponent, note


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_that_power(power: float) -> None:
    sizes = (1, 8, 16)
    assert exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_the_steepest_step_is_told_beside_the_costs() -> None:
    assert note((1, 10, 100), (100.0, 100.0, 10_000.0)) == "1: 100, 10: 100, 100: 10,000; the steepest step has 2.00"


def test_a_tenth_of_the_blocks_of_a_report_may_have_changed_and_nothing_but_their_state() -> None:
    before = lifelike(6400, Random(1))
    after = changed(before, Random(2))
    assert after._replace(state=before.state) == before
    differing = sum(one != other for one, other in zip(after.state, before.state, strict=True))
    assert 0 < differing <= 6400 * CHANGED_SHARE
