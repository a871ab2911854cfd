"""Events are counted by kind, from whoever tells of them."""

from typing import get_args

from blackbox.events.counts import EventCounts
from blackbox.model.event import Event, EventKind
from tests.moments import TIMESTAMP, device, moment, sample


def test_every_kind_counts_from_zero() -> None:
    assert EventCounts().by_kind() == dict.fromkeys(get_args(EventKind), 0)


def test_what_sources_report_and_what_is_noticed_count_together() -> None:
    counts = EventCounts()
    oom = Event(kind="oom", timestamp=TIMESTAMP, message="refused")
    counts.take(moment(sample((device(0),), events=(oom, oom))))
    counts.note(Event(kind="process_exit", timestamp=TIMESTAMP, message="ended"))
    counts.note(oom)
    assert {kind: count for kind, count in counts.by_kind().items() if count} == {"oom": 3, "process_exit": 1}
