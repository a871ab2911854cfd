"""Questions over a recording: as of then, all of a range, what happened."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import merge
from blackbox.model.event_list import light
from blackbox.model.text import rfc3339, rfc3339_seconds
from blackbox.model.view import UnknownGpuError
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.directory import chunk_files
from tests.moments import TRAINER, moment
from tests.recorded_moments import HOUR, MINUTE, event, moment_at, record, series
from tests.unit.model.test_event_list import oom

START = 1_799_996_400.0
"""The start of an hour."""


def test_nothing_recorded_is_no_answer(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "not there")
    assert recording.at(START) is None
    assert recording.span() is None
    assert recording.events() == []
    assert list(recording.moments(0, 1e12)) == []


def test_the_snapshot_as_of_then_has_its_own_seq_and_time(tmp_path: Path) -> None:
    moments = list(series(START, MINUTE, blocks=True))
    record(tmp_path, *moments)
    found = Recording(tmp_path).at(START + 30.2)
    assert found == merge(moments[60])
    assert found is not None
    assert (found.seq, found.timestamp) == (61, "2027-01-15T07:00:30.000Z")


@pytest.mark.parametrize("fraction", [0.0, 0.0004, 0.1239, 0.50099, 0.9989])
def test_a_snapshot_is_found_by_the_time_that_it_tells(tmp_path: Path, fraction: float) -> None:
    moments = list(series(START + fraction, 10))
    record(tmp_path, *moments)
    recording = Recording(tmp_path)
    for one in moments:
        told = merge(one)
        assert recording.at(rfc3339_seconds(told.timestamp)) == told
        assert recording.moment_at(one.timestamp) == one
    span = recording.span()
    assert span is not None
    assert recording.moment_at(rfc3339_seconds(rfc3339(span[0]))) == moments[0], "as an answer says it begins"
    assert recording.moment_at(span[0] - 0.001) is None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 300), min_size=1, max_size=6))
def test_a_long_window_is_that_of_some_time_in_the_same_step(later: list[float]) -> None:
    with TemporaryDirectory() as folder:
        moments = list(series(START, 10 * MINUTE, interval=5.0))
        record(Path(folder), *moments)
        recording, seconds, points = Recording(Path(folder)), 600.0, 60
        for now in (START + 300 + after for after in later):
            found = recording.history_lately(seconds, now, metric="used_bytes", points=points)
            assert found.to // 10 == now // 10
            assert found == recording.history(found.to - seconds, found.to, metric="used_bytes", points=points)


def test_before_the_first_and_in_a_gap_there_is_nothing(tmp_path: Path) -> None:
    first, second = list(series(START, 10)), list(series(START + 20, 10, first_seq=100))
    record(tmp_path, *first, *second)
    recording = Recording(tmp_path)
    assert recording.moment_at(START - 0.1) is None
    assert recording.moment_at(START + 10.5) == first[-1], "as fresh as the live answer would have passed for"
    assert recording.moment_at(START + 15) is None
    assert recording.moment_at(START + 20) == second[0]
    assert recording.moment_at(START + 60) is None


def test_where_it_is_thinned_the_last_moment_of_the_minute_stands_for_it(tmp_path: Path) -> None:
    moments = list(series(START, 1.5 * HOUR, interval=20.0))
    record(tmp_path, *moments)
    recording = Recording(tmp_path)
    assert recording.moment_at(START + 5 * MINUTE + 30) == moments[14]
    assert recording.moment_at(START + 5 * MINUTE + 30).timestamp == START + 4 * MINUTE + 40  # pyright: ignore
    late = START + 1.5 * HOUR - 10
    assert recording.moment_at(late) is None, "at full rate, the last moment was too old by then"


def test_who_asks_sees_then_what_he_would_have_seen_live(tmp_path: Path) -> None:
    whole = moment(timestamp=START)
    record(tmp_path, whole)
    recording = Recording(tmp_path)
    assert recording.at(START, viewer_uid=4321) == merge(whole, viewer_uid=4321)
    assert recording.at(START, gpu="1") == merge(whole, gpu="1")
    assert any(row.pid == TRAINER and row.allocated_bytes for row in recording.at(START).processes)  # pyright: ignore
    with pytest.raises(UnknownGpuError):
        recording.at(START, gpu="7")


def test_all_of_a_range_comes_in_order_from_coarse_to_fine(tmp_path: Path) -> None:
    moments = list(series(START, 2 * HOUR, interval=30.0))
    record(tmp_path, *moments)
    found = list(Recording(tmp_path).moments(START, START + 2 * HOUR))
    times = [one.timestamp for one in found]
    assert times == sorted(set(times))
    full_from = chunk_files(tmp_path, "full")[0].start
    assert [one for one in found if one.timestamp >= full_from] == [
        one for one in moments if one.timestamp >= full_from
    ]
    assert len([time for time in times if time < full_from]) == round((full_from - START) / MINUTE)


def test_a_range_ends_where_it_is_told(tmp_path: Path) -> None:
    moments = list(series(START, MINUTE))
    record(tmp_path, *moments)
    assert list(Recording(tmp_path).moments(START + 10, START + 20)) == moments[20:41]


def test_it_claims_no_time_before_its_first_moment(tmp_path: Path) -> None:
    first = START + 37.25
    record(tmp_path, *series(first, 5 * MINUTE))
    assert {tier.first() for tier in Recording(tmp_path)._tiers} > {first}, "roll-ups begin with their minute"
    assert Recording(tmp_path).span() == (first, first + 5 * MINUTE - 0.5)


def test_events_for_lists_are_light(tmp_path: Path) -> None:
    refusal = structs.replace(event("oom", START), oom=oom())
    record(tmp_path, moment_at(START, 1, events=(refusal,)))
    (found,) = Recording(tmp_path).events(light=True)
    assert found.event == light(refusal)
    assert found.event != refusal


def test_events_of_moments_are_recorded_too(tmp_path: Path) -> None:
    happened = event("oom", START + 1)
    record(tmp_path, moment_at(START, 1), moment_at(START + 1, 2, events=(happened,)))
    recording = Recording(tmp_path)
    assert [one.event for one in recording.events(kind="oom")] == [happened]
    assert recording.events(kind=["xid", "ecc"]) == []
    assert recording.events(since=START + 2) == []
    assert recording.events_after(recording.events()[0].id) == []


def test_a_copied_directory_answers_the_same(tmp_path: Path) -> None:
    import shutil

    moments = list(series(START, 2 * MINUTE))
    record(tmp_path / "live", *moments)
    shutil.copytree(tmp_path / "live", tmp_path / "copy")
    assert list(Recording(tmp_path / "copy").moments(0, 1e12)) == moments
    assert Recording(tmp_path / "copy").span() == (START, moments[-1].timestamp)


@pytest.mark.fault(23)
def test_row_23_a_ruined_chunk_costs_its_own_time_and_is_told(tmp_path: Path) -> None:
    moments = list(series(START, 30 * MINUTE, interval=5.0))
    record(tmp_path, *moments)
    ruined = chunk_files(tmp_path, "full")[1]
    ruined.path.write_bytes(b"\0" * 5000)
    recording = Recording(tmp_path)
    assert list(recording.moments(START, START + HOUR)) == [
        one for one in moments if not START + 600 <= one.timestamp < START + 1200
    ]
    assert recording.damaged > 0
