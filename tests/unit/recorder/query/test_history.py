"""Charts and sums over time."""

import math
from pathlib import Path

import msgspec
import pytest

from blackbox.model.moment import Moment
from blackbox.recorder.query import history as history_module
from blackbox.recorder.query.history import History, Series
from blackbox.recorder.query.recording import Recording
from tests.moments import GIB, SERVER, TRAINER, machine, moment
from tests.recorded_moments import DAY, HOUR, MINUTE, PID, moment_at, record, series

START = 1_799_971_200.0
"""The start of a day."""


LONG_SECONDS = 5 * HOUR + 90
LONG_INTERVAL = 30.0


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, list[Moment]]:
    """Five hours and what was recorded in them."""
    directory = tmp_path_factory.mktemp("long")
    moments = list(series(START, LONG_SECONDS, interval=LONG_INTERVAL))
    record(directory, *moments)
    return Recording(directory), moments


def used(moments: list[Moment]) -> list[int]:
    return [one.samples[0].processes[0].used_bytes or 0 for one in moments]


def only(history: History) -> Series:
    (one,) = history.series
    return one


def test_points_sum_up_their_stretch(tmp_path: Path) -> None:
    moments = list(series(START, MINUTE))
    record(tmp_path, *moments)
    found = Recording(tmp_path).history(START, START + MINUTE, pid=PID, points=6)
    numbers = used(moments)
    assert found.step_seconds == 10
    assert only(found).points == [
        (START + 10 * n, min(part), round(sum(part) / 20), max(part))
        for n in range(6)
        for part in [numbers[20 * n : 20 * n + 20]]
    ]


def test_its_json_is_the_one_agreed_on(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 10))
    body = msgspec.json.decode(msgspec.json.encode(Recording(tmp_path).history(START, START + 10, pid=PID, points=2)))
    assert {"from", "to", "step_seconds", "series"} <= set(body)
    (one,) = body["series"]
    assert (one["gpu"], one["pid"], one["metric"]) == (0, PID, "used_bytes")
    assert one["points"] == [[START, *one["points"][0][1:]], [START + 5, *one["points"][1][1:]]]
    assert all(isinstance(number, int) for point in one["points"] for number in point[1:])


def test_a_gap_stays_a_gap(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 10), *series(START + 30, 10, first_seq=50))
    points = only(Recording(tmp_path).history(START, START + 60, pid=PID, points=6)).points
    assert [point[0] for point in points] == [START, START + 10, START + 20, START + 30]
    assert [point[1] is None for point in points] == [False, True, True, False]


def test_points_are_never_closer_than_samples(tmp_path: Path) -> None:
    record(tmp_path, *series(START, MINUTE))
    found = Recording(tmp_path).history(START, START + MINUTE, pid=PID, points=10_000)
    assert found.step_seconds == 1
    assert all(point[1] is not None for point in only(found).points)


def test_after_a_rest_the_newest_minutes_are_told_as_finely_as_they_are_kept(tmp_path: Path) -> None:
    """Also where the range begins before them: of that time nothing is kept, roughly or finely."""
    since = START + 6 * HOUR + 40
    moments = list(series(since, 90, first_seq=5000))
    record(tmp_path, *series(START, 20 * MINUTE, interval=5.0), *moments)
    found = Recording(tmp_path).history(since - 200, since + 90, pid=PID, metric="used_bytes", points=290)
    assert found.step_seconds == 1
    assert [point[2] for point in only(found).points] == [
        round(sum(part) / 2) for numbers in [used(moments)] for part in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    whole = Recording(tmp_path).history(START, since + 90, pid=PID, metric="used_bytes", points=1000)
    assert whole.step_seconds == MINUTE
    known = [time for time, low, _mean, _high in only(whole).points if low is not None]
    assert known == [START + n * MINUTE for n in (*range(20), 360, 361, 362)]


def test_what_nobody_measured_is_no_series(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 10))
    assert Recording(tmp_path).history(START, START + 10, pid=PID, metric="allocated_bytes").series == ()


def test_everybody_in_order(tmp_path: Path) -> None:
    record(tmp_path, moment(machine(), timestamp=START))
    found = Recording(tmp_path).history(START, START + 1)
    places = [(one.gpu, one.pid) for one in found.series]
    assert places == sorted(places, key=lambda place: tuple(-1 if part is None else part for part in place))
    assert places[0] == (None, None)
    assert (0, None) in places
    assert (0, TRAINER) in places


def test_one_gpu_by_index_or_uuid(tmp_path: Path) -> None:
    record(tmp_path, moment(machine(), timestamp=START))
    recording = Recording(tmp_path)
    assert {one.gpu for one in recording.history(START, START + 1, gpu="0").series} == {0}
    assert {one.gpu_uuid for one in recording.history(START, START + 1, gpu="MIG-1-1").series} == {"MIG-1-1"}
    assert recording.history(START, START + 1, gpu="9").series == ()


def test_engines_have_their_own_metrics(tmp_path: Path) -> None:
    record(tmp_path, moment(machine(), timestamp=START))
    one = only(Recording(tmp_path).history(START, START + 1, metric="kv_usage_ratio"))
    assert (one.pid, one.engine, one.name) == (SERVER, "vllm", "test-model")
    assert one.points == [(START, 0.3333, 0.3333, 0.3333)]


def test_strangers_learn_of_a_process_what_the_driver_tells_everybody(tmp_path: Path) -> None:
    record(tmp_path, moment(machine(), timestamp=START))
    recording = Recording(tmp_path)

    def seen(metric: str, uid: int | None) -> int:
        return len(recording.history(START, START + 1, metric=metric, viewer_uid=uid).series)

    assert seen("used_bytes", 4321) == seen("used_bytes", None)
    for metric in ("allocated_bytes", "reserved_bytes", "fragmentation_ratio", "kv_usage_ratio"):
        assert seen(metric, 4321) == 0 < seen(metric, None)
    assert seen("allocated_bytes", 1000) == 3, "his two processes, and the GPU that nobody else holds memory of"
    assert recording.aggregated(START, START + 1, metric="allocated_bytes", viewer_uid=4321) == ()


def test_long_charts_come_from_roll_ups_and_the_newest_part_from_samples(
    long: tuple[Recording, list[Moment]],
) -> None:
    recording, moments = long
    now = START + LONG_SECONDS
    found = recording.history(now - DAY, now, pid=PID, points=288)
    assert found.step_seconds == 300
    points = only(found).points
    assert [point[0] for point in points] == [START + 300 * n for n in range(61)]
    for number, point in enumerate(points):
        part = used(moments[10 * number : 10 * number + 10])
        assert point[1] == min(part)
        assert point[3] == max(part)
        assert point[2] == pytest.approx(sum(part) / len(part), abs=1)


def test_a_month_is_charted_from_hours(tmp_path: Path) -> None:
    record(tmp_path, *series(START, 6 * HOUR, interval=300.0))
    now = START + 6 * HOUR
    found = Recording(tmp_path).history(now - 30 * DAY, now, pid=PID, points=300)
    assert found.step_seconds == 3 * HOUR
    assert [point[0] for point in only(found).points] == [START, START + 3 * HOUR]


def test_the_part_that_is_thinned_sets_the_step(long: tuple[Recording, list[Moment]]) -> None:
    found = long[0].history(START + 10, START + 10 * MINUTE, pid=PID, points=100)
    assert found.step_seconds == MINUTE
    assert len(only(found).points) == 10


def test_the_same_pid_twice_is_two_processes(tmp_path: Path) -> None:
    from msgspec import structs

    from tests.moments import device, process, sample

    old, new = (
        moment(sample((device(0),), (process(PID, start_time=born),)), timestamp=START + born) for born in (1.0, 8.0)
    )
    record(tmp_path, old, structs.replace(new, seq=2))
    assert len(Recording(tmp_path).history(START, START + 10, pid=PID).series) == 2


def test_a_process_whose_start_time_was_read_with_another_time_of_boot_is_one_series(tmp_path: Path) -> None:
    from msgspec import structs

    from tests.moments import device, process, sample

    old, new = (
        moment(sample((device(0),), (process(PID, start_time=START + apart),)), timestamp=START + apart)
        for apart in (0.0, 1.0)
    )
    record(tmp_path, old, structs.replace(new, seq=2))
    recording = Recording(tmp_path)
    points = only(recording.history(START, START + 10, pid=PID)).points
    assert [time for time, low, _, _ in points if low is not None] == [START, START + 1]
    (one,) = recording.aggregated(START, START + 10, pid=PID)
    assert one.count == 2


def test_series_beyond_the_most_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path, moment(machine(), timestamp=START))
    whole = Recording(tmp_path).history(START, START + 1)
    monkeypatch.setattr(history_module, "SERIES_MAX", 2)
    cut = Recording(tmp_path).history(START, START + 1)
    assert len(cut.series) == 2
    assert cut.series_omitted == len(whole.series) - 2
    assert cut.series[0].pid is None, "the machine uses the most"


@pytest.mark.parametrize(
    ("since", "until", "more"),
    [(2.0, 1.0, {}), (1.0, 1.0, {}), (0.0, float("nan"), {}), (0, 1, {"metric": "vram"}), (0, 1, {"points": 0})],
)
def test_nonsense_is_refused_in_one_line(tmp_path: Path, since: float, until: float, more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^\w+: .+$"):
        Recording(tmp_path).history(since, until, **more)  # pyright: ignore


def test_the_sum_of_a_window_at_full_rate_is_exact(tmp_path: Path) -> None:
    moments = list(series(START, MINUTE))
    record(tmp_path, *moments)
    (one,) = Recording(tmp_path).aggregated(START, START + MINUTE, pid=PID)
    ordered = sorted(used(moments))
    assert (one.min, one.max, one.p95, one.p99, one.count) == (ordered[0], ordered[-1], ordered[113], ordered[118], 120)
    assert one.mean == pytest.approx(sum(ordered) / 120, abs=1)
    assert one.exact


def test_percentiles_of_a_thinned_window_are_upper_bounds_and_say_so(long: tuple[Recording, list[Moment]]) -> None:
    recording, moments = long
    (one,) = recording.aggregated(START, START + LONG_SECONDS, pid=PID)
    ordered = sorted(used(moments))
    true = ordered[math.ceil(0.95 * len(ordered)) - 1]
    assert not one.exact
    assert (one.min, one.max, one.count) == (ordered[0], ordered[-1], len(ordered))
    assert one.mean == pytest.approx(sum(ordered) / len(ordered), abs=1)
    assert true <= one.p95 <= one.p99 <= ordered[-1]
    assert one.p95 - true < GIB / 10


def test_who_came_and_went_is_in_the_sum(tmp_path: Path) -> None:
    record(tmp_path, moment_at(START, 1, pid=1), moment_at(START + 1, 2, pid=2))
    found = Recording(tmp_path).aggregated(START, START + 10)
    assert {(one.pid, one.count) for one in found if one.pid} == {(1, 1), (2, 1)}
