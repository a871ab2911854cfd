"""Half a minute of the long run: all that it does works, and descriptors and threads come back."""

import pytest

from benchmarks.soak import Reading, rows, slope, soak
from tests.fake_nvml import compiler

SECONDS = 30.0
"""Too short for the slope of memory to say anything; `./run soak` is for that."""


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C compiler for the fake driver")
def test_half_a_minute_of_churn_leaves_no_descriptor_and_no_thread_behind() -> None:
    found = soak(SECONDS)
    assert found.is_flat, (found.before, found.after)
    assert set(found.done) >= {"processes", "gets", "agents", "streams"}, (found.done, found.failed)
    assert [row.met for row in rows(found)[1:]] == [True, True]


def test_the_slope_is_that_of_the_line_through_the_readings() -> None:
    growing = [Reading(float(second), (50 << 20) + second * 1024, 10, 5) for second in range(60)]
    assert slope(growing) == pytest.approx(3600 / 1024)
    assert slope(growing[:1]) == 0.0
