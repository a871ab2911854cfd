"""So much at once, then so much per second; what was overdrawn is waited for."""

from blackbox.sources.agents.meter import Meter


def test_a_burst_is_free_and_what_goes_beyond_is_waited_for() -> None:
    meter = Meter(per_second=100, burst=1000, now=0.0)
    meter.take(1000, 0.0)
    assert meter.due_in(0.0) == 0
    meter.take(50, 0.0)
    assert meter.due_in(0.0) == 0.5
    assert meter.due_in(0.25) == 0.25
    assert meter.due_in(0.5) == 0


def test_it_fills_up_to_the_burst_and_no_further() -> None:
    meter = Meter(per_second=100, burst=1000, now=0.0)
    meter.take(0, 1_000_000.0)
    meter.take(1100, 1_000_000.0)
    assert meter.due_in(1_000_000.0) == 1
