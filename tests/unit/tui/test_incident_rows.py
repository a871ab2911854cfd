"""Events as rows."""

from typing import Any

from blackbox.model.event import Crossing
from blackbox.model.query import NumberedEvent
from blackbox.tui.incident_rows import folded, headline_of, word_of


def event(id_: int, kind: Any, **fields: Any) -> NumberedEvent:
    return NumberedEvent(
        id=id_, kind=kind, timestamp=1000.0 + id_, message=fields.pop("message", "it happened"), **fields
    )


def test_repeats_in_one_place_are_one_row_told_by_the_newest() -> None:
    rows = folded(
        [
            event(1, "xid", code=63, gpu_uuid="a"),
            event(2, "xid", code=63, gpu_uuid="b"),
            event(3, "xid", code=63, gpu_uuid="a"),
        ]
    )
    assert [(row.event.id, row.times) for row in rows] == [(3, (1003.0, 1001.0)), (2, (1002.0,))]


def test_quiet_ones_are_told_where_they_are_asked_for() -> None:
    fall = event(2, "threshold", threshold=Crossing(threshold_percent=95, used_percent=80, above=False))
    events = [event(1, "process_start"), fall, event(3, "oom")]
    assert [row.event.id for row in folded(events)] == [3]
    assert [row.event.id for row in folded(events, quiet=True)] == [3, 2, 1]


def test_words() -> None:
    rise = event(1, "threshold", threshold=Crossing(threshold_percent=95, used_percent=96, above=True))
    assert word_of(rise) == "95 %"
    assert word_of(event(2, "xid", code=63)) == "Xid 63"
    assert word_of(event(3, "crash")) == "crash"
    assert headline_of(event(4, "ecc", message="row remapped"), ()) == "Row remapped"
