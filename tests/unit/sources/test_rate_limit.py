from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.rate_limit import Allowance


@given(
    burst=st.integers(1, 20),
    seconds=st.floats(0.1, 10),
    waits=st.lists(st.floats(0, 30), max_size=100),
)
def test_never_more_than_the_burst_and_one_per_period(burst: int, seconds: float, waits: list[float]) -> None:
    now = 100.0
    allowance = Allowance(lambda: now, burst, seconds)
    taken = 0
    for wait in waits:
        now += wait
        taken += allowance.take()
        assert taken <= burst + (now - 100.0) / seconds + 1e-6


def test_a_used_up_allowance_comes_back_one_by_one() -> None:
    now = 0.0
    allowance = Allowance(lambda: now, 2, 5.0)
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now = 5.0
    assert [allowance.take() for _ in range(2)] == [True, False]
    now = 1000.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]
