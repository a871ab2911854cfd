"""Recordings made by the real recorder, as fast as it writes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blackbox.hub import BLOCKS_MAX, Published
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.recorder import Recorder
from tests.waiting import PATIENCE_SECONDS, until

CLOSE_SECONDS = PATIENCE_SECONDS


@contextmanager
def recorded(directory: Path, moments: Iterable[Moment], events: Iterable[Event] = ()) -> Iterator[Recorder]:
    """A recorder at work that has written all of these."""
    recorder = Recorder(directory)
    recorder.start()
    try:
        for number, moment in enumerate(moments, 1):
            recorder.take(Published(moment, BLOCKS_MAX))
            until(lambda: recorder.status().moments_total == number)  # noqa: B023 - called at once
        for number, event in enumerate(events, 1):
            recorder.note(event)
            until(lambda: recorder.status().events_total == number)  # noqa: B023
        yield recorder
    finally:
        recorder.close(CLOSE_SECONDS)
