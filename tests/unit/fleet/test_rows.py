"""Rows out of minutes and events: pure, bounded, and without what is not to leave the machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from blackbox.fleet import rows as rows_module
from blackbox.fleet.batch import make_batch
from blackbox.fleet.minutes import ClosedMinute
from blackbox.fleet.rows import (
    MEAN_BYTES,
    Origin,
    clean,
    distinct,
    event_rows,
    exact_time,
    gap_row,
    minute_rows,
    whole_time,
)
from blackbox.fleet.schema import EVENT, PROCESS, SHIPPED
from blackbox.model.event import Event, Growth, OutOfMemory
from blackbox.recorder import RecordedEvent
from blackbox.recorder.storage.subjects import Subject
from tests import moments
from tests.moments import GIB, SILENT, TIMESTAMP, TRAINER

START = TIMESTAMP // 60 * 60
ORIGIN = Origin("m1", "host", "team")


def minute(count: int = 2) -> ClosedMinute:
    """Processes of rising size, and their GPU."""
    processes = [moments.process(100 + place, used_bytes=(place + 1) * GIB) for place in range(count)]
    numbers = {
        Subject("process", gpu_uuid="GPU-0", pid=one.pid, start_time=one.start_time, gpu=0, name="python"): {
            "used_bytes": (1, 3 * MEAN_BYTES, one.used_bytes or 0)
        }
        for one in processes
    }
    numbers[Subject("gpu", gpu_uuid="GPU-0", gpu=0, name="Test")] = {"used_bytes": (5, 6.0, 7)}
    seen = moments.moment(moments.sample((moments.device(0),), processes))
    return ClosedMinute(START, numbers, seen)  # type: ignore[arg-type]


def test_what_nobody_measured_is_null_and_a_whole_number_stays_one() -> None:
    found = minute_rows([minute()], ORIGIN)
    row = found["process"][0]
    assert (row["used_bytes"], row["used_bytes_min"], row["used_bytes_mean"]) == (GIB, 1, 3 * MEAN_BYTES)
    assert row["reserved_bytes"] is None, "no allocator reports"
    assert row["allocated_bytes_max"] is None
    gpu = found["gpu"][0]
    assert isinstance(gpu["used_bytes_mean"], int)
    assert (gpu["processes"], gpu["omitted_processes"]) == (2, 0)


def test_a_damaged_moment_leaves_the_numbers_of_the_minute() -> None:
    whole = minute()
    (row, _) = minute_rows([ClosedMinute(START, whole.numbers, None)], ORIGIN)["process"]
    assert (row["moment"], row["present"], row["used_bytes"], row["used_bytes_max"]) == (None, False, None, GIB)
    assert row["name"] == "python"


def test_a_reused_pid_makes_two_lives() -> None:
    """One ends and another begins within a minute; the next minute has the second alone."""
    whole = minute(1)
    (first, of_first) = next(iter(whole.numbers.items()))
    second = replace(first, start_time=(first.start_time or 0.0) + 7)
    numbers = {first: of_first, second: {"used_bytes": (2, 2.0, 2)}}
    later = ClosedMinute(START + 60, {second: {"used_bytes": (3, 3.0, 3)}}, None)
    found = minute_rows([ClosedMinute(START, numbers, whole.moment), later], ORIGIN)  # type: ignore[arg-type]
    assert [row["present"] for row in found["process"]] == [True, False, False]
    lives = {life["start_ms"]: life for life in found["life"]}
    assert len(lives) == 2
    old, new = lives[found["process"][0]["start_ms"]], lives[found["process"][1]["start_ms"]]
    assert (old["first_seen"], old["last_seen"], old["peak_used_bytes"]) == (whole_time(START), whole_time(START), GIB)
    assert (new["last_seen"], new["peak_used_bytes"]) == (whole_time(START + 60), 3)


def test_of_too_many_processes_the_smallest_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "PROCESSES_MAX", 3)
    found = minute_rows([minute(5)], ORIGIN)
    assert sorted(row["pid"] for row in found["process"]) == [102, 103, 104]
    (gpu,) = found["gpu"]
    assert (gpu["omitted_processes"], gpu["omitted_used_bytes"]) == (2, 3 * GIB), "the ledger still adds up"


def test_the_same_minutes_are_the_same_bytes() -> None:
    one, other = (make_batch("b", minute_rows([minute()], ORIGIN)) for _ in range(2))
    assert [part.body for part in one.parts] == [part.body for part in other.parts]
    assert [part.token for part in one.parts] == [part.token for part in other.parts]


def test_other_bytes_have_another_token() -> None:
    """An engine throws rows away that come under a token it has seen."""
    one = make_batch("b", minute_rows([minute(1)], ORIGIN))
    other = make_batch("b", minute_rows([minute(2)], ORIGIN))
    assert one.digest != other.digest
    assert not {part.token for part in one.parts} & {part.token for part in other.parts}
    whole = one.parts[1]
    assert whole.slice(0, 1).token != whole.token


def test_users_are_hashed_alike_on_every_machine_of_a_tenant() -> None:
    here, there = Origin("m1", "a", "t"), Origin("m2", "b", "t")
    assert here.user("alice") == there.user("alice") != here.user("bob")
    assert here.user("alice") != Origin("m1", "a", "other").user("alice")
    assert "alice" not in (here.user("alice") or "")
    assert Origin("m", "h", "t", "name").user("alice") == "alice"
    assert Origin("m", "h", "t", "none").user("alice") is None
    assert here.user(None) is None


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


def test_times_are_text_in_utc() -> None:
    assert whole_time(0) == "1970-01-01T00:00:00Z"
    assert exact_time(1_800_000_000.1239) == "2027-01-15T08:00:00.124Z"
    assert exact_time(0.9999) == "1970-01-01T00:00:01.000Z"


def test_a_gap_has_the_same_number_each_time() -> None:
    one, other = gap_row(ORIGIN, 1, 2, "r"), gap_row(ORIGIN, 1, 2, "r")
    assert one == other
    assert one["event_id"] != gap_row(ORIGIN, 1, 3, "r")["event_id"]


def test_text_without_a_form_in_utf_8_is_no_end_of_a_batch() -> None:
    assert clean("a\udcffb") == "a?b"


def test_rows_with_one_key_are_one() -> None:
    row = minute_rows([minute(1)], ORIGIN)["process"][0]
    assert distinct(PROCESS, [row, row, row | {"pid": 9}]) == 2


def test_no_row_has_a_null_where_none_belongs() -> None:
    """An engine stores it as 0 or as empty text, whatever it is told."""
    event = Event(kind="oom", timestamp=TIMESTAMP, message="", pid=1)
    found = minute_rows([minute(), ClosedMinute(START, minute().numbers, None)], ORIGIN)
    found |= event_rows([RecordedEvent(1, event)], ORIGIN, lambda _: None)
    found[EVENT.name].append(gap_row(ORIGIN, 1, 2, "r"))
    for table in SHIPPED:
        plain = [one.name for one in table.shipped if "Nullable" not in one.type and one.name != "batch"]
        for row in found.get(table.name, ()):
            assert [name for name in plain if row.get(name) is None] == [], table.name
    assert {table for table, rows in found.items() if rows} >= {"process", "gpu", "event"}


@given(st.lists(st.integers(0, 2**48), min_size=1, max_size=5))
def test_a_mean_is_near_and_never_beyond_the_least_and_the_most(values: list[int]) -> None:
    least, mean, most = min(values), sum(values) / len(values), max(values)
    numbers = {Subject("gpu", gpu_uuid="GPU-0", gpu=0): {"used_bytes": (least, mean, most)}}
    (row,) = minute_rows([ClosedMinute(START, numbers, None)], ORIGIN)["gpu"]  # type: ignore[arg-type]
    assert least == row["used_bytes_min"] <= row["used_bytes_mean"] <= row["used_bytes_max"] == most
    assert abs(row["used_bytes_mean"] - mean) <= MEAN_BYTES / 2 + 1
