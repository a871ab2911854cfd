"""The table of numbers over time."""

from collections import Counter

import pytest

from blackbox.merge import merge
from blackbox.model.series import METRICS, RECORDED, Metric, SubjectRow
from blackbox.model.snapshot import Snapshot, Xid
from tests.moments import moment

WHOLE = merge(moment(xids={"GPU-0": Xid(code=79, timestamp=1.0)}), gpu="0")
"""Of a GPU with everything on it that can be measured."""


def rows_of(snapshot: Snapshot, metric: Metric) -> list[SubjectRow]:
    rows: dict[str, tuple[SubjectRow, ...]] = {
        "machine": (snapshot,),
        "gpu": snapshot.gpus,
        "process": snapshot.processes,
        "engine": snapshot.engines,
    }
    return [row for kind in metric.subjects for row in rows[kind]]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: f"{'-'.join(metric.subjects)}-{metric.key}")
def test_a_metric_is_read_from_a_row_of_each_of_its_subjects(metric: Metric) -> None:
    """Where the driver and an agent tell everything, somebody's value is known."""
    values = [metric.value(row, WHOLE) for row in rows_of(WHOLE, metric)]
    assert values
    assert all(value is None or isinstance(value, int | float) for value in values)
    machine_wide = "machine" in metric.subjects and metric.visible_to == "owner"
    if metric.exposed is None and not machine_wide:
        assert any(value is not None for value in values)


def test_a_recorded_metric_has_one_meaning_for_each_kind_of_subject() -> None:
    for metrics in RECORDED.values():
        assert max(Counter(metric.key for metric in metrics).values()) == 1


def test_no_two_metrics_are_one_series() -> None:
    series = [
        (kind, metric.exposed.name, metric.exposed.label)
        for metric in METRICS
        if metric.exposed
        for kind in metric.exposed.of
    ]
    assert max(Counter(series).values()) == 1


def test_what_a_process_does_not_tell_everyone_is_not_for_everyone() -> None:
    """The driver tells every user what a process uses; what its allocator or engine says is its owner's business."""
    for kind in ("process", "engine"):
        for metric in RECORDED[kind]:
            assert (metric.visible_to == "anyone") == ((kind, metric.key) == ("process", "used_bytes"))
