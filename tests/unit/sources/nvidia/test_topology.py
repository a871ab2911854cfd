"""Whether a handle still leads to the device it was got for."""

from ctypes import byref, c_void_p
from pathlib import Path

from blackbox.sources.nvidia.device_calls import DeviceCalls
from blackbox.sources.nvidia.driver import NO_DEVICE, Driver
from blackbox.sources.nvidia.errors import Failure, Fault
from blackbox.sources.nvidia.topology import DeviceHandle, IdentityCheck, Topology, TopologyReader
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver, gpu_uuid


def opened(library: Path) -> Driver:
    driver = Driver(library, lambda _name, _gpu: None)
    assert driver.open() is None
    return driver


def handle_of(driver: Driver, index: int) -> int:
    handle = c_void_p()
    assert driver.attempt("nvmlDeviceGetHandleByIndex_v2", NO_DEVICE, index, byref(handle)) is None
    assert handle.value
    return handle.value


def test_a_handle_that_leads_elsewhere_is_found_out(fake_driver: FakeDriver, fake_nvml_library: Path) -> None:
    fake_driver.populate(2)
    driver = opened(fake_nvml_library)
    calls = DeviceCalls(driver, handle_of(driver, 1), 1, ManualClock())
    check = IdentityCheck()
    assert check.failure(DeviceHandle(gpu_uuid(1), 1, "", calls)) is None
    failure = check.failure(DeviceHandle(gpu_uuid(0), 0, "", calls))
    assert failure is not None
    assert failure.fault is Fault.TRANSIENT
    driver.close()


def test_places_are_kept_while_nothing_changes(fake_driver: FakeDriver, fake_nvml_library: Path) -> None:
    fake_driver.populate(3)
    driver = opened(fake_nvml_library)
    reader = TopologyReader(driver, ManualClock())
    first, second = reader.read(), reader.read()
    assert isinstance(first, Topology)
    assert isinstance(second, Topology)
    assert list(first.gpus) == [gpu_uuid(number) for number in range(3)]
    assert all(first.gpus[uuid] is second.gpus[uuid] for uuid in first.gpus)
    assert fake_driver.calls("nvmlDeviceGetName") == 3
    driver.close()


def test_a_failing_count_is_told(fake_driver: FakeDriver, fake_nvml_library: Path) -> None:
    fake_driver.populate(1)
    driver = opened(fake_nvml_library)
    fake_driver.fail("nvmlDeviceGetCount_v2", 10)
    answer = TopologyReader(driver, ManualClock()).read()
    driver.close()
    assert isinstance(answer, Failure)
    assert answer.fault is Fault.TRANSIENT
