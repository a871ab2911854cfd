"""Predictions: a range where memory steadily rises, and nothing where it does not. Advice likewise."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from blackbox.analysis.forecast import REACH, WINDOWS_SECONDS, forecast
from blackbox.merge import merge
from blackbox.model.forecast import Forecast, GrowthOrigin, Outlook
from blackbox.model.query import History, Point, Series
from blackbox.model.snapshot import Process, Snapshot
from blackbox.model.view import with_blocks
from tests.moments import (
    GIB,
    MIB,
    SERVER,
    TIMESTAMP,
    device,
    engine,
    instance,
    memory,
    moment,
    paged_allocator,
    process,
    sample,
)

POINTS = 60
PID = 7
START_TIME = TIMESTAMP - 3600
OWN: tuple[dict[str, Any], ...] = ({}, {"pid": PID, "start_time": START_TIME, "name": "leaky"})
"""What names the series of a device, and of its process."""
DAY, WEEK = 86_400, 7 * 86_400
Curve = Callable[[float], float]


def machine(used: float = 20 * GIB, total: int = 80 * GIB, **changes: Any) -> Snapshot:
    one = device(memory=memory(total=total, used=round(used), driver_reserved=0), **changes)
    return merge(moment(sample([one], [process(PID, used_bytes=round(used), name="leaky")])))


def series(points: Sequence[Point], **changes: Any) -> Series:
    fields: dict[str, Any] = {
        "gpu": 0,
        "pid": None,
        "metric": "used_bytes",
        "points": list(points),
        "gpu_uuid": "GPU-0",
        "name": None,
        "start_time": None,
        "engine": None,
    }
    return Series(**(fields | changes))


def history(*found: Series, seconds: float = 600) -> History:
    return History(
        from_=TIMESTAMP - seconds, to=TIMESTAMP, step_seconds=seconds / POINTS, series=found, series_omitted=0
    )


NOTHING = history()


def curve(of: Curve, seconds: float) -> list[Point]:
    """`of` at each step; the argument is the age in seconds, negative."""
    ages = [-seconds + place * seconds / POINTS for place in range(POINTS)]
    return [(TIMESTAMP + age, of(age), of(age) + 10 * MIB, of(age) + 100 * MIB) for age in ages]


def look(of: Curve, snapshot: Snapshot | None = None) -> Forecast:
    """The forecast for a GPU and its one process that both follow `of`."""
    windows: list[History] = []
    for seconds in WINDOWS_SECONDS:
        points = curve(of, seconds)
        windows.append(
            history(series(points), series(points, pid=PID, start_time=START_TIME, name="leaky"), seconds=seconds)
        )
    return forecast(TIMESTAMP, snapshot or machine(of(0)), windows, NOTHING)


def test_a_leak_is_told_as_a_range_with_its_evidence() -> None:
    rate = 10 * MIB
    found = look(lambda age: 60 * GIB + rate * age)
    (gpu,), (leaky,) = found.gpus, found.processes
    for outlook in (gpu, leaky):
        assert outlook.headroom_bytes == 20 * GIB
        assert outlook.full_in_seconds == pytest.approx(20 * GIB / rate, rel=0.01)
        assert outlook.full_in_seconds_min is not None
        assert outlook.full_in_seconds_max is not None
        assert outlook.full_in_seconds_min <= outlook.full_in_seconds <= outlook.full_in_seconds_max
        assert outlook.evidence is not None
        assert outlook.evidence.rate_bytes_per_second == pytest.approx(rate, rel=0.01)
        assert outlook.evidence.to - outlook.evidence.from_ == pytest.approx(590)
        assert outlook.evidence.rise_bytes == pytest.approx(rate * outlook.evidence.rise_seconds, rel=0.02)
    assert (leaky.pid, leaky.name) == (PID, "leaky")
    assert gpu.message.startswith("GPU 0: prediction: would be full in 34 min, if it goes on")
    assert "leaky (pid 7): prediction: would fill GPU 0 in 34 min" in leaky.message


def test_a_gpu_in_slices_is_not_told_to_fill_by_what_grows_in_one() -> None:
    whole, slice_ = device(memory=memory(used=35 * GIB)), instance(0, 1, memory=memory(40 * GIB, 30 * GIB, 0))
    snapshot = merge(moment(sample([whole, slice_], [process(PID, slice_.uuid, used_bytes=30 * GIB, name="leaky")])))
    windows: list[History] = []
    for seconds in WINDOWS_SECONDS:
        of_whole, of_slice = (curve(lambda age, at=at: at + 10 * MIB * age, seconds) for at in (35 * GIB, 30 * GIB))
        windows.append(
            history(series(of_whole), *(series(of_slice, gpu_uuid=slice_.uuid, **own) for own in OWN), seconds=seconds)
        )
    found = forecast(TIMESTAMP, snapshot, windows, NOTHING)
    parent, child = found.gpus
    assert child.full_in_seconds == found.processes[0].full_in_seconds == pytest.approx(10 * GIB / (10 * MIB), rel=0.01)
    assert (parent.full_in_seconds, parent.evidence, parent.grower) == (None, None, None)
    assert parent.message == f"GPU 0: no prediction: {parent.unknown['full_in_seconds']}"
    assert "slices" in parent.message


def test_a_slow_leak_shows_in_the_long_window() -> None:
    rate = 20 * GIB / (5 * DAY)
    rng = Random(0)
    (gpu,) = look(lambda age: 60 * GIB + rate * age + rng.uniform(0, 20 * MIB)).gpus
    assert gpu.full_in_seconds == pytest.approx(5 * DAY, rel=0.1)
    assert gpu.evidence is not None
    assert gpu.evidence.to - gpu.evidence.from_ > 0.9 * DAY


def test_no_prediction_reaches_further_than_its_evidence_carries() -> None:
    rate = 200 * MIB / DAY
    (gpu,) = look(lambda age: 60 * GIB + rate * age).gpus
    assert (gpu.full_in_seconds_min, gpu.full_in_seconds, gpu.full_in_seconds_max) == (None, None, None)
    assert gpu.evidence is not None
    assert "not fill the GPU soon enough to predict" in gpu.message


def no_prediction(found: Forecast) -> bool:
    return found.processes == () and all(_is_blank(gpu) for gpu in found.gpus)


def _is_blank(gpu: Outlook) -> bool:
    return (gpu.evidence, gpu.full_in_seconds_min, gpu.full_in_seconds, gpu.full_in_seconds_max) == (None,) * 4


@given(st.integers(0, 2**32), st.floats(0, 20 * GIB))
def test_noise_is_no_alarm(seed: int, amplitude: float) -> None:
    rng = Random(seed)
    assert no_prediction(look(lambda _: 30 * GIB + rng.uniform(0, amplitude)))


@given(st.lists(st.tuples(st.floats(-DAY, 0), st.floats(0, 10 * GIB)), max_size=3))
def test_steps_are_no_alarm(steps: list[tuple[float, float]]) -> None:
    assert no_prediction(look(lambda age: 30 * GIB + sum(height for since, height in steps if age >= since)))


@pytest.mark.parametrize("period", [3.0, 60.0, 300.0])
def test_a_sawtooth_is_no_alarm(period: float) -> None:
    assert no_prediction(look(lambda age: 30 * GIB + 20 * GIB * (age % period) / period))


def test_what_does_not_change_is_no_alarm() -> None:
    found = look(lambda _: 79.9 * GIB)
    assert no_prediction(found)
    assert found.gpus[0].message == "GPU 0: no trend in the last minutes, hour or day, so no prediction"


def looked_at_after(seconds: float, apart: float) -> Outlook:
    """The GPU of a recording that is so old, with a point every so many seconds."""
    windows: list[History] = []
    for window in WINDOWS_SECONDS:
        step = max(apart, window / POINTS)
        ages = [-place * step for place in range(1, int(min(window, seconds) / step) + 1)]
        windows.append(history(series([(TIMESTAMP + age, 1.0, 1.0, 1.0) for age in reversed(ages)]), seconds=window))
    return forecast(TIMESTAMP, machine(), windows, NOTHING).gpus[0]


@pytest.mark.parametrize(("apart", "enough"), [(0.5, 37.0), (1.0, 37.0), (5.0, 95.0), (60.0, 1140.0)])
def test_a_young_recording_says_from_when_on_it_can_tell_a_trend(apart: float, enough: float) -> None:
    early, told = looked_at_after(enough / 3, apart), looked_at_after(enough, apart)
    assert early.predictable_from == pytest.approx(TIMESTAMP + enough * 2 / 3, abs=2 * apart + 1)
    assert early.message.startswith("GPU 0: no prediction yet: too little is recorded yet, enough in about")
    assert told.predictable_from is None
    assert told.message.startswith("GPU 0: no trend")


def of_new_process(age: float, used: Curve) -> Outlook:
    """The GPU of an hour of recording, on which a process began so long ago."""
    windows: list[History] = []
    for window in WINDOWS_SECONDS:
        step = window / POINTS
        whole = series([(TIMESTAMP - step * place, 5 * GIB, 5 * GIB, 5 * GIB) for place in range(POINTS, 0, -1)])
        lived = [(TIMESTAMP - step * place, age - step * place) for place in range(POINTS, 0, -1) if step * place < age]
        points = [(time, used(at), used(at), used(at)) for time, at in lived]
        of_process = series(points, pid=PID, name="leaky", start_time=START_TIME)
        windows.append(history(whole, *([of_process] if points else []), seconds=window))
    return forecast(TIMESTAMP, machine(used=used(age)), windows, NOTHING).gpus[0]


def test_of_a_new_process_that_takes_memory_it_is_said_what_it_took_and_when_more_can_be_told() -> None:
    early = of_new_process(15, lambda age: GIB + age * GIB / 10)
    assert early.full_in_seconds is None
    assert early.predictable_from == pytest.approx(TIMESTAMP + 36 - 15, abs=2)
    took = "too little is recorded yet of leaky (pid 7), which took 1.4 GiB in 14 s"
    assert early.unknown["full_in_seconds"] == took
    assert early.message.startswith("GPU 0: no prediction yet: too little is recorded yet of leaky (pid 7)")
    assert of_new_process(15, lambda _: 10 * GIB).predictable_from is None  # it holds what it holds
    assert of_new_process(300, lambda age: GIB + age * GIB / 10).full_in_seconds is not None


def test_with_nothing_recorded_a_trend_takes_half_a_minute() -> None:
    (gpu,) = forecast(TIMESTAMP, machine(), [NOTHING], NOTHING).gpus
    assert gpu.predictable_from == TIMESTAMP + 36


@given(st.floats(0, 300), st.floats(0.1, 60))
def test_what_can_be_told_is_never_too_early_and_what_is_too_early_never_told(seconds: float, apart: float) -> None:
    found = looked_at_after(seconds, apart)
    assert found.predictable_from is None or (found.evidence is None and found.predictable_from >= TIMESTAMP)


def test_growth_too_small_to_matter_is_no_alarm() -> None:
    assert no_prediction(look(lambda age: 79.99 * GIB + 40 * MIB / DAY * age))


def test_a_gpu_that_cannot_be_read_gets_no_prediction() -> None:
    lost = merge(moment(sample([device(state="lost", memory=None, reason="fell off the bus")])))
    (gpu,) = look(lambda age: 60 * GIB + 10 * MIB * age, lost).gpus
    assert gpu.full_in_seconds is None
    assert gpu.message == "GPU 0: no prediction: fell off the bus"
    assert (gpu.unknown, gpu.predictable_from) == ({"full_in_seconds": "fell off the bus"}, None)


def test_a_process_that_has_ended_is_not_predicted() -> None:
    empty = merge(moment(sample([device()])))
    assert look(lambda age: 60 * GIB + 10 * MIB * age, empty).processes == ()


def test_gaps_in_the_recording_are_no_falls() -> None:
    points = curve(lambda age: 60 * GIB + 10 * MIB * age, 600)
    gappy: list[Point] = [
        (time, None, None, None) if 20 < place < 30 else (time, low, mean, high)
        for place, (time, low, mean, high) in enumerate(points)
    ]
    found = forecast(TIMESTAMP, machine(60 * GIB), [history(series(gappy))], NOTHING)
    assert found.gpus[0].full_in_seconds == pytest.approx(20 * GIB / (10 * MIB), rel=0.02)


@given(st.floats(1 * MIB, 500 * MIB), st.floats(0.1, 79))
def test_whatever_is_predicted_follows_from_what_was_measured(rate: float, used_gib: float) -> None:
    (gpu,) = look(lambda age: max(0.0, used_gib * GIB + rate * age)).gpus
    if gpu.full_in_seconds is not None:
        assert gpu.evidence is not None
        assert gpu.full_in_seconds == pytest.approx(gpu.headroom_bytes / gpu.evidence.rate_bytes_per_second, abs=0.1)
        assert gpu.full_in_seconds <= REACH * (gpu.evidence.to - gpu.evidence.from_) + 0.1


def serving_machine() -> Snapshot:
    whole = merge(moment(sample([device()], [process(SERVER)], allocators=(paged_allocator(),), engines=(engine(),))))
    return with_blocks(whole, "summary", 10)


def usage(high: float, seconds: float, **changes: Any) -> Series:
    points: list[Point] = [
        (TIMESTAMP - seconds + hour * 3600, 0.0, high / 2, high if hour == 5 else high / 2)
        for hour in range(int(seconds // 3600) + 1)
    ]
    fields: dict[str, Any] = {
        "gpu": None,
        "gpu_uuid": None,
        "metric": "kv_usage_ratio",
        "engine": "vllm",
        "name": "test-model",
        "pid": SERVER,
    }
    return series(points, **(fields | changes))


def advice_on(*found: Series) -> list[Any]:
    return list(forecast(TIMESTAMP, serving_machine(), [], history(*found, seconds=WEEK)).advice)


def test_a_pool_that_a_week_never_filled_is_too_large() -> None:
    (advice,) = advice_on(usage(0.3, WEEK))
    assert (advice.engine, advice.pid, advice.model) == ("vllm", SERVER, "test-model")
    assert (advice.used_ratio_max, advice.seen_seconds) == (0.3, WEEK)
    assert advice.pool_bytes == 3 * GIB
    assert advice.spare_bytes == round(3 * GIB * (1 - 1.5 * 0.3))
    assert advice.setting == "--gpu-memory-utilization"
    assert advice.message.startswith(
        "vllm (pid 4712) never used more than 30 % of its KV cache in 7.0 days: lowering --gpu-memory-utilization"
    )


def test_restarts_do_not_hide_a_busy_hour() -> None:
    assert advice_on(usage(0.3, WEEK), usage(0.9, DAY, pid=1)) == []
    assert len(advice_on(usage(0.3, WEEK, pid=1), usage(0.2, DAY))) == 1


@pytest.mark.parametrize(
    "found",
    [
        [],
        [usage(0.41, WEEK)],
        [usage(0.1, 2 * DAY)],
        [usage(0.1, WEEK, engine="sglang")],
        [usage(0.1, WEEK, name="another-model")],
    ],
    ids=["nothing known", "used", "not seen for long", "another engine", "another model"],
)
def test_no_advice_without_a_week_of_evidence(found: list[Series]) -> None:
    assert advice_on(*found) == []


def test_a_leak_of_a_young_program_shows_in_the_last_minutes() -> None:
    """As of one that was started two minutes ago and has one to live."""
    age_seconds, rate = 120.0, 170 * MIB
    windows: list[History] = []
    for seconds in WINDOWS_SECONDS:
        points = [
            point for point in curve(lambda age: 22 * GIB + rate * age, seconds) if point[0] > TIMESTAMP - age_seconds
        ]
        windows.append(history(series(points, pid=PID, start_time=START_TIME, name="leaky"), seconds=seconds))
    found = forecast(TIMESTAMP, machine(22 * GIB), windows, NOTHING)
    (leaky,) = found.processes
    assert leaky.full_in_seconds == pytest.approx((80 * GIB - 22 * GIB) / rate, rel=0.05)
    assert leaky.evidence is not None
    assert leaky.evidence.to - leaky.evidence.from_ <= age_seconds


def test_a_rise_is_told_since_it_began() -> None:
    began = -570.0
    told = look(lambda age: 20 * GIB + max(0.0, age - began) * 60 * MIB)
    for outlook in (told.gpus[0], *told.processes):
        assert outlook.since == pytest.approx(TIMESTAMP + began, abs=20)


def test_what_fell_before_is_not_part_of_the_rise() -> None:
    began = -170.0
    young = [
        point for point in curve(lambda age: 20 * GIB + (age - began) * 60 * MIB, 170) if point[0] >= TIMESTAMP + began
    ]
    before = [(TIMESTAMP - 600 + place * 10, 70 * GIB, 70 * GIB, 70 * GIB) for place in range(43)]
    slice_ = [*before, *young]
    process_ = {"pid": PID, "start_time": START_TIME, "name": "leaky"}
    windows = [
        history(series(young[-60:]), series(young[-60:], **process_), seconds=180),
        history(series(slice_), series(young, **process_), seconds=600),
    ]
    told = forecast(TIMESTAMP, machine(20 * GIB + 170 * 60 * MIB), windows, NOTHING)
    (whole,), (one,) = told.gpus, told.processes
    assert whole.full_in_seconds == one.full_in_seconds
    assert whole.full_in_seconds is not None
    assert whole.since == one.since == pytest.approx(TIMESTAMP + began, abs=20)


def test_without_a_rise_there_is_no_beginning() -> None:
    assert look(lambda _: 20 * GIB).gpus[0].since is None


@pytest.mark.parametrize("source", ["system", "amdgpu_vram_gtt"])
def test_memory_that_is_shared_with_the_machine_is_predicted_like_any_other(source: str) -> None:
    held = structs.replace(memory(total=80 * GIB, used=60 * GIB, driver_reserved=0), source=source)
    shared = merge(moment(sample([device(memory=held)], [])))
    (gpu,) = look(lambda age: 60 * GIB + 10 * MIB * age, shared).gpus
    assert gpu.full_in_seconds == pytest.approx(20 * GIB / (10 * MIB), rel=0.01)


def fast(of: Curve, seen_seconds: float) -> Forecast:
    """Of a process that follows `of`, seen for so long."""
    windows: list[History] = []
    for seconds in WINDOWS_SECONDS:
        points = [point for point in curve(of, seconds) if point[0] > TIMESTAMP - seen_seconds]
        windows.append(history(series(points, pid=PID, start_time=START_TIME, name="leaky"), seconds=seconds))
    return forecast(TIMESTAMP, machine(of(0)), windows, NOTHING)


def test_a_program_that_fills_its_gpu_in_two_minutes_is_told_after_one() -> None:
    (leaky,) = fast(lambda age: 40 * GIB + 0.6 * GIB * age, 50).processes
    assert leaky.full_in_seconds == pytest.approx(40 / 0.6, rel=0.05)


def test_half_a_minute_of_loading_is_no_trend() -> None:
    assert fast(lambda age: 40 * GIB + 1.2 * GIB * age, 30).processes == ()


def test_an_old_program_that_rises_above_all_it_ever_held_is_told_within_minutes() -> None:
    (leaky,) = fast(lambda age: 20 * GIB + max(0.0, age + 100) * 0.3 * GIB, DAY).processes
    assert leaky.full_in_seconds == pytest.approx(30 / 0.3, rel=0.1)
    assert leaky.since == pytest.approx(TIMESTAMP - 100, abs=20)


def test_an_old_program_that_rises_to_where_it_has_been_is_not() -> None:
    assert fast(lambda age: 50 * GIB if age < -300 else 20 * GIB + max(0.0, age + 100) * 0.3 * GIB, DAY).processes == ()


def test_who_fills_a_gpu_is_told_with_what_for() -> None:
    points = curve(lambda age: 20 * GIB + (age + 170) * 0.2 * GIB, 170)
    windows = [history(series(points, pid=PID, start_time=START_TIME, name="leaky"), seconds=180)]
    origin = GrowthOrigin(
        purpose="weight", purpose_rise_bytes=1, frames=None, stack_rise_bytes=None, earlier_failures=None
    )
    asked: list[tuple[int, float]] = []

    def origin_of(row: Process, since: float) -> GrowthOrigin:
        asked.append((row.pid, since))
        return origin

    found = forecast(TIMESTAMP, machine(54 * GIB), windows, NOTHING, origin_of)
    (whole,), (one,) = found.gpus, found.processes
    assert whole.grower == one.grower
    assert whole.grower is not None
    assert (whole.grower.pid, whole.grower.since, whole.grower.origin) == (PID, one.since, origin)
    assert asked == [(PID, one.since)]
    assert look(lambda _: 20 * GIB).gpus[0].grower is None
