"""GPUs that the kernel has put to sleep (runtime D3): every question to the driver would wake them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver, gpu_uuid
from tests.nvml_samples import device, feed_case, snapshot

FIRST, SECOND = "0000:01:00.0", "0000:02:00.0"
"""Where the fake driver has its GPUs."""


class Power:
    """The files in which the kernel tells who sleeps."""

    def __init__(self, root: Path) -> None:
        self.sysfs, self.procfs = root / "sys", root / "proc"

    def set(self, address: str, status: str) -> None:
        directory = self.sysfs / "bus/pci/drivers/nvidia" / address / "power"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "runtime_status").write_text(f"{status}\n")

    def describe(self, address: str, text: str) -> None:
        file = self.procfs / "driver/nvidia/gpus" / address / "information"
        file.parent.mkdir(parents=True)
        file.write_text(text)


@pytest.fixture
def power(tmp_path: Path) -> Power:
    return Power(tmp_path)


@pytest.fixture
def source(
    fake_driver: FakeDriver, fake_nvml_library: Path, nvml_clock: ManualClock, power: Power
) -> Iterator[NvmlSource]:
    source = NvmlSource(
        library=fake_nvml_library, clock=nvml_clock, stopwatch=nvml_clock, sysfs=power.sysfs, procfs=power.procfs
    )
    yield source
    source.close()
    assert fake_driver.open_handles() == 0


@pytest.mark.fault(61)
def test_row_61_a_gpu_that_falls_asleep_is_left_alone_until_another_wakes_it(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock, power: Power
) -> None:
    feed_case(fake_driver, "nvml-runtime-suspend")
    power.set(FIRST, "active")
    (uuid,) = (found.uuid for found in source.sample().devices)
    power.set(FIRST, "suspended")
    nvml_clock.advance(1)
    source.sample()
    fake_driver.reset_calls()
    for _ in range(20):
        nvml_clock.advance(0.5)
        sample = source.sample()
        found = device(sample, uuid)
        assert (found.state, found.memory, found.taken_at) == ("asleep", None, nvml_clock.now)
        assert sample.state == "ok"
    assert fake_driver.calls() == 0
    assert fake_driver.open_handles() == 0
    row = snapshot(sample).gpus[0]
    assert row.state == "asleep"
    assert "wake" in row.unknown["total_bytes"]
    assert "wake" in snapshot(sample).unknown["processes"]
    power.set(FIRST, "active")
    nvml_clock.advance(1)
    found = device(source.sample(), uuid)
    assert found.state == "ok"
    assert found.memory is not None


@pytest.mark.fault(61)
def test_row_61_beside_one_that_sleeps_the_others_are_asked(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock, power: Power
) -> None:
    fake_driver.populate(2, 1)
    for address in (FIRST, SECOND):
        power.set(address, "active")
    assert len(source.sample().processes) == 2
    power.set(SECOND, "suspended")
    nvml_clock.advance(1)
    source.sample()
    calls = fake_driver.fail("nvmlDevice*", 999, device=gpu_uuid(1))  # which would show
    fake_driver.reset_calls()
    for _ in range(10):
        nvml_clock.advance(1)
        sample = source.sample()
        assert [found.state for found in sample.devices] == ["ok", "asleep"]
        assert [row.gpu_uuid for row in sample.processes] == [gpu_uuid(0)]
        assert sample.state == "ok"
    assert fake_driver.calls("nvmlDeviceGetHandleByIndex_v2") == 0
    assert fake_driver.calls("nvmlDeviceGetMemoryInfo_v2") == 10
    fake_driver.heal(calls)
    power.set(SECOND, "active")
    nvml_clock.advance(1)
    assert len(source.sample().processes) == 2


@pytest.mark.fault(61)
def test_row_61_a_server_that_starts_while_all_sleep_does_not_open_the_library(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock, power: Power
) -> None:
    fake_driver.populate(2)
    power.set(FIRST, "suspended")
    power.set(SECOND, "suspended")
    uuid = "GPU-01234567-89ab-cdef-0123-456789abcdef"
    power.describe(FIRST, f"Model: \t\t NVIDIA GeForce RTX 5060 Laptop GPU\nGPU UUID: \t {uuid}\n")
    power.describe(
        SECOND, "Model: \t\t NVIDIA GeForce RTX 5060\nGPU UUID: \t GPU-????????-????-????-????-????????????\n"
    )
    sample = source.sample()
    first, second = sample.devices
    assert (first.uuid, first.name, first.state) == (uuid, "NVIDIA GeForce RTX 5060 Laptop GPU", "asleep")
    assert (second.uuid, second.index, "uuid" in second.unknown) == ("unknown-1", 1, True)
    assert fake_driver.calls() == 0
    assert "total_bytes" in snapshot(sample).unknown
    power.set(FIRST, "active")
    nvml_clock.advance(1)
    assert [found.uuid for found in source.sample().devices] == [gpu_uuid(0), gpu_uuid(1)]


def test_a_machine_whose_kernel_tells_of_no_gpu_is_asked_as_ever(fake_driver: FakeDriver, source: NvmlSource) -> None:
    fake_driver.populate(1)
    assert [found.state for found in source.sample().devices] == ["ok"]
