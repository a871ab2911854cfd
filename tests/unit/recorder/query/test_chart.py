"""Several metrics at once, as arrays."""

from pathlib import Path

import pytest

from blackbox.model.event import Event
from blackbox.recorder.query import chart as chart_module
from blackbox.recorder.query.recording import Recording
from tests.moments import GIB, SERVER, TRAINER, moment
from tests.recordings import recorded

START = 1_799_971_200.0
SECONDS = 8
METRICS = ("used_bytes", "weight_bytes", "kv_used_bytes", "cached_bytes")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    directory = tmp_path_factory.mktemp("data")
    moments = [moment(seq=n + 1, timestamp=START + n) for n in range(SECONDS) if n != 5]
    events = [
        Event(kind="oom", timestamp=START + 3, message="refused", gpu_uuid="GPU-0", pid=TRAINER, uid=7),
        Event(kind="process_exit", timestamp=START + 6, message="ended", gpu_uuid="GPU-0", pid=TRAINER, uid=7),
    ]
    with recorded(directory, moments, events):
        pass
    return Recording(directory)


def test_arrays_agree_with_the_histories(recording: Recording) -> None:
    found = recording.chart(START, START + SECONDS, metrics=METRICS, points=4)
    assert (found.start, found.step_seconds, found.steps) == (START, 2.0, 4)
    for metric in METRICS:
        history = recording.history(START, START + SECONDS, metric=metric, points=4)
        told = {(one.gpu_uuid, one.pid, one.engine): one for one in found.series if one.metric == metric}
        assert len(told) == len(history.series) > 0
        for series in history.series:
            one = told[series.gpu_uuid, series.pid, series.engine]
            grid = [found.start + place * found.step_seconds for place in range(found.steps)]
            points = dict(zip(grid, zip(one.low, one.mean, one.high, strict=True), strict=True))
            assert all(points[at] == (low, mean, high) for at, low, mean, high in series.points)


def test_purposes_are_followed_for_those_who_tell_them(recording: Recording) -> None:
    found = recording.chart(START, START + SECONDS, metrics=METRICS[1:], points=8)
    by_pid = {(one.pid, one.metric): one.mean for one in found.series}
    assert {pid for pid, _ in by_pid} == {TRAINER, SERVER}
    assert by_pid[TRAINER, "weight_bytes"][0] == 2 * GIB
    assert by_pid[SERVER, "kv_used_bytes"][0] == GIB
    assert by_pid[TRAINER, "kv_used_bytes"][0] == 0


def test_purposes_of_other_users_are_not_told(recording: Recording) -> None:
    assert recording.chart(START, START + SECONDS, metrics=METRICS[1:], viewer_uid=4).series == ()
    assert recording.chart(START, START + SECONDS, metrics=METRICS[1:], viewer_uid=1000).series


def test_marks_stand_with_the_series(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recording.chart(START, START + 5)
    assert [(mark.kind, mark.timestamp, mark.pid) for mark in found.marks] == [("oom", START + 3, TRAINER)]
    assert (found.marks_omitted, found.recorded_from, found.recorded_to) == (False, START, START + SECONDS - 1)
    monkeypatch.setattr(chart_module, "MARKS_MAX", 1)
    cut = recording.chart(START, START + SECONDS)
    assert (cut.marks_omitted, [mark.kind for mark in cut.marks]) == (True, ["process_exit"])


def test_an_answer_has_an_end(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recording.chart(START, START + SECONDS, points=4)
    monkeypatch.setattr(chart_module, "NUMBERS_MAX", 3 * 4 * 2)
    cut = recording.chart(START, START + SECONDS, points=4)
    assert (len(cut.series), cut.series_omitted) == (2, len(whole.series) - 2)


def test_nothing_recorded_is_an_empty_chart(tmp_path: Path) -> None:
    found = Recording(tmp_path).chart(START, START + 60, points=6)
    assert (found.series, found.marks, found.recorded_from) == ((), (), None)
