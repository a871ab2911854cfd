"""A recording as rows, and files of them."""

import csv
import io
import json
import math
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from blackbox.errors import FailureError
from blackbox.merge import merge
from blackbox.outputs.files import EVENT_COLUMNS, FORMATS, SERIES_COLUMNS, event_rows, sample_rows, series_rows
from blackbox.recorder import Recording
from blackbox.recorder.storage.layout import Layout, SeriesKey, keys_of
from blackbox.recorder.storage.subjects import numbers_of
from tests import incidents
from tests.recorded_moments import HOUR, PID, record, series
from tests.recordings import recorded

START = 1_799_971_200.0
"""The start of a day."""
NAMES = [column.name for column in SERIES_COLUMNS]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    directory = tmp_path_factory.mktemp("recording")
    with recorded(directory, incidents.leak()[-20:]):
        pass
    return Recording(directory)


def describe(key: SeriesKey) -> tuple[object, ...]:
    subject = key.subject
    return (
        subject.gpu,
        subject.gpu_uuid,
        subject.pid,
        subject.start_time,
        subject.name,
        subject.engine,
        key.metric.key,
    )


def place_of(row: tuple[object, ...]) -> str:
    return repr(row[: NAMES.index("min")])


def everything(recording: Recording) -> list[dict[str, object]]:
    rows = series_rows(recording, 0, 1e11, lambda _: None)
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


def test_every_number_of_the_last_moment_before_the_failure_is_a_row(recording: Recording) -> None:
    snapshot = merge(incidents.leak()[-4])
    rows = everything(recording)
    for process in snapshot.processes:
        mine = [row for row in rows if (row["pid"], row["metric"]) == (process.pid, "used_bytes")]
        assert max(row["max"] for row in mine) >= process.used_bytes  # type: ignore[type-var,operator]
        assert {row["gpu_uuid"] for row in mine} == {process.gpu_uuid}
    assert [row for row in rows if row["gpu"] is None and row["pid"] is None and row["metric"] == "total_bytes"]


def test_least_mean_and_largest_are_in_order_and_nothing_is_made_up(recording: Recording) -> None:
    rows = everything(recording)
    assert rows
    assert all(row["min"] <= row["max"] for row in rows)  # type: ignore[operator]
    for row in rows:  # the mean is rounded
        assert row["min"] - 0.5 <= row["mean"] <= row["max"] + 0.5  # type: ignore[operator]
    first, last = incidents.span(incidents.leak()[-20:])
    assert all(first - 1 <= row["time"] <= last for row in rows)  # type: ignore[operator]


def test_at_the_full_rate_every_number_of_every_moment_comes_out_once(recording: Recording) -> None:
    expected = [
        (moment.timestamp, 0.0, *describe(key), value, value, value)
        for moment in incidents.leak()[-20:]
        for subjects, values, metrics in [numbers_of(moment)]
        for key, value in zip(Layout(subjects, keys_of(metrics)).keys, values, strict=True)
        if not math.isnan(value)
    ]
    first, last = incidents.span(incidents.leak()[-20:])
    rows = list(sample_rows(recording, 0, 1e11))
    assert len(set(expected)) == len(expected)
    assert sorted(rows, key=place_of) == sorted(expected, key=place_of)
    assert list(sample_rows(recording, first, last + 1e-6)) == rows, "the range has its start, and not its end"
    assert {row[0] for row in sample_rows(recording, first, last)} == {row[0] for row in rows} - {last}


def test_where_samples_are_gone_their_roll_ups_take_their_place_and_nothing_is_told_twice(tmp_path: Path) -> None:
    moments = list(series(START, 3 * HOUR + 90, interval=30.0))
    record(tmp_path, *moments)
    for path in sorted(tmp_path.glob("full-*.db"))[:2]:
        path.unlink()
    rows = [dict(zip(NAMES, row, strict=True)) for row in sample_rows(Recording(tmp_path), 0, 1e11)]
    mine = [row for row in rows if (row["pid"], row["metric"]) == (PID, "used_bytes")]
    covered = sorted((row["time"], row["step_seconds"]) for row in mine)
    for (time, step), (later, _) in pairwise(covered):
        assert later >= time + step, "nothing is told twice"
    assert {step for _, step in covered} == {0.0, 60.0}
    assert covered[0][0] == START
    samples = {row["time"]: row["mean"] for row in mine if not row["step_seconds"]}
    assert samples.items() <= {one.timestamp: one.samples[0].processes[0].used_bytes for one in moments}.items()
    told = len(samples) + sum(60 / 30 for _, step in covered if step)
    assert told == len(moments)


def test_a_range_leaves_out_what_is_outside(recording: Recording) -> None:
    _, last = incidents.span(incidents.leak())
    rows = list(series_rows(recording, last - 3, last, lambda _: None))
    assert 0 < len(rows) < len(everything(recording))


def test_events_are_rows_too(recording: Recording) -> None:
    (row,) = event_rows(recording, 0, 1e11)
    found = dict(zip([column.name for column in EVENT_COLUMNS], row, strict=True))
    assert (found["kind"], found["pid"]) == ("oom", 48211)
    assert isinstance(found["requested_bytes"], int)


def test_csv_has_a_header_and_a_line_per_row(recording: Recording) -> None:
    file = io.BytesIO()
    count = FORMATS["csv"](file, SERIES_COLUMNS, series_rows(recording, 0, 1e11, lambda _: None))
    table = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    assert len(table) == count == len(everything(recording))
    assert list(table[0]) == NAMES
    assert {row["pid"] for row in table} >= {"", "48211"}


def test_json_lines_are_objects_with_every_column(recording: Recording) -> None:
    file = io.BytesIO()
    full = FORMATS["jsonl"](file, SERIES_COLUMNS, sample_rows(recording, 0, 1e11))
    assert [json.loads(line)["step_seconds"] for line in file.getvalue().splitlines()] == [0.0] * full
    file = io.BytesIO()
    count = FORMATS["jsonl"](file, SERIES_COLUMNS, series_rows(recording, 0, 1e11, lambda _: None))
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert len(lines) == count
    assert lines == everything(recording)


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FailureError, match="pip install pyarrow"):
        FORMATS["parquet"](io.BytesIO(), SERIES_COLUMNS, [])


def test_parquet_comes_back_as_it_went_in(recording: Recording, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: it is the user's to install")
    path = tmp_path / "x.parquet"
    with path.open("wb") as file:
        FORMATS["parquet"](file, SERIES_COLUMNS, series_rows(recording, 0, 1e11, lambda _: None))
    assert parquet.read_table(path).to_pylist() == everything(recording)
    with path.open("wb") as file:
        FORMATS["parquet"](file, SERIES_COLUMNS, sample_rows(recording, 0, 1e11))
    samples = [dict(zip(NAMES, row, strict=True)) for row in sample_rows(recording, 0, 1e11)]
    assert parquet.read_table(path).to_pylist() == samples
