"""Looking into samples of the NVML source."""

from collections.abc import Callable

from blackbox.model.parts import Device, DeviceProcess, Memory
from blackbox.model.sample import Sample
from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock

TICK_SECONDS = 0.5


def device(sample: Sample, uuid: str) -> Device:
    """The one device of that UUID."""
    (found,) = (device for device in sample.devices if device.uuid == uuid)
    return found


def memory(sample: Sample, uuid: str) -> Memory:
    """The memory of a device that has one."""
    found = device(sample, uuid).memory
    assert found is not None
    return found


def process(sample: Sample, pid: int) -> DeviceProcess:
    """The one row of that pid."""
    (found,) = (process for process in sample.processes if process.pid == pid)
    return found


def sample_until(
    source: NvmlSource, clock: ManualClock, seconds: float, is_there: Callable[[Sample], bool]
) -> list[Sample]:
    """The samples of `seconds` of the source's time, up to the first that `is_there` accepts; fails without one."""
    samples: list[Sample] = []
    end = clock.now + seconds
    while clock.now <= end:
        samples.append(source.sample())
        if is_there(samples[-1]):
            return samples
        clock.advance(TICK_SECONDS)
    raise AssertionError(f"not seen within {seconds} s; last: {samples[-1]}")
