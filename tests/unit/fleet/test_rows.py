"""Rows out of minutes and events: pure, bounded, and without what is not to leave the machine."""

import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from blackbox.fleet import rows as rows_module
from blackbox.fleet.batch import make_batch
from blackbox.fleet.events import event_rows, gap_row
from blackbox.fleet.minutes import ClosedMinute
from blackbox.fleet.rows import (
    MEAN_BYTES,
    Origin,
    Rows,
    clean,
    distinct,
    exact_time,
    minute_rows,
    whole_time,
)
from blackbox.fleet.schema import EVENT, PROCESS, SHIPPED
from blackbox.model.event import Event
from blackbox.recorder import RecordedEvent
from blackbox.recorder.storage.subjects import Subject
from tests import moments
from tests.fleet_proof import together
from tests.moments import GIB, TIMESTAMP

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


def all_rows(*minutes: ClosedMinute) -> Rows:
    return together(minute_rows(minutes, ORIGIN))


@pytest.mark.edge(2)
def test_what_nobody_measured_is_null_and_a_whole_number_stays_one() -> None:
    found = all_rows(minute())
    row = found["process"][0]
    assert (row["used_bytes"], row["used_bytes_min"], row["used_bytes_mean"]) == (GIB, 1, 3 * MEAN_BYTES)
    assert row["reserved_bytes"] is None, "no allocator reports"
    assert row["allocated_bytes_max"] is None
    gpu = found["gpu"][0]
    assert isinstance(gpu["used_bytes_mean"], int)
    assert (gpu["processes"], gpu["omitted_processes"]) == (2, 0)


def test_a_damaged_moment_leaves_the_numbers_of_the_minute() -> None:
    whole = minute()
    (row, _) = all_rows(ClosedMinute(START, whole.numbers, None))["process"]
    assert (row["moment"], row["present"], row["used_bytes"], row["used_bytes_max"]) == (None, False, None, GIB)
    assert row["name"] == "python"


def test_a_reused_pid_makes_two_lives() -> None:
    """One ends and another begins within a minute; the next minute has the second alone."""
    whole = minute(1)
    (first, of_first) = next(iter(whole.numbers.items()))
    second = replace(first, start_time=(first.start_time or 0.0) + 7)
    numbers = {first: of_first, second: {"used_bytes": (2, 2.0, 2)}}
    later = ClosedMinute(START + 60, {second: {"used_bytes": (3, 3.0, 3)}}, None)
    found = all_rows(ClosedMinute(START, numbers, whole.moment), later)  # type: ignore[arg-type]
    assert [row["present"] for row in found["process"]] == [True, False, False]
    lives = {life["start_ms"]: life for life in found["life"]}
    assert len(lives) == 2
    old, new = lives[found["process"][0]["start_ms"]], lives[found["process"][1]["start_ms"]]
    assert (old["first_seen"], old["last_seen"], old["peak_used_bytes"]) == (whole_time(START), whole_time(START), GIB)
    assert (new["last_seen"], new["peak_used_bytes"]) == (whole_time(START + 60), 3)


def test_of_too_many_processes_the_smallest_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "PROCESSES_MAX", 3)
    found = all_rows(minute(5))
    assert sorted(row["pid"] for row in found["process"]) == [102, 103, 104]
    (gpu,) = found["gpu"]
    assert (gpu["omitted_processes"], gpu["omitted_used_bytes"]) == (2, 3 * GIB), "the ledger still adds up"


def test_the_same_minutes_are_the_same_bytes() -> None:
    one, other = (make_batch("b", minute_rows([minute()], ORIGIN)) for _ in range(2))
    assert [list(part.pieces) for part in one.parts] == [list(part.pieces) for part in other.parts]
    assert [part.token for part in one.parts] == [part.token for part in other.parts]


def test_other_bytes_have_another_token() -> None:
    """An engine throws rows away that come under a token it has seen."""
    one = make_batch("b", minute_rows([minute(1)], ORIGIN))
    other = make_batch("b", minute_rows([minute(2)], ORIGIN))
    assert one.digest != other.digest
    assert not {part.token for part in one.parts} & {part.token for part in other.parts}
    whole = one.parts[1]
    assert whole.slice(0, 1).token != whole.token


def test_a_batch_is_made_with_one_minute_in_memory_at_a_time() -> None:
    made: list[weakref.ref[ClosedMinute]] = []

    def minutes() -> Iterator[ClosedMinute]:
        for number in range(4):
            assert [one for one in made if one() is not None] == []
            one = WatchedMinute(START + 60 * number, minute().numbers, minute().moment)
            made.append(weakref.ref(one))
            yield one
            del one

    batch = make_batch("b", minute_rows(minutes(), ORIGIN))
    assert {part.table.name: part.rows for part in batch.parts} == {"life": 2, "process": 8, "gpu": 4}
    assert batch.parts[0].table.name == "life", "first: once the rest is there, they are"


class WatchedMinute(ClosedMinute, weakref=True):
    pass


def test_a_slice_of_a_part_has_its_rows_and_no_others() -> None:
    later = ClosedMinute(START + 60, minute().numbers, None)
    (part,) = (one for one in make_batch("b", minute_rows([minute(), later], ORIGIN)).parts if one.table is PROCESS)
    lines = b"".join(part.pieces).splitlines(keepends=True)
    assert (part.rows, part.expected, len(lines)) == (4, 4, 4)
    assert (part.since, part.until) == (whole_time(START), whole_time(START + 60))
    assert all(line.endswith(b",%d]\n" % part.digest) for line in lines)
    one = part.slice(1, 3)
    assert (b"".join(one.pieces), one.rows, one.expected) == (b"".join(lines[1:3]), 2, 2)


def test_users_are_hashed_alike_on_every_machine_of_a_tenant() -> None:
    here, there = Origin("m1", "a", "t"), Origin("m2", "b", "t")
    assert here.user("alice") == there.user("alice") != here.user("bob")
    assert here.user("alice") != Origin("m1", "a", "other").user("alice")
    assert "alice" not in (here.user("alice") or "")
    assert Origin("m", "h", "t", "name").user("alice") == "alice"
    assert Origin("m", "h", "t", "none").user("alice") is None
    assert here.user(None) is None


def test_times_are_text_in_utc() -> None:
    assert whole_time(0) == "1970-01-01T00:00:00Z"
    assert exact_time(1_800_000_000.1239) == "2027-01-15T08:00:00.124Z"
    assert exact_time(0.9999) == "1970-01-01T00:00:01.000Z"


def test_text_without_a_form_in_utf_8_is_no_end_of_a_batch() -> None:
    assert clean("a\udcffb") == "a?b"


def test_rows_with_one_key_are_one() -> None:
    row = all_rows(minute(1))["process"][0]
    assert distinct(PROCESS, [row, row, row | {"pid": 9}]) == 2


@pytest.mark.edge(2)
def test_no_row_has_a_null_where_none_belongs() -> None:
    """An engine stores it as 0 or as empty text, whatever it is told."""
    event = Event(kind="oom", timestamp=TIMESTAMP, message="", pid=1)
    found = all_rows(minute(), ClosedMinute(START, minute().numbers, None))
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
    (row,) = all_rows(ClosedMinute(START, numbers, None))["gpu"]  # type: ignore[arg-type]
    assert least == row["used_bytes_min"] <= row["used_bytes_mean"] <= row["used_bytes_max"] == most
    assert abs(row["used_bytes_mean"] - mean) <= MEAN_BYTES / 2 + 1
