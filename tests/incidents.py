"""Incidents to report on: minutes of the simulated machine, lived at once, up to the death of its leaking notebook."""

from functools import cache

from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.sources.simulated.source import SimulatedSource
from tests.clocks import ManualClock
from tests.moments import TIMESTAMP, status

INTERVAL = 0.5
SECONDS_MAX = 600


@cache
def leak() -> tuple[Moment, ...]:
    """From the first sample to a second after the out-of-memory."""
    clock = ManualClock()
    begun = clock.now
    source = SimulatedSource(clock, lambda: TIMESTAMP)
    moments: list[Moment] = []
    last = int(SECONDS_MAX / INTERVAL)
    for seq in range(1, last):
        sample = source.sample()
        moments.append(
            Moment(
                seq=seq,
                timestamp=TIMESTAMP + clock.now - begun,
                taken_at=clock.now,
                host="testhost",
                samples=(sample,),
                sources=(status(name="simulated"),),
            )
        )
        if len(moments) > 2 and any(event.kind == "oom" for event in moments[-3].samples[0].events):
            return tuple(moments)
        clock.advance(INTERVAL)
    raise AssertionError("the notebook did not run out of memory")


def events(moments: tuple[Moment, ...]) -> list[Event]:
    """All that the samples tell."""
    return [event for moment in moments for sample in moment.samples for event in sample.events]


def span(moments: tuple[Moment, ...]) -> tuple[float, float]:
    """First and last time."""
    return moments[0].timestamp, moments[-1].timestamp
