"""A device's memory out of the driver, in each of its versions and refusals."""

import pytest

from blackbox.sources.nvidia.device_calls import DENIED_SECONDS
from blackbox.sources.nvml.device import FAILURES_MAX
from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import GIB, FakeDriver, Gpu, Memory, gpu_uuid
from tests.nvml_samples import TICK_SECONDS, device, memory

NOT_SUPPORTED, NO_PERMISSION, TIMEOUT, UNKNOWN = 3, 4, 10, 999
MEMORY_CALLS = "nvmlDeviceGetMemoryInfo*"


def gpu(number: int, figures: Memory) -> Gpu:
    return Gpu(uuid=gpu_uuid(number), memory=figures)


def test_memory_v2_tells_the_drivers_share_apart(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.set_gpus([gpu(0, Memory(total_bytes=80 * GIB, reserved_bytes=GIB, used_bytes=7 * GIB))])
    sample = nvml_source.sample()
    found = memory(sample, gpu_uuid(0))
    assert (found.total_bytes, found.used_bytes, found.free_bytes) == (80 * GIB, 7 * GIB, 72 * GIB)
    assert found.driver_reserved_bytes == GIB
    assert found.source == "nvml_v2"
    assert sample.state == "ok"
    assert sample.facts["memory_version"] == "v2"


@pytest.mark.parametrize("code", [NOT_SUPPORTED, 13, 25, UNKNOWN])
def test_without_memory_v2_v1_serves_for_the_rest_of_the_run(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, code: int
) -> None:
    fake_driver.set_gpus([gpu(0, Memory(reserved_bytes=GIB, used_bytes=7 * GIB))])
    refusal = fake_driver.fail("nvmlDeviceGetMemoryInfo_v2", code)
    for _ in range(3):
        sample = nvml_source.sample()
        found = device(sample, gpu_uuid(0))
        assert found.memory is not None
        assert (found.memory.used_bytes, found.memory.driver_reserved_bytes) == (8 * GIB, 0)
        assert found.memory.source == "nvml_v1"
        assert "driver_reserved_bytes" in found.unknown
        nvml_clock.advance(TICK_SECONDS)
        fake_driver.heal(refusal)
    assert fake_driver.calls("nvmlDeviceGetMemoryInfo_v2") == 1
    assert sample.facts["memory_version"] == "v1"


@pytest.mark.parametrize("free_bytes", [50 * GIB, 75 * GIB])
def test_memory_v2_that_does_not_add_up_is_not_believed(
    fake_driver: FakeDriver, nvml_source: NvmlSource, free_bytes: int
) -> None:
    fake_driver.set_gpus([gpu(0, Memory(reserved_bytes=GIB, used_bytes=7 * GIB, free_bytes=free_bytes))])
    found = device(nvml_source.sample(), gpu_uuid(0))
    if found.memory is None:  # version 1 of the fake does not add up either, which is told
        assert "impossible" in found.unknown["memory"]
    else:
        assert found.memory.source == "nvml_v1"
        assert "driver_reserved_bytes" in found.unknown
        parts = found.memory.used_bytes + found.memory.free_bytes + found.memory.driver_reserved_bytes
        assert found.memory.total_bytes == parts


def test_memory_shared_with_the_machine_is_none_and_no_fault(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.populate(1)
    fake_driver.fail(MEMORY_CALLS, NOT_SUPPORTED)
    found = device(nvml_source.sample(), gpu_uuid(0))
    assert found.memory is None
    assert "NOT_SUPPORTED" in found.unknown["memory"]
    assert found.state == "ok"
    assert found.temperature_celsius == 30


def test_impossible_memory_is_rejected(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.set_gpus([gpu(0, Memory(used_bytes=81 * GIB, free_bytes=0))])
    found = device(nvml_source.sample(), gpu_uuid(0))
    assert found.memory is None
    assert "impossible memory" in found.unknown["memory"]


@pytest.mark.fault(9)
def test_row_09_denied_memory_is_unknown_and_others_are_complete(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(4)
    denial = fake_driver.fail(MEMORY_CALLS, NO_PERMISSION, device=gpu_uuid(1))
    for _ in range(5):
        sample = nvml_source.sample()
        denied = device(sample, gpu_uuid(1))
        assert (denied.state, denied.memory) == ("no_access", None)
        assert "NO_PERMISSION" in denied.unknown["memory"]
        assert denied.temperature_celsius == 30
        for number in (0, 2, 3):
            other = device(sample, gpu_uuid(number))
            assert (other.state, other.taken_at) == ("ok", nvml_clock.now)
            assert other.memory is not None
        nvml_clock.advance(TICK_SECONDS)
    fake_driver.heal(denial)
    nvml_clock.advance(DENIED_SECONDS)
    assert device(nvml_source.sample(), gpu_uuid(1)).state == "ok"


def test_a_passing_fault_keeps_the_last_value_with_its_age(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([gpu(0, Memory(used_bytes=7 * GIB))])
    nvml_source.sample()
    read_at = nvml_clock.now
    fault = fake_driver.fail(MEMORY_CALLS, TIMEOUT)
    for _ in range(FAILURES_MAX - 1):
        nvml_clock.advance(TICK_SECONDS)
        sample = nvml_source.sample()
        stale = device(sample, gpu_uuid(0))
        assert (stale.state, stale.taken_at) == ("stale", read_at)
        assert memory(sample, gpu_uuid(0)).used_bytes == 7 * GIB
        assert sample.state == "degraded"
        assert "TIMEOUT" in (sample.reason or "")
    fake_driver.heal(fault)
    nvml_clock.advance(TICK_SECONDS)
    assert device(nvml_source.sample(), gpu_uuid(0)).state == "ok"


def test_passing_faults_in_a_row_mean_that_the_gpu_is_gone(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(1)
    nvml_source.sample()
    fake_driver.fail(MEMORY_CALLS, UNKNOWN)
    for _ in range(FAILURES_MAX):
        nvml_clock.advance(TICK_SECONDS)
        sample = nvml_source.sample()
    lost = device(sample, gpu_uuid(0))
    assert (lost.state, lost.memory) == ("lost", None)
    assert "UNKNOWN" in lost.unknown["memory"]
