"""Rows of events, without what is not to leave the machine."""

from blackbox.fleet.events import event_rows, gap_row
from blackbox.fleet.rows import Origin
from blackbox.model.event import Event, Growth, OutOfMemory
from blackbox.recorder import RecordedEvent
from tests import moments
from tests.moments import GIB, SILENT, TIMESTAMP, TRAINER

ORIGIN = Origin("m1", "host", "team")


def test_an_event_has_numbers_and_neither_message_nor_stack() -> None:
    oom = OutOfMemory(
        source="pytorch",
        requested_bytes=7,
        thread_id=1,
        device_total_bytes=9,
        device_free_bytes=None,
        allocator=moments.allocator(),
        trace=(),
        stacks=(("secret.py:1 secret",),),
    )
    growth = Growth(
        name="secret-name",
        start_time=1.0,
        used_bytes=5,
        rise_bytes=4,
        window_seconds=600,
        rate_bytes_per_second=1.0,
        rate_low_bytes_per_second=0.5,
        rate_high_bytes_per_second=2.0,
    )
    events = [
        Event(kind="oom", timestamp=TIMESTAMP, message="secret", gpu_uuid="GPU-0", pid=TRAINER, oom=oom),
        Event(kind="memory_growth", timestamp=TIMESTAMP, message="secret", pid=SILENT, growth=growth),
    ]
    seen = moments.moment()
    found = event_rows([RecordedEvent(n, event) for n, event in enumerate(events)], ORIGIN, lambda _: seen)
    first, second = found["event"]
    assert (first["requested_bytes"], first["device_free_bytes"], first["reserved_bytes"]) == (7, None, 4 * GIB)
    assert first["start_ms"] == round((TIMESTAMP - 3600) * 1000)
    assert first["name"] == "python"
    assert second["used_bytes"] == 5
    assert "rise_bytes" in second["detail"]
    assert "secret" not in repr(found)
    assert found["life"] == []


def test_an_event_of_a_process_that_nobody_lists() -> None:
    event = Event(kind="oom", timestamp=TIMESTAMP, message="", pid=1)
    (row,) = event_rows([RecordedEvent(1, event)], ORIGIN, lambda _: None)["event"]
    assert (row["start_ms"], row["name"], row["user"], row["used_bytes"]) == (None, None, None, None)


def test_a_gap_has_the_same_number_each_time() -> None:
    one, other = gap_row(ORIGIN, 1, 2, "r"), gap_row(ORIGIN, 1, 2, "r")
    assert one == other
    assert one["event_id"] != gap_row(ORIGIN, 1, 3, "r")["event_id"]
