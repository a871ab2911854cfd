"""A source runs as soon as there is what it asks; what can never be is told once."""

import logging

import pytest

from blackbox.sampling.arrivals import LOOK_SECONDS, SourceArrivals
from blackbox.sources import SOURCES
from blackbox.sources.base import SourceSpec
from tests.clocks import ManualClock

answers: dict[str, str | None] = {}
"""Name of a source -> why it cannot run."""
asked: list[str] = []


def spec(name: str) -> SourceSpec:
    return SourceSpec(name, "nowhere:make", "thread", default=True, needs=f"{__name__}:why_not_{name}")


def why_not_kubelet(_options: object) -> str | None:
    asked.append("kubelet")
    return answers["kubelet"]


def why_not_other(_options: object) -> str | None:
    return answers["other"]


@pytest.fixture(autouse=True)
def nothing_is_there() -> None:
    answers.update(kubelet="", other="")
    asked.clear()


def test_what_is_not_there_is_looked_for_once_a_minute_and_made_once() -> None:
    clock = ManualClock()
    arrivals = SourceArrivals([spec("kubelet"), spec("other")], {}, lambda spec: spec.name, clock)
    assert arrivals() == []
    for _ in range(10):
        assert arrivals() == []
    assert asked == ["kubelet"]
    clock.advance(LOOK_SECONDS)
    answers["kubelet"] = None
    assert arrivals() == ["kubelet"]
    clock.advance(LOOK_SECONDS)
    answers["other"] = None
    assert arrivals() == ["other"]
    clock.advance(LOOK_SECONDS)
    assert arrivals() == []
    assert len(asked) == 2


def test_one_that_cannot_run_here_is_told_once_and_looked_for_no_longer(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    arrivals = SourceArrivals([spec("kubelet")], {}, lambda spec: spec.name, clock)
    assert arrivals() == []
    answers["kubelet"] = "this user may not open it"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.advance(LOOK_SECONDS)
            assert arrivals() == []
    assert [record.getMessage() for record in caplog.records] == ["kubelet: this user may not open it"]


def test_what_needs_nothing_is_there_at_once() -> None:
    free = [one for one in SOURCES if one.needs is None]
    assert free
    assert SourceArrivals(free, {}, lambda spec: spec.name)() == [one.name for one in free]
