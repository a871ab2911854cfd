"""Errors of the driver by GPU: from 0 as soon as a GPU is watched, each once."""

import pytest

from blackbox.events.xids import XidCounter
from blackbox.model.event import Event
from blackbox.model.facts import DRIVER_EVENTS, DRIVER_EVENTS_WATCHED
from tests.moments import TIMESTAMP, device, instance, moment, sample


def xid(uuid: str | None) -> Event:
    return Event(kind="xid", timestamp=TIMESTAMP, message="Xid 79", gpu_uuid=uuid)


def test_a_gpu_counts_from_nothing_and_its_slices_do_not_count() -> None:
    counter = XidCounter()
    counter.count(moment(sample(devices=(device(0), instance(0, 1)))))
    assert counter.by_gpu() == {"GPU-0": 0}


def test_every_xid_counts_once_and_other_events_do_not() -> None:
    counter = XidCounter()
    other = Event(kind="oom", timestamp=TIMESTAMP, message="refused", gpu_uuid="GPU-0")
    counter.count(moment(sample(devices=(device(0), device(1)), events=(xid("GPU-1"), xid("GPU-1"), xid(None), other))))
    counter.count(moment(sample(devices=(device(0), device(1)))))
    assert counter.by_gpu() == {"GPU-0": 0, "GPU-1": 2}


@pytest.mark.parametrize(("facts", "expected"), [("not permitted", {}), (DRIVER_EVENTS_WATCHED, {"GPU-0": 0})])
def test_a_gpu_whose_events_nobody_sees_has_no_count(facts: str, expected: dict[str, int]) -> None:
    counter = XidCounter()
    counter.count(moment(sample(devices=(device(0),), facts=dict([DRIVER_EVENTS.stated(facts)]))))
    assert counter.by_gpu() == expected
