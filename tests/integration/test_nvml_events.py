"""The driver's own reports, from the driver into the sample."""

import time

import pytest

from blackbox.model.event import Event
from blackbox.sources.nvml import events
from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver, gpu_uuid
from tests.waiting import until

DOUBLE_BIT_ECC, DRAM_RETIREMENT = 0x2, 0x400
NOT_SUPPORTED, UNKNOWN = 3, 999


def await_events(source: NvmlSource, count: int) -> list[Event]:
    seen: list[Event] = []
    until(lambda: seen.extend(source.sample().events) or len(seen) >= count, "that many events")
    return seen


def test_an_xid_comes_with_the_next_sample_once(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.populate(2)
    assert nvml_source.sample().facts["events"] == "watched"
    fake_driver.raise_xid(gpu_uuid(1), 79)
    fake_driver.raise_xid(gpu_uuid(0), 4711)
    first, second = await_events(nvml_source, 2)
    assert (first.kind, first.code, first.gpu_uuid) == ("xid", 79, gpu_uuid(1))
    assert first.message.startswith("GPU 1: Xid 79: ")
    assert "fallen off the bus" in first.message
    assert (second.code, second.message, second.gpu_uuid) == (4711, "GPU 0: Xid 4711", gpu_uuid(0))
    assert abs(first.timestamp - time.time()) < 60
    assert nvml_source.sample().events == ()


@pytest.mark.parametrize("event_type", [DOUBLE_BIT_ECC, DRAM_RETIREMENT])
def test_memory_errors_are_events(fake_driver: FakeDriver, nvml_source: NvmlSource, event_type: int) -> None:
    fake_driver.populate(1)
    nvml_source.sample()
    fake_driver.raise_event(gpu_uuid(0), event_type, 0)
    (event,) = await_events(nvml_source, 1)
    assert (event.kind, event.code, event.gpu_uuid) == ("ecc", None, gpu_uuid(0))


def test_a_gpu_that_cannot_be_registered_does_not_stop_the_others(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.populate(3)
    fake_driver.fail("nvmlDeviceRegisterEvents", UNKNOWN, device=gpu_uuid(1))
    nvml_source.sample()
    assert fake_driver.calls("nvmlEventSetFree") == 1
    fake_driver.raise_xid(gpu_uuid(2), 31)
    (event,) = await_events(nvml_source, 1)
    assert event.gpu_uuid == gpu_uuid(2)


@pytest.mark.parametrize("function", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlDeviceGetSupported*"])
@pytest.mark.parametrize("code", [NOT_SUPPORTED, UNKNOWN])
def test_without_events_the_rest_works_and_the_facts_say_so(
    fake_driver: FakeDriver, nvml_source: NvmlSource, function: str, code: int
) -> None:
    fake_driver.populate(1)
    fake_driver.fail(function, code)
    sample = nvml_source.sample()
    assert sample.state == "ok"
    assert sample.facts["events"] != "watched"
    assert fake_driver.calls("nvmlEventSetWait*") == 0


def test_a_gpu_plugged_in_later_is_watched_too(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(1)
    nvml_source.sample()
    fake_driver.populate(2)
    nvml_clock.advance(1)
    nvml_source.sample()
    fake_driver.raise_xid(gpu_uuid(1), 48)
    (event,) = await_events(nvml_source, 1)
    assert event.gpu_uuid == gpu_uuid(1)


def test_events_beyond_the_queue_are_counted(
    fake_driver: FakeDriver, nvml_source: NvmlSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "QUEUE_MAX", 2)
    fake_driver.populate(1)
    nvml_source.sample()
    for xid in range(5):
        fake_driver.raise_xid(gpu_uuid(0), 13 + xid)
    watch = nvml_source._watch
    assert watch is not None
    until(lambda: watch.dropped_total >= 3)
    sample = nvml_source.sample()
    assert [event.code for event in sample.events] == [13, 14]
    assert sample.cost["events_dropped_total"] == 3


def test_a_failing_wait_is_no_busy_loop(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.populate(1)
    fake_driver.fail("nvmlEventSetWait_v2", UNKNOWN)
    began_at = time.monotonic()
    nvml_source.sample()
    until(lambda: fake_driver.calls("nvmlEventSetWait_v2") >= 4)
    assert time.monotonic() - began_at >= 3 * events.WAIT_SECONDS
