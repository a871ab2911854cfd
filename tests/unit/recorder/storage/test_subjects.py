"""Which numbers of a moment are kept, of whom."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from blackbox.merge import merge
from blackbox.model.identity import StartTimes
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess
from blackbox.model.purpose import PURPOSES
from blackbox.model.series import METRIC_KEYS, RECORDED
from blackbox.recorder.storage.subjects import Numbers, ProcessNumbers, Subject, numbers_of
from tests.moments import (
    GIB,
    SERVER,
    SILENT,
    TRAINER,
    allocator,
    device,
    engine,
    moment,
    paged_allocator,
    process,
    sample,
)
from tests.strategies import moments


def numbers(reading: Numbers, **wanted: object) -> dict[str, float]:
    """The numbers of the one subject that has these fields."""
    start = 0
    for subject in reading.subjects:
        metrics = reading.metrics[subject.kind]
        end = start + len(metrics)
        if all(getattr(subject, name) == value for name, value in wanted.items()):
            return dict(zip((metric.key for metric in metrics), reading.values[start:end], strict=True))
        start = end
    raise AssertionError(f"nobody is {wanted}")


def test_the_numbers_are_those_of_the_snapshot() -> None:
    whole = moment()
    reading, snapshot = numbers_of(whole), merge(whole)
    machine = numbers(reading, kind="machine")
    assert machine["used_bytes"] == snapshot.used_bytes
    trainer = next(row for row in snapshot.processes if row.pid == TRAINER)
    purposes = {f"{purpose}_bytes": (trainer.purposes or {}).get(purpose, 0) for purpose in PURPOSES}
    assert numbers(reading, kind="process", pid=TRAINER) == purposes | {
        "used_bytes": trainer.used_bytes,
        "reserved_bytes": trainer.reserved_bytes,
        "allocated_bytes": trainer.allocated_bytes,
    }
    assert numbers(reading, kind="engine", pid=SERVER)["kv_pages_used"] == 1


@pytest.mark.parametrize(
    "whole",
    [
        moment(),
        moment(sample((device(0),), (process(TRAINER),), allocators=(allocator(reserved_bytes=3 * GIB),))),
        moment(sample((device(0),), (process(SERVER, used_bytes=None),), allocators=(paged_allocator(),))),
    ],
    ids=["whole", "contradicting blocks", "driver does not say"],
)
def test_leaving_the_block_maps_out_changes_no_number(whole: Moment) -> None:
    snapshot = merge(whole)
    for row in snapshot.processes:
        kept = numbers(numbers_of(whole), kind="process", pid=row.pid, gpu_uuid=row.gpu_uuid)
        if "used_bytes" not in row.unknown:
            assert kept["used_bytes"] == row.used_bytes
        if "reserved_bytes" not in row.unknown:
            assert kept["reserved_bytes"] == row.reserved_bytes


def test_what_nobody_measured_is_a_gap_and_no_number() -> None:
    lost = device(0, state="lost", reason="gone", memory=None, power_watts=None)
    reading = numbers_of(moment(sample((lost,), (process(SILENT),))))
    gpu = numbers(reading, kind="gpu")
    assert math.isnan(gpu["used_bytes"])
    assert math.isnan(gpu["power_watts"])
    assert math.isnan(numbers(reading, kind="machine")["used_bytes"])
    assert math.isnan(numbers(reading, kind="process")["reserved_bytes"])


def test_an_engine_belongs_to_the_user_whom_its_source_names() -> None:
    reading = numbers_of(moment(sample((device(0),), (process(SERVER, uid=1234),), engines=(engine(),))))
    assert next(subject.uid for subject in reading.subjects if subject.kind == "engine") == 1000


def test_identity_is_not_a_matter_of_names() -> None:
    starts = StartTimes()
    one = Subject("process", gpu_uuid="GPU-0", pid=1, start_time=5.0, gpu=0, name="python", uid=7)
    other = Subject("process", gpu_uuid="GPU-0", pid=1, start_time=5.0, gpu=3, name="renamed", uid=None)
    assert one.identity(starts) == other.identity(starts)
    assert one.identity(starts) != Subject("process", gpu_uuid="GPU-0", pid=1, start_time=60.0).identity(starts)


def test_metrics_are_fields_of_their_rows() -> None:
    snapshot = merge(moment())
    rows = {
        "machine": snapshot,
        "gpu": snapshot.gpus[0],
        "process": snapshot.processes[0],
        "engine": snapshot.engines[0],
    }
    for kind, metrics in RECORDED.items():
        assert all(hasattr(rows[kind], metric.key) for metric in metrics if metric.read is None)
    assert set(METRIC_KEYS) == {metric.key for metrics in RECORDED.values() for metric in metrics}


@given(moments())
def test_a_snapshot_that_is_made_already_holds_the_same_numbers(whole: Moment) -> None:
    assert repr(numbers_of(whole, merge(whole))) == repr(numbers_of(whole))


LISTED = [process(pid, used_bytes=size, uid=uid) for pid in (1, 2) for size in (0, GIB) for uid in (7, 8)]


@given(lists(sampled_from(LISTED)))
def test_numbers_of_processes_that_are_kept_are_those_that_would_be_made(listed: list[DeviceProcess]) -> None:
    """The last list is handed on as it is, or another takes its place."""
    kept, purposeful = ProcessNumbers(), moment()
    for before, after in pairwise([(), *((row,) for row in listed), ()]):
        for rows in (before, before, after):
            whole = moment(sample((device(0),), rows))
            merged = merge(whole)
            assert repr(numbers_of(whole, merged, kept)) == repr(numbers_of(whole, merged))
    assert repr(numbers_of(purposeful, merge(purposeful), kept)) == repr(numbers_of(purposeful))


def test_a_list_of_processes_that_names_other_owners_is_looked_at_anew() -> None:
    kept = ProcessNumbers()
    for uid in (7, 8):
        whole = moment(sample((device(0),), (process(SILENT, uid=uid),)))
        found = numbers_of(whole, merge(whole), kept)
        assert [subject.uid for subject in found.subjects if subject.kind == "process"] == [uid]
