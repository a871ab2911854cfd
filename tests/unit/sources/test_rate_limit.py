import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.rate_limit import TokenBucket


@given(
    capacity=st.integers(1, 20),
    seconds=st.floats(0.1, 10),
    waits=st.lists(st.floats(0, 30), max_size=100),
)
def test_never_more_than_the_capacity_and_one_per_period(capacity: int, seconds: float, waits: list[float]) -> None:
    now = 100.0
    bucket = TokenBucket(capacity, 1 / seconds, now)
    taken = 0
    for wait in waits:
        now += wait
        taken += bucket.take(now)
        assert taken <= capacity + (now - 100.0) / seconds + 1e-6


def test_an_empty_bucket_fills_one_by_one() -> None:
    bucket = TokenBucket(2, 0.2, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(5.0) for _ in range(2)] == [True, False]
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]


def test_what_is_overdrawn_is_waited_for() -> None:
    bucket = TokenBucket(1000, 100, 0.0)
    bucket.charge(1000, 0.0)
    assert bucket.due_in(0.0) == 0
    bucket.charge(50, 0.0)
    assert bucket.due_in(0.0) == 0.5
    assert bucket.due_in(0.25) == 0.25
    assert bucket.due_in(0.5) == 0


def test_it_fills_up_to_its_capacity_and_no_further() -> None:
    bucket = TokenBucket(1000, 100, 0.0)
    bucket.charge(0, 1_000_000.0)
    bucket.charge(1100, 1_000_000.0)
    assert bucket.due_in(1_000_000.0) == 1


@given(charges=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 500)), min_size=1, max_size=50))
def test_who_waits_until_due_never_gets_more_than_the_flow(charges: list[tuple[float, float]]) -> None:
    now, used = 0.0, 0.0
    bucket = TokenBucket(100, 10, now)
    for wait, amount in charges:
        now += wait + bucket.due_in(now + wait)
        assert bucket.due_in(now) == pytest.approx(0.0, abs=1e-6)
        assert used <= 100 + 10 * now + 1e-6
        bucket.charge(amount, now)
        used += amount
