"""The detector on the simulated machine: every death of its leaking program is told, and nothing else is blamed."""

from collections import Counter

import pytest

from blackbox.events import EventDetectors
from blackbox.model.event import Event
from blackbox.sources.simulated.source import SimulatedSource
from tests.clocks import ManualClock
from tests.moments import TIMESTAMP, moment

MINUTES = 15


@pytest.mark.slow
def test_a_quarter_of_an_hour_of_the_demo() -> None:
    clock = ManualClock()
    source = SimulatedSource(clock, lambda: TIMESTAMP + clock.now)
    detector = EventDetectors()
    counts: Counter[str] = Counter()
    told: list[Event] = []
    for seq in range(MINUTES * 60):
        clock.advance(1.0)
        sample = source.sample()
        found = detector.observe(moment(sample, seq=seq, taken_at=clock.now, timestamp=TIMESTAMP + clock.now))
        told += (*sample.events, *found)
    counts.update(event.kind for event in told)
    assert counts["oom"] == counts["process_exit"] >= 2
    assert counts["process_start"] in (counts["process_exit"], counts["process_exit"] - 1)
    assert counts.keys() <= {"oom", "process_exit", "process_start", "xid", "memory_growth"}
    warned: set[int | None] = set()
    for event in told:
        if event.kind == "memory_growth":
            warned.add(event.pid)
        elif event.kind == "oom":
            assert event.pid in warned, "every leak is told before it breaks"
    assert counts["memory_growth"] - counts["oom"] in (0, 1)
